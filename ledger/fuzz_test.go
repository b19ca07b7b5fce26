package ledger_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/ledger"
)

func FuzzOpenChunk(f *testing.F) {
	seed := func(entries []batch.Entry) {
		disk := newMemDisk()
		l := openLog(f, disk, ledger.Options{ChunkBytes: 4096})
		if err := l.Append(entries); err != nil {
			f.Fatal(err)
		}
		data := disk.Data(dir + "/ledger_1")
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
		disk.Put(dir+"/ledger_1", bytes.Clone(data))
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
		written := bytes.TrimRight(again.Data(dir+"/ledger_1"), "\x00")
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
	data := disk.Data(dir + "/ledger_1-3")
	f.Add(data)
	f.Add(data[:len(data)-1])
	f.Add(append(bytes.Clone(data), 0))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		disk := newMemDisk()
		disk.Put(dir+"/ledger_1-3", bytes.Clone(data))
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
		if rerr != nil || !bytes.Equal(again.Data(dir+"/ledger_1-3"), data) {
			t.Fatalf("entries were read from bytes that they are not written to: %v", rerr)
		}
	})
}
