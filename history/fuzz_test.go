package history

import (
	"bytes"
	"errors"
	"flag"
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

var update = flag.Bool("update", false, "write the test vector anew")

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
	s, err := openSegment(disk, indexDir, name, fuzzKeying, lru.New[blockID, []byte](1<<20))
	if err != nil {
		return err
	}
	r := s.reader()
	defer r.close()
	_, err = s.end()
	for _, seqno := range []uint64{s.from, (s.from + s.to) / 2, s.to} {
		n, err1 := r.find(seqno)
		if err1 == nil && n >= s.batches {
			t.Fatalf("batch %d of %d", n, s.batches)
		}
		if err1 == nil {
			_, _, err1 = r.ref(n)
		}
		_, err2 := s.locate(seqno)
		err = errors.Join(err, err1, err2)
	}
	for _, first := range []byte{0, 0x7f, 0xff} {
		n, ok, err1 := r.last(hash{first}, s.batches)
		if ok && n >= s.batches {
			t.Fatalf("batch %d of %d", n, s.batches)
		}
		err = errors.Join(err, err1)
	}
	return err
}

func create(t *testing.T, name string, data []byte) host.Disk {
	disk := sim.New(1).Host("n").Disk
	f, err := disk.Create(indexDir + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	return disk
}

// sample is an index file of seven batches, sealed under fuzzKeys. It is the format's test vector, too.
const sample = "index_1-7"

func sampleFile(t fatal) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + sample)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFilesOfThisFormatStayReadable(t *testing.T) {
	if *update {
		n := newNetwork(t, 3000)
		n.fill(10)
		runOn(n.index(0))
		if err := os.WriteFile("testdata/"+sample, n.world.Files("n", indexDir)[indexDir+"/"+sample], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	disk := create(t, sample, sampleFile(t))
	if err := use(t, disk, sample); err != nil {
		t.Fatal(err)
	}
	s := must(openSegment(disk, indexDir, sample, fuzzKeying, lru.New[blockID, []byte](1<<20)))
	if s.first != 1 || s.last != 7 || s.from != 1 || s.to != 14 || s.batches != 7 {
		t.Errorf("entries %d to %d, seqnos %d to %d, %d batches; expected 1 to 7, 1 to 14, 7", s.first, s.last, s.from, s.to, s.batches)
	}
	r := s.reader()
	defer r.close()
	for i := range uint32(7) {
		at, last, err := r.ref(i)
		if err != nil || at.first != uint64(2*i+1) || last != uint64(2*i+2) || at.index != uint64(i+1) || at.view != 1 {
			t.Errorf("batch %d: %+v to %d, %v", i, at, last, err)
		}
		n, ok, err := r.last(hashOf("private", fmt.Appendf(nil, "once%d", i)), 7)
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
	f.Add(good[:blockSize])
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
	plain := must(sealed.Open(0, good[seal.PrefixSize:blockSize]))
	for n := 1; n*blockSize < len(good); n++ {
		plain = append(plain, must(sealed.Open(n, good[n*blockSize:][:blockSize]))...)
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
