package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/history/segment"
	"github.com/cocoframework/coco/ledger"
)

// rewrite replaces a file.
func (n *network) rewrite(name string, data []byte) {
	n.t.Helper()
	f, err := n.disk.Create(name)
	if err != nil {
		n.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil {
		n.t.Fatal(err)
	}
}

func TestDamagedChunkIsSetAsideAndIndexedWhenItIsBack(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(150)
	c := n.log.Chunks()[1]
	name := fmt.Sprintf("%s/ledger_%d-%d", ledgerDir, c.First, c.Last)
	good := n.world.Files("n", ledgerDir)[name]
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	n.rewrite(name, bad)
	x := n.index(0)
	runOn(x)
	if n.world.Files("n", ledgerDir)[name] != nil {
		t.Fatal("the damaged chunk is still in use")
	}
	if s := x.Status(); s.Segments < 3 || len(s.Missing) != 1 {
		t.Fatalf("status %+v, expected the chunks before and behind to be indexed", s)
	}
	if !n.checkGet(x, "private", "hot", n.tree.Size()) {
		t.Error("the newest value is not answered, though its chunk is here")
	}
	n.rewrite(name, good)
	runOn(x)
	n.answersAll(t, x)
}

func TestChunkOfAnotherHistoryIsNotIndexed(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(40)
	chunks := n.log.Chunks()
	c := chunks[len(chunks)-2]
	name := fmt.Sprintf("%s/ledger_%d-%d", ledgerDir, c.First, c.Last)
	other := n.world.Files("n", ledgerDir)[name]
	runOn(n.index(0))

	// The network goes on without that chunk and writes one of the same size in its place. The disk
	// shows the old one, which every signature and key vouches for.
	n.rewind(slices.IndexFunc(n.done, func(b recorded) bool { return b.at.Index >= c.First }))
	n.fill(20)
	x := n.index(0)
	if _, ok := n.world.Files("n", ledgerDir)[name]; !ok {
		t.Fatalf("there is no %s: the new chunk has other bounds", name)
	}
	n.rewrite(name, other)
	runOn(x)
	for seqno := uint64(1); seqno <= n.tree.Size(); seqno++ {
		n.checkGet(x, "private", "hot", seqno)
		n.checkGet(x, "private", "once5", seqno)
	}
	if _, ok := n.world.Files("n", ledgerDir)[name]; ok {
		t.Error("the old chunk is still in use")
	}
}

func TestIndexOfWhatWasCutOffDoesNotSurvive(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(40)
	runOn(n.index(0))
	files := n.indexFiles()
	n.cut(22)
	n.fill(40)
	x := n.index(0)
	runOn(x)
	n.answersAll(t, x)
	for _, name := range n.indexFiles() {
		if slices.Contains(files[len(files)-1:], name) && len(x.loop.claimed) > 0 {
			t.Errorf("%s of the ledger that was cut off is still there", name)
		}
	}
	if len(x.loop.claimed) > 0 {
		t.Errorf("%d files are still in doubt", len(x.loop.claimed))
	}
}

func TestFullDiskDelaysFilesOnly(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(20)
	var used int64
	for _, dir := range []string{ledgerDir, indexDir} {
		for _, data := range n.world.Files("n", dir) {
			used += int64(len(data))
		}
	}
	n.world.SetDiskCapacity("n", used+segment.BlockSize)
	x := n.index(0)
	runOn(x)
	if s := x.Status(); s.Segments > 0 || s.Fault == "" {
		t.Fatalf("status %+v, expected a fault", s)
	}
	if !n.checkGet(x, "private", "hot", 3) {
		t.Error("what is in memory is not answered")
	}
	n.world.SetDiskCapacity("n", 0)
	runOn(x)
	n.answersAll(t, x)
	if s := x.Status(); s.Segments == 0 || s.Fault != "" {
		t.Errorf("status %+v", s)
	}
}

func TestCrashWhileWritingAnIndexFileLeavesNoHalfOne(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(40)
	for seed := range 8 {
		x := n.index(0)
		for range 3 + seed {
			x.step(t.Context())
		}
		n.rewrite(indexDir+"/"+segment.FileName(1, 9)+segment.PartSuffix, []byte("half"))
		n.world.CrashTorn("n")
		n.world.Restart("n")
		n.disk = n.world.Host("n").Disk
		n.openLog()
	}
	x := n.index(0)
	runOn(x)
	n.answersAll(t, x)
	for _, name := range n.indexFiles() {
		if strings.HasSuffix(name, segment.PartSuffix) {
			t.Errorf("%s is still there", name)
		}
	}
}

// forge changes a public value in a batch of a ledger file, and everything in the batch that somebody
// without keys can change with it: digests, leaf, root and the frame's checksum. The caller knows the
// transaction's salt, as whoever has its receipt does.
func (n *network) forge(t *testing.T, b recorded) {
	t.Helper()
	entries, err := n.log.Read(b.at.Index, b.at.Index+1, 0)
	if err != nil {
		t.Fatal(err)
	}
	sound := must(batch.Decode(entries[0].Data))
	keys := must(n.keys(sound.Header.Epoch))
	records := must(sound.Open(keys))
	public := bytes.Replace(records[0].Public, []byte("value"), []byte("VALUE"), 1)
	old := bytes.Clone(sound.HeaderBytes)
	part := bytes.Replace(publicPart(t, entries[0].Data, records), records[0].Public, public, 1)
	salt := must(keys.Salt(b.at.View, b.first))
	leaf := batch.Leaf(b.first, salt, batch.WriteSetDigest(public, records[0].Private), sha256.Sum256(records[0].Claims))
	leaves := sound.Leaves()
	tree := b.before.Clone()
	was := leaves[0]
	leaves[0] = leaf
	for _, l := range leaves {
		tree.Append(l)
	}
	h := sound.Header
	h.Public, h.Root = sha256.Sum256(part), tree.Root()
	header := must(h.MarshalBinary())

	data := bytes.Replace(entries[0].Data, old, header, 1)
	data = bytes.Replace(data, records[0].Public, public, 1)
	data = bytes.Replace(data, was[:], leaf[:], 1)
	if bytes.Equal(data, entries[0].Data) {
		t.Fatal("nothing was forged")
	}
	forged := must(batch.Decode(data))
	before := b.before.Clone()
	if err := forged.VerifyRoot(&before); err != nil {
		t.Fatalf("the forgery is not good enough: %v", err)
	}
	if _, err := forged.Open(keys); err != nil {
		t.Fatalf("the forgery is not good enough: %v", err)
	}
	for name, file := range n.world.Files("n", ledgerDir) {
		at := bytes.Index(file, entries[0].Data)
		if at < 0 {
			continue
		}
		file = bytes.Clone(file)
		copy(file[at:], data)
		frame := file[at-25 : at+len(data)] // len, crc, kind, view, index
		table := crc32.MakeTable(crc32.Castagnoli)
		binary.BigEndian.PutUint32(frame[4:], crc32.Update(crc32.Checksum(frame[:4], table), table, frame[8:]))
		n.rewrite(name, file)
		return
	}
	t.Fatal("the batch is in no file")
}

// publicPart returns the encoded public part of a batch.
func publicPart(t *testing.T, data []byte, records []batch.Record) []byte {
	t.Helper()
	var b []byte
	b = append(b, 0x80|byte(len(records)))
	for _, r := range records {
		if len(r.Public) >= 24 {
			b = append(b, 0x58)
		} else {
			b = append(b, 0x40|byte(len(r.Public)))
			b = append(b, r.Public...)
			continue
		}
		b = append(append(b, byte(len(r.Public))), r.Public...)
	}
	if !bytes.Contains(data, b) {
		t.Fatal("the public part is encoded in another way")
	}
	return b
}

func TestForgedBatchIsNeverAnswered(t *testing.T) {
	for _, indexed := range []bool{false, true} {
		for i := range 4 {
			joined, last := i&1 == 1, i&2 == 2
			t.Run(fmt.Sprintf("indexed=%v joined=%v last of its chunk=%v", indexed, joined, last), func(t *testing.T) {
				n := newNetwork(t, 3000)
				n.fill(150)
				victim := 30
				if last {
					victim = int(n.log.Chunks()[3].Last - 1)
				}
				from := 0
				if joined {
					from = 140
				}
				x := n.index(from)
				if indexed {
					runOn(x)
				}
				n.forge(t, n.done[victim])
				next := n.chunks()[4]
				if last { // nothing that follows can tell, for a while
					n.move(ledgerDir, awayDir, next)
				}
				y := n.index(from)
				y.cfg.Ledger = must(ledger.Open(n.disk, ledgerDir, ledger.Options{ChunkBytes: n.chunk}))
				forged := n.done[victim].first
				for range 400 { // not even for a moment
					if wait := y.step(t.Context()); wait > 0 {
						<-y.cfg.Clock.After(min(wait, poll))
					}
					n.checkGet(y, "public", fmt.Sprint("key", victim%7), forged)
				}
				for round := range 5 {
					if last && round == 2 {
						n.move(awayDir, ledgerDir, next)
					}
					runOn(y)
					for seqno := uint64(1); seqno <= n.tree.Size(); seqno++ {
						for i := range 7 {
							n.checkGet(y, "public", fmt.Sprint("key", i), seqno)
						}
						n.checkPlace(y, seqno)
					}
				}
				var aside []string
				names, _ := n.disk.List(ledgerDir)
				for _, name := range names {
					if strings.HasSuffix(name, ".damaged") {
						aside = append(aside, name)
					}
				}
				c, _ := chunkAt(n.log.Chunks(), n.done[victim].at.Index)
				if want := fmt.Sprintf("ledger_%d-%d.damaged", c.First, c.Last); len(aside) != 1 || aside[0] != want {
					t.Errorf("set aside: %v, expected %s: %+v", aside, want, y.Status())
				}
			})
		}
	}
}
