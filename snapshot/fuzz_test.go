package snapshot

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

// FuzzFile reads files without trusting them, as a node does with those of its host.
func FuzzFile(f *testing.F) {
	_, pinned := state(f, 4, 10, 1)
	d := newDisk()
	i := write(f, d, pinned)
	f.Add(bytes.Clone(d.get(f, name(i))), false)
	if err := Confirm(d, dir, i, []byte("receipt")); err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(d.get(f, "snapshots/snapshot_7_9")), true)
	f.Add([]byte(magic), true)
	f.Fuzz(func(t *testing.T, b []byte, final bool) {
		d, name := newDisk(), "snapshots/snapshot_7_9"
		if !final {
			name += pending
		}
		d.Put(name, b)
		h, digest, receipt, err := Verify(d, name)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) {
				t.Fatalf("%v is not coco.ErrCorrupt", err)
			}
			return
		}
		// What is read is all that is there: header, blocks and receipt are the file.
		raw, err := h.encode()
		if err != nil {
			t.Fatal(err)
		}
		begin := append(binary.BigEndian.AppendUint32([]byte(magic), uint32(len(raw))), raw...)
		s, err := Open(d, name)
		if err != nil {
			t.Fatal(err)
		}
		body := b[:s.Bytes()]
		if !bytes.HasPrefix(body, begin) || final && !bytes.Equal(b, appendTrailer(bytes.Clone(body), receipt, s.Bytes())) {
			t.Fatal("the file has a second form")
		}
		into := newStore(t, tables...)
		if _, err := Load(context.Background(), d, name, digest, secret, into); err == nil && digest != i.Digest {
			t.Fatal("a file that nobody wrote was loaded")
		} else if err != nil && !errors.Is(err, coco.ErrCorrupt) {
			t.Fatalf("%v is not coco.ErrCorrupt", err)
		}
	})
}

// FuzzRows shows that whatever rows parse have one encoding.
func FuzzRows(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x61t\x41k\x43val\x42k2\x40\x61u\x40\x40"))
	f.Add(append([]byte("\x61t\x59\x01\x00"), make([]byte, 257)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		rows := rowReader{in: bytes.NewReader(b)}
		var again []byte
		last := ""
		for {
			table, key, value, err := rows.next()
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			if err != nil {
				return
			}
			if table != last {
				again = canon.AppendText(again, table)
				last = table
			}
			again = canon.AppendBytes(again, []byte(key))
			again = canon.AppendBytes(again, []byte(value))
		}
		if !bytes.Equal(again, b) {
			t.Fatalf("% x parses and re-encodes to % x", b, again)
		}
	})
}
