package ceremonies

import (
	"strings"
	"testing"

	"github.com/cocoframework/coco/wire"
)

// An operator is warned while nodes have the packages of fewer seats than open the past, and told of how many.
func TestTooFewSeatsAreAWarning(t *testing.T) {
	for _, c := range []struct {
		name string
		keys *wire.Keys
		want string
	}{
		{"no committee", nil, ""},
		{"one of three", &wire.Keys{Committee: 5, Threshold: 2, Seats: []wire.KeySeat{{Live: true}, {}, {}}}, "of committee 5 nodes have the packages of 1 of 3 seats, and 2 open the past together"},
		{"enough", &wire.Keys{Committee: 5, Threshold: 2, Seats: []wire.KeySeat{{Live: true}, {}, {Live: true}}}, ""},
		{"dealt by one node, which has forgotten it", &wire.Keys{Committee: 1, Threshold: 2, Dealt: true, Seats: []wire.KeySeat{{}, {}, {}}}, ""},
	} {
		d := &Driver{}
		d.status.Store(c.keys)
		if got := d.Warning(); (c.want == "") != (got == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q, expected %q", c.name, got, c.want)
		}
	}
}
