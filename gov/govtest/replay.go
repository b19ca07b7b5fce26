package govtest

import (
	"testing"

	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// Forge changes a row of a table in writes, or of all rows of which want says so.
func Forge[T any](t testing.TB, writes []store.Write, name string, change func(*T)) []store.Write {
	t.Helper()
	found := false
	for i := range writes {
		w := &writes[i]
		if w.Table != name || string(w.Key) == table.OpenKey {
			continue
		}
		var v T
		if err := canon.Unmarshal(w.Value, &v, canon.Limits{Bytes: table.MaxVersionRecord}); err != nil {
			t.Fatal(err)
		}
		change(&v)
		w.Value = []byte(EncodedT(t, v))
		found = true
	}
	if !found {
		t.Fatalf("no row of %s to forge", name)
	}
	return writes
}

// EncodedT returns a value in canonical CBOR, as a string.
func EncodedT(t testing.TB, v any) string {
	t.Helper()
	b, err := canon.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
