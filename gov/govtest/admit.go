package govtest

import (
	"testing"

	"github.com/cocoframework/coco/canon"
)

// Encoded returns a value in canonical CBOR.
func Encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := canon.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
