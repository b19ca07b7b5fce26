package owncall

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cocoframework/coco"
)

type call struct{ Text string }

// What one kind has made no other reads, and what is stored stays readable: the bytes are fixed.
func TestAPayloadIsOfOneKind(t *testing.T) {
	payload := Session.Payload(&call{"x"})
	if want := append(make([]byte, 20), 0xfe, 0xc1, 'x'); !bytes.Equal(payload, want) {
		t.Errorf("payload %x, expected %x", payload, want)
	}
	for _, k := range []Kind{Link, Session, Policy} {
		var c call
		is, err := k.Decode(payload, &c)
		if is != (k == Session) || err != nil || is && c.Text != "x" {
			t.Errorf("kind %#x: %v, %v, %+v", byte(k), is, err, c)
		}
	}
	for name, b := range map[string][]byte{"cut": payload[:len(payload)-1], "more": append(bytes.Clone(payload), 0)} {
		if is, err := Session.Decode(b, new(call)); !is || !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%s: %v, %v, expected an error of kind corrupt", name, is, err)
		}
	}
}
