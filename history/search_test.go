package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/history/seal"
	"github.com/cocoframework/coco/history/segment"
	"github.com/cocoframework/coco/internal/lru"
	"github.com/cocoframework/coco/store"
)

// wordsOf are terms of the test's rows: the words of their values.
func wordsOf(_ string, _, value []byte, add func([]byte)) {
	for _, word := range strings.Fields(string(value)) {
		add([]byte(word))
	}
}

// talking is an index with terms.
func (n *network) talking(from int) *Index {
	x := n.index(from)
	x.cfg.Terms = wordsOf
	return x
}

// matches are the first seqnos of the batches that have a row of the table with a word of each group.
func (n *network) matches(table string, groups [][]string, from, to uint64) (out []uint64) {
	for _, b := range n.done {
		if b.at.Seqno < from || b.first > to {
			continue
		}
		all := true
		for _, g := range groups {
			found := false
			for id, versions := range n.past {
				for _, v := range versions {
					if !strings.HasPrefix(id, table+"/") || v.Seqno < b.first || v.Seqno > b.at.Seqno {
						continue
					}
					found = found || slices.ContainsFunc(strings.Fields(string(v.Value)), func(w string) bool { return slices.Contains(g, w) })
				}
			}
			all = all && found
		}
		if all {
			out = append(out, b.first)
		}
	}
	return out
}

func search_(x *Index, table string, groups [][]string, from, to uint64) (out []uint64, done uint64, err error) {
	var terms [][][]byte
	for _, g := range groups {
		var all [][]byte
		for _, w := range g {
			all = append(all, []byte(w))
		}
		terms = append(terms, all)
	}
	done, err = x.Search(context.Background(), table, terms, from, to, func(b Batch) error {
		out = append(out, b.First)
		return nil
	})
	return out, done, err
}

// Whatever is indexed, in files or in memory, a search finds exactly the batches that have what is searched for: across
// restarts, chunks that are moved away, files that are damaged, and parts of the ledger that are cut off.
func TestASearchFindsWhatWasWritten(t *testing.T) {
	words := []string{"a", "b", "c", "d", "e"}
	rapid.Check(t, func(t *rapid.T) {
		n := newNetwork(t, int64(rapid.IntRange(800, 4000).Draw(t, "chunk")))
		write := func(batches int) {
			for range batches {
				var txs [][]store.Write
				for range rapid.IntRange(1, 3).Draw(t, "txs") {
					value := strings.Join(rapid.SliceOfN(rapid.SampledFrom(words), 0, 3).Draw(t, "words"), " ")
					table := rapid.SampledFrom([]string{"private", "public"}).Draw(t, "table")
					txs = append(txs, []store.Write{put(table, fmt.Sprint("key", rapid.IntRange(0, 5).Draw(t, "key")), value)})
				}
				n.commit(txs...)
			}
		}
		write(rapid.IntRange(1, 40).Draw(t, "batches"))
		x := n.talking(0)
		check := func() {
			last := n.tree.Size()
			from := rapid.Uint64Range(1, last).Draw(t, "from")
			to := rapid.Uint64Range(from, last).Draw(t, "to")
			groups := rapid.SliceOfN(rapid.SliceOfN(rapid.SampledFrom(words), 1, 3), 0, 3).Draw(t, "groups")
			got, done, err := search_(x, "private", groups, from, to)
			if errors.Is(err, coco.ErrPending) || errors.Is(err, coco.ErrMissing) {
				to = done // as far as it came, it is right
			} else if err != nil || done != to {
				t.Fatalf("done up to %d of %d: %v", done, to, err)
			}
			if want := n.matches("private", groups, from, to); to >= from && !slices.Equal(got, want) {
				t.Fatalf("%v in %d to %d: batches at %v, expected %v", groups, from, to, got, want)
			}
		}
		check()
		runOn(x)
		for range 5 {
			check()
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0: // more
				before := len(n.done)
				write(rapid.IntRange(1, 10).Draw(t, "more"))
				for _, b := range n.done[before:] {
					x.Committed(b.at, b.first)
				}
			case 1: // a restart with the index's files, from the beginning or a snapshot
				x = n.talking(rapid.IntRange(0, len(n.done)).Draw(t, "snapshot"))
			case 2: // a damaged file
				names := slices.Sorted(func(yield func(string) bool) {
					for name := range n.world.Files("n", indexDir) {
						if !yield(name) {
							return
						}
					}
				})
				if len(names) > 0 {
					name := rapid.SampledFrom(names).Draw(t, "damaged")
					bad := bytes.Clone(n.world.Files("n", indexDir)[name])
					bad[rapid.IntRange(0, len(bad)-1).Draw(t, "byte")] ^= 1
					n.rewrite(name, bad)
					x.caches.blocks = lru.New[segment.BlockID, []byte](8 << 20)
					for _, s := range x.segments {
						s.Blocks = x.caches.blocks
					}
					check()
				}
			case 3: // what was not committed is cut off, and the network goes on
				n.cut(rapid.IntRange(1, len(n.done)).Draw(t, "cut"))
				write(rapid.IntRange(1, 10).Draw(t, "more"))
				x = n.talking(0)
			}
			runOn(x)
		}
		last := n.tree.Size()
		for try := 0; ; try++ { // damage shows when it is read, and is mended then
			got, done, err := search_(x, "private", [][]string{{"a"}}, 1, last)
			if err != nil && try < 10 {
				runOn(x)
				continue
			}
			if want := n.matches("private", [][]string{{"a"}}, 1, last); err != nil || done != last || !slices.Equal(got, want) {
				t.Fatalf("after all was indexed: done up to %d of %d: %v, expected %v: %v", done, last, got, want, err)
			}
			break
		}
	})
}

// A file of an earlier program knows no terms: every batch in it may match, and it is made again.
func TestFilesWithoutTermsAreSearchedAndReplaced(t *testing.T) {
	n := newNetwork(t, 1500)
	for i := range 60 {
		n.commit([]store.Write{put("private", fmt.Sprint("key", i), fmt.Sprint("word", i%7))})
	}
	runOn(n.index(0)) // writes files without terms
	files := len(n.world.Files("n", indexDir))
	if files < 3 {
		t.Fatalf("%d files", files)
	}
	x := n.talking(0)
	for len(x.segments) < files { // opened, and none replaced
		x.step(context.Background())
	}
	got, _, err := search_(x, "private", [][]string{{"word3"}}, 1, x.segments[1].To)
	if want := n.matches("private", nil, 1, x.segments[1].To); err != nil || !slices.Equal(got, want) {
		t.Fatalf("files without terms: %v, %v, expected all batches", got, err)
	}
	runOn(x)
	got, _, err = search_(x, "private", [][]string{{"word3"}}, 1, 60)
	if want := n.matches("private", [][]string{{"word3"}}, 1, 60); err != nil || !slices.Equal(got, want) {
		t.Fatalf("after they were made again: %v, %v, expected %v", got, err, want)
	}
	for _, s := range x.segments {
		if !s.Terms {
			t.Errorf("%s has no terms", s.Name)
		}
	}
	n.answersAll(t, x)
}

// The example in testdata was written by the first program that had an index.
func TestTheFirstFormatIsRead(t *testing.T) {
	b, err := os.ReadFile("segment/testdata/index_1-7")
	if err != nil {
		t.Fatal(err)
	}
	if k, err := seal.ParsePrefix([seal.PrefixSize]byte(b)); err != nil || k.Terms || k.Own {
		t.Errorf("%+v, %v", k, err)
	}
	b[len(seal.Magic)] = 5
	if _, err := seal.ParsePrefix([seal.PrefixSize]byte(b)); !errors.Is(err, coco.ErrCorrupt) {
		t.Errorf("a later format: %v", err)
	}
}
