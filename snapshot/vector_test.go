package snapshot

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

var update = flag.Bool("update", false, "write the recorded vector anew: only after a deliberate change of the format")

// vector is a small snapshot in the form of testdata/snapshot.json, which docs/formats.md names for
// those who write a second implementation. Byte strings are in hexadecimal.
type vector struct {
	Secret  hexBytes    `json:"secret"`
	Header  hexBytes    `json:"header"`
	Rows    []vectorRow `json:"rows"`
	Receipt hexBytes    `json:"receipt"`
	File    hexBytes    `json:"file"` // snapshot_7_9
	Digest  coco.Digest `json:"digest"`
	Claims  hexBytes    `json:"claims"`
}

type vectorRow struct {
	Table string   `json:"table"`
	Key   hexBytes `json:"key"`
	Value hexBytes `json:"value"`
}

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }
func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

func makeVector(t *testing.T) vector {
	v := vector{Secret: secret[:], Receipt: hexBytes("a receipt stands here"), Rows: []vectorRow{
		{"t.ordered", hexBytes("a"), hexBytes("1")}, {"t.ordered", hexBytes("b"), bytes.Repeat([]byte("0123456789"), 30)}, {"t.private", hexBytes{}, hexBytes{}},
	}}
	s := newStore(t, tables...)
	writes := []store.Write{{Table: "t.archive", Key: []byte("x"), Value: []byte("y")}}
	for _, r := range v.Rows {
		writes = append(writes, store.Write{Table: r.Table, Key: r.Key, Value: r.Value})
	}
	apply(t, s, 9, writes)
	d := newDisk()
	i := write(t, d, s.Snapshot())
	if err := Confirm(d, dir, i, v.Receipt); err != nil {
		t.Fatal(err)
	}
	h := header().complete(tables)
	var err error
	if v.Header, err = h.encode(); err != nil {
		t.Fatal(err)
	}
	v.File, v.Digest, v.Claims = d.get(t, "snapshots/snapshot_7_9"), i.Digest, Claims(h, i.Digest, i.Bytes)
	return v
}

func TestTheFormatEqualsTheRecordedVector(t *testing.T) {
	const file = "testdata/snapshot.json"
	got, err := json.MarshalIndent(makeVector(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the format differs from %s, which other implementations rely on", file)
	}
}

// BenchmarkMillion writes and loads a million rows of 100 bytes.
func BenchmarkMillion(b *testing.B) {
	_, pinned := state(b, 1_000_000, 100, 1)
	d := newDisk()
	var i Info
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			i = write(b, d, pinned)
		}
		b.SetBytes(int64(i.Bytes))
	})
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			if _, err := Load(b.Context(), d, name(i), i.Digest, secret, newStore(b, tables...)); err != nil {
				b.Fatal(err)
			}
		}
		b.SetBytes(int64(i.Bytes))
	})
}
