package segment

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/history/seal"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/internal/lru"
)

// fuzzKeys are of epoch 1 whatever is asked for: the epoch of a file stands in the clear.
func fuzzKeys(uint64) (*batch.Keys, error) { return batch.NewKeys(1, [32]byte{1}), nil }

func fuzzKeying(k seal.Kind) (seal.Keying, error) {
	if k.Own {
		return nil, fmt.Errorf("%w: no key of the node's own", coco.ErrCorrupt)
	}
	return batch.NewKeys(1, [32]byte{1}).Sub, nil
}

// use opens a file and asks it all that a segment can be asked.
func use(t *testing.T, disk host.Disk, name string) error {
	s, err := Open(disk, "history", name, fuzzKeying, lru.New[BlockID, []byte](1<<20))
	if err != nil {
		return err
	}
	r := s.Reader()
	defer r.Close()
	_, err = s.End()
	for _, seqno := range []uint64{s.From, (s.From + s.To) / 2, s.To} {
		n, err1 := r.Find(seqno)
		if err1 == nil && n >= s.Batches {
			t.Fatalf("batch %d of %d", n, s.Batches)
		}
		if err1 == nil {
			_, _, err1 = r.Ref(n)
		}
		if err1 == nil {
			_, _, err1 = r.Before(n)
		}
		err = errors.Join(err, err1)
	}
	for _, first := range []byte{0, 0x7f, 0xff} {
		n, ok, err1 := r.last(Hash{first}, s.Batches)
		if ok && n >= s.Batches {
			t.Fatalf("batch %d of %d", n, s.Batches)
		}
		err = errors.Join(err, err1)
	}
	return err
}

func create(t *testing.T, name string, data []byte) host.Disk {
	disk := sim.New(1).Host("n").Disk
	f, err := disk.Create("history" + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return disk
}

// sample is an index file of seven batches, sealed under fuzzKeys. It is the format's test vector, too; package history makes it by -update.
const sample = "index_1-7"

func sampleFile(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + sample)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFilesOfThisFormatStayReadable(t *testing.T) {
	disk := create(t, sample, sampleFile(t))
	if err := use(t, disk, sample); err != nil {
		t.Fatal(err)
	}
	s := must(Open(disk, "history", sample, fuzzKeying, lru.New[BlockID, []byte](1<<20)))
	if s.First != 1 || s.Last != 7 || s.From != 1 || s.To != 14 || s.Batches != 7 {
		t.Errorf("entries %d to %d, seqnos %d to %d, %d batches; expected 1 to 7, 1 to 14, 7", s.First, s.Last, s.From, s.To, s.Batches)
	}
	r := s.Reader()
	defer r.Close()
	for i := range uint32(7) {
		at, last, err := r.Ref(i)
		if err != nil || at.First != uint64(2*i+1) || last != uint64(2*i+2) || at.Index != uint64(i+1) || at.View != 1 {
			t.Errorf("batch %d: %+v to %d, %v", i, at, last, err)
		}
		n, ok, err := r.last(HashOf("private", fmt.Appendf(nil, "once%d", i)), 7)
		if err != nil || !ok || n != i {
			t.Errorf("key of batch %d: found in %d, %v, %v", i, n, ok, err)
		}
	}
	if f, err := r.slot(0); err != nil || f.Size() != 0 {
		t.Errorf("the tree before has %d leaves, %v", f.Size(), err)
	}
}

// FuzzFile opens files as a lying host may return them.
func FuzzFile(f *testing.F) {
	name, good := sample, sampleFile(f)
	f.Add(good)
	f.Add(good[:BlockSize])
	f.Add([]byte(seal.Magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := use(t, create(t, name, data), name); err == nil && !bytes.Equal(data, good) {
			t.Fatal("a file that was changed is taken")
		} else if err != nil && !errors.Is(err, coco.ErrCorrupt) {
			t.Fatalf("wrong kind of error: %v", err)
		}
	})
}

// FuzzContents seals blocks of any contents, which only a faulty enclave could: looking things up in them
// must end, within the file.
func FuzzContents(f *testing.F) {
	name, good := sample, sampleFile(f)
	sealed := must(seal.New(must(fuzzKeys(1)).Sub, [seal.PrefixSize]byte(good)))
	plain := must(sealed.Open(0, good[seal.PrefixSize:BlockSize]))
	for n := 1; n*BlockSize < len(good); n++ {
		plain = append(plain, must(sealed.Open(n, good[n*BlockSize:][:BlockSize]))...)
	}
	f.Add(plain)
	f.Add(plain[:headerData])
	f.Fuzz(func(t *testing.T, plain []byte) {
		if len(plain) > 1<<16 {
			return
		}
		prefix := seal.Kind{Epoch: 1}.Prefix([seal.SaltSize]byte{})
		s := must(seal.New(must(fuzzKeys(1)).Sub, prefix))
		plain = append(plain, make([]byte, max(0, headerData-len(plain)))...)
		data := s.Seal(append([]byte{}, prefix[:]...), 0, plain[:headerData])
		for n, rest := 1, plain[headerData:]; len(rest) >= blockData; n++ {
			data = s.Seal(data, n, rest[:blockData])
			rest = rest[blockData:]
		}
		if err := use(t, create(t, name, data), name); err != nil && !errors.Is(err, coco.ErrCorrupt) {
			t.Fatalf("wrong kind of error: %v", err)
		}
	})
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}
