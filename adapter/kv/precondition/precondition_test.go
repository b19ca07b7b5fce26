package precondition

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cocoframework/coco"
)

// What decodes is encoded as the same bytes, and nothing that follows is touched.
func FuzzCut(f *testing.F) {
	for _, c := range []Condition{{}, {Kind: Absent}, {Kind: Equals, Version: 258}, {Kind: Among, Versions: []uint64{3, 300}}, {Kind: Outside, Versions: []uint64{0, 5}}, {Kind: Among}} {
		f.Add(append(c.Append(nil), "rest"...))
	}
	f.Add([]byte{})
	f.Add([]byte{Among, 1, 0, 0, 0, 0, 0, 0, 0, 9})
	f.Add([]byte{Outside, 2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, rest, err := Cut(b)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) || !errors.Is(err, ErrShort) && !errors.Is(err, ErrForm) {
				t.Fatal(err)
			}
			return
		}
		if again := c.Append(nil); len(again) != 1+c.Size() || !bytes.Equal(append(again, rest...), b) {
			t.Fatalf("%x is encoded as %x", b, again)
		}
		if c.Holds(0) == c.Holds(1) && c.Kind == Absent {
			t.Fatalf("%v holds for a key that is there and for one that is not", c)
		}
	})
}
