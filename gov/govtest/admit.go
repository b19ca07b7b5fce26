package govtest

import (
	"testing"

	"github.com/cocoframework/coco/canon"
)

func Encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := canon.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
