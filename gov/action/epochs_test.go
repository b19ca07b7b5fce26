package action

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
)

func TestEpochsHaveOneForm(t *testing.T) {
	for text, want := range map[string][2]uint64{"3": {3, 3}, "3-5": {3, 5}, "1-9223372036854775807": {1, 1<<63 - 1}} {
		first, last, err := (&Args{Epochs: text}).Range()
		if err != nil || first != want[0] || last != want[1] || RangeText(first, last) != text {
			t.Errorf("%q: %d to %d, %v", text, first, last, err)
		}
	}
	for _, text := range []string{"", "0", "-", "3-", "-3", "5-3", "3-3", "03", "3-05", "+3", " 3", "3 - 5", "x", "9223372036854775808"} {
		if _, _, err := (&Args{Epochs: text}).Range(); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%q: error %v, expected coco.ErrInvalid", text, err)
		}
	}
}
