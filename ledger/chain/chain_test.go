package chain

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host/mem"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/merkle"
)

// entries makes a ledger of batches, with a leader's first entry as every fifth, the first one among them.
func entries(t *testing.T, count uint64) []batch.Entry {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := batch.NewKeys(1, [32]byte{1})
	var tree merkle.Frontier
	var chain coco.Digest
	out := make([]batch.Entry, count)
	for i := range out {
		index := uint64(i) + 1
		e := batch.Entry{View: 2, Index: index, Kind: batch.KindView}
		if i%5 != 0 {
			e.Kind = batch.KindBatch
			if e.Data, err = batch.Seal(batch.Header{
				View: 2, Index: index, First: tree.Size() + 1, Epoch: 1, Prev: chain, Time: index,
			}, []batch.Record{{Public: fmt.Append(nil, "record ", index)}}, &tree, keys, key); err != nil {
				t.Fatal(err)
			}
		}
		out[i], chain = e, e.Chain(chain)
	}
	return out
}

func TestEntriesThatDoNotLeadToTheNextOneAreRefused(t *testing.T) {
	all := entries(t, 12)
	b, err := batch.Decode(all[11].Data) // entry 11, between, is a leader's first
	if err != nil {
		t.Fatal(err)
	}
	after := Link{between: all[10:11], digest: b.Header.Prev, known: true}
	check := func(first uint64, part []batch.Entry) error {
		c := NewCheck(first, 10, after)
		for _, e := range part {
			if err := c.Next(e); err != nil {
				return err
			}
		}
		return nil
	}
	for first := range uint64(9) { // from every entry on, unless there is no batch
		if err := check(first+1, all[first:10]); err != nil {
			t.Errorf("entries from %d on: %v", first+1, err)
		}
	}
	other := entries(t, 12) // another key: the same entries with other signatures
	for i := range 10 {
		altered := slices.Clone(all[:10])
		altered[i].View++
		if err := check(1, altered); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("entry %d with another view: %v", i+1, err)
		}
		if i%5 == 0 {
			continue
		}
		altered[i] = other[i]
		if err := check(1, altered); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("entry %d of another ledger: %v", i+1, err)
		}
	}
}

const dir = "ledger"

// written writes a ledger of chunks of a few entries, without some of the files.
func written(t *testing.T, all []batch.Entry, chunkBytes int64, without ...string) (*mem.Disk, *ledger.Log) {
	t.Helper()
	disk := mem.New()
	log, err := ledger.Open(disk, dir, ledger.Options{ChunkBytes: chunkBytes})
	if err == nil {
		err = log.Append(all)
	}
	if err == nil {
		err = log.Sync()
	}
	for _, name := range without {
		err = errors.Join(err, disk.Remove(dir+"/"+name))
	}
	if err == nil {
		err = log.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return disk, opened(t, disk)
}

func opened(t *testing.T, disk *mem.Disk) *ledger.Log {
	t.Helper()
	log, err := ledger.Open(disk, dir, ledger.Options{ChunkBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log
}

// change flips a byte of each frame of a file in turn, and mends its checksum if asked to.
func change(files map[string][]byte, name string, mended bool, frame int) map[string][]byte {
	out := maps.Clone(files)
	b := slices.Clone(out[name])
	at := 0
	for ; frame > 0; frame-- {
		at += 8 + int(binary.BigEndian.Uint32(b[at:]))
	}
	n := int(binary.BigEndian.Uint32(b[at:]))
	b[at+8+n-1] ^= 0x10 // the last byte of the entry's data, or of its index
	if mended {
		castagnoli := crc32.MakeTable(crc32.Castagnoli)
		crc := crc32.Update(crc32.Checksum(b[at:at+4], castagnoli), castagnoli, b[at+8:at+8+n])
		binary.BigEndian.PutUint32(b[at+4:], crc)
	}
	out[name] = b
	return out
}

// contents reads a whole log.
func contents(t *testing.T, log *ledger.Log) (all []batch.Entry) {
	t.Helper()
	next := reader(log, 1, log.Last())
	for range log.Last() {
		e, err := next()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// Whatever entry of a complete chunk is changed, with or without its checksum, another ledger replaces the chunk: also one whose
// files end elsewhere.
func TestADamagedChunkIsTakenFromAnotherLedger(t *testing.T) {
	all := entries(t, 40)
	disk, log := written(t, all, 1000)
	chunks := log.Chunks()
	if len(chunks) < 4 || chunks[len(chunks)-1].Complete {
		t.Fatalf("chunks %v: the test shows nothing", chunks)
	}
	_, same := written(t, all, 1000)
	_, other := written(t, all, 1700)
	files := disk.Files("")
	for _, c := range chunks[:len(chunks)-1] {
		for frame := range int(c.Last - c.First + 1) {
			for _, mended := range []bool{false, true} {
				if mended && all[int(c.First)-1+frame].Kind != batch.KindBatch {
					continue // its index is changed: it does not open as a chunk
				}
				hurt := mem.New()
				hurt.SetFiles(change(files, fmt.Sprintf("%s/ledger_%d-%d", dir, c.First, c.Last), mended, frame))
				for i, from := range []*ledger.Log{same, other} {
					copied := mem.New()
					copied.SetFiles(hurt.Files(""))
					log := opened(t, copied)
					done, err := Repair(log, []*ledger.Log{from})
					if err != nil || len(done) != 1 || done[0].First != c.First || done[0].Last != c.Last || done[0].Damage == nil {
						t.Fatalf("entry %d, mended %t, other ledger %d: %+v, %v", int(c.First)+frame, mended, i, done, err)
					}
					for i, e := range contents(t, log) {
						if e.Chain(coco.Digest{}) != all[i].Chain(coco.Digest{}) {
							t.Fatalf("entry %d is not what it was", i+1)
						}
					}
				}
			}
		}
	}
}

func TestARepairFillsWhatIsMissingFromSeveralLedgers(t *testing.T) {
	all := entries(t, 40)
	_, whole := written(t, all, 1000)
	c := whole.Chunks()
	name := func(i int) string { return fmt.Sprintf("ledger_%d-%d", c[i].First, c[i].Last) }
	_, log := written(t, all, 1000, name(0), name(1), name(2))
	_, one := written(t, all, 1000, name(0), name(2))
	_, two := written(t, all, 1000, name(1))
	if _, err := Repair(log, []*ledger.Log{one}); !errors.Is(err, coco.ErrMissing) {
		t.Errorf("nobody has a part of the ledger: %v", err)
	}
	if _, err := Repair(log, []*ledger.Log{one, two}); err != nil || len(log.Missing()) > 0 {
		t.Errorf("missing %v: %v", log.Missing(), err)
	}
}

// Nothing of a ledger that went another way gets in, and the damaged file stays where it is.
func TestARepairTakesNothingThatDoesNotLeadOn(t *testing.T) {
	all := entries(t, 40)
	disk, log := written(t, all, 1000)
	c := log.Chunks()[1]
	name := fmt.Sprintf("%s/ledger_%d-%d", dir, c.First, c.Last)
	disk.SetFiles(change(disk.Files(""), name, true, 1))
	_, foreign := written(t, entries(t, 40), 1000)
	log = opened(t, disk)
	done, err := Repair(log, []*ledger.Log{foreign})
	if !errors.Is(err, coco.ErrCorrupt) || len(done) > 0 {
		t.Errorf("%+v, %v", done, err)
	}
	if _, ok := disk.Files("")[name]; !ok {
		t.Errorf("%s is gone: %v", name, slices.Sorted(maps.Keys(disk.Files(""))))
	}
}

// The chunk after a damaged one is judged only if nobody replaces it any more.
func TestAChunkThatIsNotSettledIsNotJudged(t *testing.T) {
	all, other := entries(t, 40), entries(t, 40)
	_, log := written(t, all, 1000)
	c, next := log.Chunks()[1], log.Chunks()[2]
	half := next.First + (next.Last-next.First)/2
	if all[next.First-1].Kind != batch.KindBatch || half == next.First {
		t.Fatalf("chunks %v: the test shows nothing", log.Chunks())
	}
	disk, _ := written(t, slices.Concat(all[:half], other[half:]), 1000)
	disk.SetFiles(change(disk.Files(""), fmt.Sprintf("%s/ledger_%d-%d", dir, c.First, c.Last), true, int(c.Last-c.First)))
	log = opened(t, disk)
	for settled, want := range map[uint64]ledger.Chunk{next.First: c, next.Last - 1: c, next.Last: next} {
		found, err := Examine(log, log.Chunks()[1], settled, func(int) error { return nil })
		if !IsDamage(err) || found.First != want.First {
			t.Errorf("settled up to %d: the chunk from %d on, %v, expected the one from %d on", settled, found.First, err, want.First)
		}
	}
	if found, err := Examine(log, log.Chunks()[1], c.Last, func(int) error { return nil }); err != nil {
		t.Errorf("by what is not settled the chunk from %d on is damaged: %v", found.First, err)
	}
}
