package history

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/history/seal"
	"github.com/cocoframework/coco/history/segment"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/store"
)

// fill commits n batches of two transactions that change one private and one public key each.
func (n *network) fill(count int) {
	for range count {
		i := len(n.done)
		n.commit(
			[]store.Write{put("private", "hot", fmt.Sprint("hot ", i)), put("public", fmt.Sprint("key", i%7), fmt.Sprint("value ", i))},
			[]store.Write{put("private", fmt.Sprint("once", i), fmt.Sprint("planted secret ", i))},
		)
	}
}

// answersAll says that an index answers for everything.
func (n *network) answersAll(t *testing.T, x *Index) {
	t.Helper()
	for seqno := uint64(1); seqno <= n.tree.Size(); seqno++ {
		if !n.checkPlace(x, seqno) || !n.checkGet(x, "private", "hot", seqno) || !n.checkGet(x, "public", "key3", seqno) ||
			!n.checkGet(x, "private", "once5", seqno) || !n.checkGet(x, "public", "never", seqno) {
			_, err := x.Get(t.Context(), "private", []byte("hot"), seqno)
			t.Fatalf("seqno %d is not answered: %v; %+v", seqno, err, x.Status())
		}
	}
}

func (n *network) indexFiles() (names []string) {
	for name := range n.world.Files("n", indexDir) {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func TestRunIndexesWhatIsCommittedAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 3000)
		n.fill(5)
		x := n.index(0)
		x.cfg.Clock = n.world.Host("n").Clock
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- x.Run(ctx) }()
		for range 20 {
			n.fill(2)
			for _, b := range n.done[len(n.done)-2:] {
				x.Committed(b.at, b.first)
				n.checkPlace(x, b.at.Seqno) // at once
			}
			time.Sleep(time.Second)
			n.answersAll(t, x)
		}
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		if s := x.Status(); s.Segments < 3 || s.Indexed != s.Committed {
			t.Fatalf("status %+v, expected several files and everything indexed", s)
		}
	})
}

func TestRestartUsesFilesAsTheyAre(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(60)
	runOn(n.index(0))
	before := n.world.Files("n", indexDir)
	if len(before) < 5 {
		t.Fatalf("%d index files, expected one for each chunk", len(before))
	}
	x := n.index(0)
	runOn(x)
	n.answersAll(t, x)
	for name, data := range n.world.Files("n", indexDir) {
		if !bytes.Equal(before[name], data) {
			t.Errorf("%s was made again", name)
		}
	}
	if !slices.Equal(n.chunkRanges(), ranges(x)) {
		t.Errorf("segments %v, chunks %v", ranges(x), n.chunkRanges())
	}
}

// chunkRanges returns the entries of the complete chunks.
func (n *network) chunkRanges() (out []string) {
	for _, c := range n.log.Chunks() {
		if c.Complete {
			out = append(out, fmt.Sprint(c.First, "-", c.Last))
		}
	}
	return out
}

func ranges(x *Index) (out []string) {
	for _, s := range x.segments {
		out = append(out, fmt.Sprint(s.First, "-", s.Last))
	}
	return out
}

func TestAnswersWaitForTheIndexUnlessTheyAreCertain(t *testing.T) {
	n := newNetwork(t, 1<<20)
	n.fill(10)
	x := n.index(0)
	runOn(x)
	indexed := n.tree.Size()
	n.fill(1)
	b := n.done[10]
	x.Committed(b.at, b.first)
	for at := uint64(0); at <= indexed; at++ {
		if !n.checkGet(x, "private", "hot", at) {
			t.Errorf("seqno %d is indexed, but not answered", at)
		}
	}
	_, err := x.Get(t.Context(), "private", []byte("hot"), indexed+1)
	if !errors.Is(err, coco.ErrPending) || !strings.Contains(err.Error(), fmt.Sprintf("seqno %d of %d", indexed, indexed+2)) {
		t.Errorf("got %v, expected that the index has come to %d of %d", err, indexed, indexed+2)
	}
	if _, err := x.Get(t.Context(), "private", []byte("hot"), indexed+3); !errors.Is(err, coco.ErrPending) {
		t.Errorf("a seqno that is not committed: got %v", err)
	}
	if _, err := x.Find(indexed + 3); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("a transaction that is not committed: got %v", err)
	}
	if _, err := x.Find(0); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("seqno 0: got %v", err)
	}
	if !n.checkPlace(x, indexed+2) {
		t.Error("the newest transaction must be found at once")
	}
}

func TestNothingPrivateIsInTheClear(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(20)
	runOn(n.index(0))
	first := n.world.Files("n", indexDir)
	for name, data := range first {
		for _, secret := range []string{"planted", "once", "hot"} {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds %q in the clear", name, secret)
			}
		}
		for i := range 20 {
			h := segment.HashOf("private", fmt.Appendf(nil, "once%d", i))
			if bytes.Contains(data, h[:4]) {
				t.Errorf("%s holds a key's hash in the clear", name)
			}
		}
		if err := n.disk.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	runOn(n.index(0))
	for name, data := range n.world.Files("n", indexDir) {
		old := first[name]
		if len(old) != len(data) {
			t.Fatalf("%s: %d bytes, the first time %d", name, len(data), len(old))
		}
		for off := seal.PrefixSize; off+seal.TagSize <= len(data); off += seal.TagSize {
			if bytes.Equal(old[off:off+seal.TagSize], data[off:off+seal.TagSize]) {
				t.Fatalf("%s: the same bytes at offset %d as the first time: a key was used again", name, off)
			}
		}
	}
}

// joiner returns an index on a node that began with a snapshot at a batch, and the log of that node.
func (n *network) joiner(t *testing.T, from int) (*Index, *ledger.Log) {
	t.Helper()
	start := n.done[from-1].at
	chunks := n.log.Chunks()
	c, _ := chunkAt(chunks, start.Index)
	disk := n.world.Host("joiner").Disk
	log, err := ledger.Open(disk, ledgerDir, ledger.Options{ChunkBytes: n.chunk})
	if err != nil {
		t.Fatal(err)
	}
	if err := log.StartAt(c.First); err != nil {
		t.Fatal(err)
	}
	entries, err := n.log.Read(c.First, n.last+1, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(log.Append(entries), log.Sync()); err != nil {
		t.Fatal(err)
	}
	x := n.index(from)
	x.cfg.Disk, x.cfg.Ledger = disk, log
	return x, log
}

// insert copies a chunk to another log.
func (n *network) insert(t *testing.T, to *ledger.Log, c ledger.Chunk) {
	t.Helper()
	entries, err := n.log.Read(c.First, c.Last+1, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	err = to.Insert(c.First, c.Last, func() (batch.Entry, error) {
		e := entries[0]
		entries = entries[1:]
		return e, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestJoinerIndexesChunksThatComeLaterInAnyOrder(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(60)
	const from = 40
	x, log := n.joiner(t, from)
	runOn(x)
	start := n.done[from-1].at.Seqno
	for seqno := start + 1; seqno <= n.tree.Size(); seqno++ {
		if !n.checkPlace(x, seqno) || !n.checkGet(x, "private", "hot", seqno) && seqno > start+2 {
			t.Fatalf("seqno %d is after the start, but not answered", seqno)
		}
	}
	if _, err := x.Find(start); !errors.Is(err, coco.ErrMissing) {
		t.Errorf("before the start: got %v", err)
	}
	if _, err := x.Get(t.Context(), "private", []byte("once3"), n.tree.Size()); !errors.Is(err, coco.ErrMissing) {
		t.Errorf("written before the start: got %v", err)
	}
	if m := x.Status().Missing; len(m) != 1 || m[0] != (Range{1, start}) {
		t.Errorf("missing %v, expected seqnos 1 to %d", m, start)
	}
	live := log.First()
	for _, c := range slices.Backward(n.log.Chunks()) {
		if c.First < live {
			n.insert(t, log, c)
			runOn(x)
			n.checkGet(x, "private", "once3", n.tree.Size())
		}
	}
	n.answersAll(t, x)
	if s := x.Status(); s.Building || len(s.Missing) > 0 {
		t.Errorf("status %+v", s)
	}

	// Started again from the snapshot, it finds all of its files, and the next one vouches for each.
	y := n.index(from)
	y.cfg = x.cfg
	runOn(y)
	n.answersAll(t, y)
	if !slices.Equal(ranges(x), ranges(y)) {
		t.Errorf("segments %v, before the restart %v", ranges(y), ranges(x))
	}
}

func TestFilesWaitForTheirEpochsKey(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(20)
	n.epochs = 2
	n.fill(20)
	runOn(n.index(0))
	before := n.world.Files("n", indexDir)
	n.epochs = 1
	x := n.index(0)
	runOn(x)
	if !n.checkGet(x, "private", "hot", 3) || n.checkGet(x, "private", "hot", n.tree.Size()) {
		t.Errorf("answers do not follow the keys; %+v", x.Status())
	}
	n.epochs = 2
	runOn(x)
	n.answersAll(t, x)
	mixed := 0 // the file whose first batches could be read, and were
	for name, data := range before {
		if !bytes.Equal(n.world.Files("n", indexDir)[name], data) {
			mixed++
		}
	}
	if mixed > 1 {
		t.Errorf("%d files were made again, expected at most that of both epochs", mixed)
	}
}

func TestMemoryIsBoundedByWhatIsNotInAFile(t *testing.T) {
	n := newNetwork(t, 1<<20) // one chunk
	x := n.index(0)
	x.limits.records, x.limits.batches = 200, 100
	for range 60 {
		n.fill(10)
		for _, b := range n.done[len(n.done)-10:] {
			x.Committed(b.at, b.first)
		}
		for x.step(t.Context()) == 0 {
		}
		if s := x.Status(); s.Records > 210 || x.recent.Len() > 100+2*segment.SlotEvery {
			t.Fatalf("%d records and %d batches in memory, with %d files", s.Records, x.recent.Len(), s.Segments)
		}
	}
	n.answersAll(t, x)
}

func TestReadersDoNotDisturbTheIndexer(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(120)
	x := n.index(100)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for i := range uint64(3) {
		readers.Go(func() {
			for seqno := 1 + i; ; seqno = seqno%200 + 1 {
				select {
				case <-stop:
					return
				default:
				}
				n.checkGet(x, "private", "hot", seqno)
				n.checkPlace(x, seqno)
				x.Status()
			}
		})
	}
	for _, b := range n.done[100:] {
		_ = b // committed by n.index
		for range 5 {
			x.step(t.Context())
		}
	}
	runOn(x)
	close(stop)
	readers.Wait()
	n.answersAll(t, x)
}

func TestLargeSegmentFindsEveryKey(t *testing.T) {
	const batches, writes = 130, 340 // three levels of records, two of the directory
	n := newNetwork(t, 16<<20)
	for i := range batches {
		tx := make([]store.Write, writes)
		for j := range tx {
			tx[j] = put("private", fmt.Sprint("key ", i*writes+j), fmt.Sprint(i))
		}
		tx[0] = put("private", "hot", fmt.Sprint("hot ", i))
		n.commit(tx)
	}
	for _, inFile := range []bool{false, true} {
		x := n.index(0)
		if inFile {
			x.limits.records = batches * writes
		}
		runOn(x)
		if s := x.Status(); (s.Segments == 1) != inFile || (s.Records == batches*writes) == inFile {
			t.Fatalf("status %+v", s)
		}
		for i := 1; i < batches*writes; i += 211 {
			if key := fmt.Sprint("key ", i); !n.checkGet(x, "private", key, n.tree.Size()) || !n.checkGet(x, "private", key, uint64(i/writes)) {
				t.Fatalf("%s is not answered", key)
			}
		}
		for seqno := uint64(1); seqno <= n.tree.Size(); seqno++ {
			if !n.checkGet(x, "private", "hot", seqno) || !n.checkPlace(x, seqno) {
				t.Fatalf("seqno %d is not answered", seqno)
			}
		}
	}
}
