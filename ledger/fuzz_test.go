package ledger_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/ledger"
)

func FuzzDecode(f *testing.F) {
	for _, n := range []int{1, 2, 30} {
		s := sealSome(f, n)
		f.Add(s.data)
		f.Add(s.data[:len(s.data)/2])
	}
	f.Add([]byte{0x85, 0x40, 0x40, 0x40, 0x40, 0x40})
	f.Add([]byte{0x85, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ledger.Decode(data)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) && !errors.Is(err, coco.ErrVerify) {
				t.Fatalf("wrong kind of error: %v", err)
			}
			return
		}
		header, _ := b.Header.MarshalBinary()
		if !bytes.Equal(header, b.HeaderBytes) {
			t.Fatal("the header decodes from bytes that it does not encode to")
		}
		if _, err := b.PublicRecords(); err != nil {
			t.Fatal(err)
		}
		if len(b.Leaves()) != int(b.Header.Count) {
			t.Fatal("leaves are missing")
		}
		var parts [5][]byte
		if err := cbor.Unmarshal(data, &parts); err != nil {
			t.Fatalf("a general decoder disagrees: %v", err)
		}
		if again, _ := cbor.Marshal(parts); !bytes.Equal(again, data) {
			t.Fatal("the batch has another encoding")
		}
	})
}

// FuzzSealedPart decrypts: the plain text is what the fuzzer varies.
func FuzzSealedPart(f *testing.F) {
	f.Add([]byte{0x81, 0x82, 0x41, 1, 0x41, 2}, uint64(1))
	f.Add([]byte{0x82, 0x82, 0x41, 1, 0x41, 2, 0x82, 0x40, 0x40}, uint64(2))
	f.Add([]byte{0x81, 0x82, 0x58, 1, 1, 0x40}, uint64(1))
	f.Fuzz(func(t *testing.T, plain []byte, count uint64) {
		records, err := ledger.ParseSealed(plain, count%64)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) {
				t.Fatalf("wrong kind of error: %v", err)
			}
			return
		}
		pairs := [][2][]byte{}
		for _, r := range records {
			pairs = append(pairs, [2][]byte{r.Private, r.Claims})
		}
		if again, _ := cbor.Marshal(pairs); !slices.Equal(again, plain) {
			t.Fatal("records were read from bytes that they do not encode to")
		}
	})
}

func FuzzHeader(f *testing.F) {
	s := sealSome(f, 1)
	b, err := ledger.Decode(s.data)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b.HeaderBytes)
	f.Add(b.HeaderBytes[:50])
	f.Fuzz(func(t *testing.T, data []byte) {
		var h ledger.Header
		if err := h.UnmarshalBinary(data); err != nil {
			if !errors.Is(err, coco.ErrCorrupt) || h != (ledger.Header{}) {
				t.Fatalf("wrong kind of error, or half a header: %v", err)
			}
			return
		}
		if again, _ := h.MarshalBinary(); !bytes.Equal(again, data) {
			t.Fatal("the header decodes from bytes that it does not encode to")
		}
	})
}

func FuzzOpenChunk(f *testing.F) {
	seed := func(entries []ledger.Entry) {
		disk := newMemDisk()
		l := openLog(f, disk, ledger.Options{ChunkBytes: 4096})
		if err := l.Append(entries); err != nil {
			f.Fatal(err)
		}
		data := disk.files[dir+"/ledger_1"].data
		f.Add(data)
		f.Add(data[:len(data)-1])
		f.Add(bytes.TrimRight(data, "\x00"))
	}
	seed(entriesOf(1, 1, 0))
	seed(entriesOf(1, 1, 10, 20, 30))
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		disk := newMemDisk()
		disk.files[dir+"/ledger_1"] = &memFile{disk: disk, data: bytes.Clone(data), exists: true}
		l, err := ledger.Open(disk, dir, ledger.Options{ChunkBytes: 1 << 20})
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) {
				t.Fatalf("wrong kind of error: %v", err)
			}
			return
		}
		if l.Last() == 0 {
			return
		}
		entries, err := l.Read(1, l.Last()+1, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		again := newMemDisk()
		if err := openLog(t, again, ledger.Options{ChunkBytes: 1 << 20}).Append(entries); err != nil {
			t.Fatal(err)
		}
		written := bytes.TrimRight(again.files[dir+"/ledger_1"].data, "\x00")
		if !bytes.HasPrefix(data, written) {
			t.Fatal("entries were read from bytes that they are not written to")
		}
	})
}

func FuzzLoadCompleteChunk(f *testing.F) {
	disk := newMemDisk()
	l := openLog(f, disk, ledger.Options{ChunkBytes: 120})
	if err := l.Append(entriesOf(1, 1, 10, 20, 30)); err != nil {
		f.Fatal(err)
	}
	data := disk.files[dir+"/ledger_1-3"].data
	f.Add(data)
	f.Add(data[:len(data)-1])
	f.Add(append(bytes.Clone(data), 0))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		disk := newMemDisk()
		disk.files[dir+"/ledger_1-3"] = &memFile{disk: disk, data: bytes.Clone(data), exists: true}
		l := openLog(t, disk, ledger.Options{ChunkBytes: 120})
		err := l.Load(1)
		entries, rerr := l.Read(1, 4, 1<<30)
		_, ok := l.ViewOf(2)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) || !errors.Is(rerr, coco.ErrCorrupt) || ok {
				t.Fatalf("a chunk that does not load: %v, read: %v, view: %v", err, rerr, ok)
			}
			return
		}
		again := newMemDisk()
		if rerr == nil {
			rerr = openLog(t, again, ledger.Options{ChunkBytes: int64(len(data))}).Append(entries)
		}
		if rerr != nil || !bytes.Equal(again.files[dir+"/ledger_1-3"].data, data) {
			t.Fatalf("entries were read from bytes that they are not written to: %v", rerr)
		}
	})
}
