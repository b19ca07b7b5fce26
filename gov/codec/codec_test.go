package codec

import (
	"strings"
	"testing"
)

func TestOnlyTheDeterministicEncodingIsRead(t *testing.T) {
	type value struct {
		A uint64   `cbor:"1,keyasint"`
		B []string `cbor:"2,keyasint,omitempty"`
	}
	b, err := Encode(value{A: 1, B: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	var v value
	if err := Decode(b, &v, len(b)); err != nil || v.A != 1 || v.B[0] != "x" {
		t.Fatalf("%+v (%v)", v, err)
	}
	for name, c := range map[string]struct{ bytes, want string }{
		"too long":        {string(b) + strings.Repeat("\x00", 100), "at most"},
		"more after it":   {string(b) + "\x00", "extraneous"},
		"a long integer":  {"\xa1\x01\x18\x01", "deterministic"},
		"an empty list":   {"\xa2\x01\x01\x02\x80", "deterministic"},
		"another order":   {"\xa2\x02\x81\x61x\x01\x01", "deterministic"},
		"a key twice":     {"\xa2\x01\x01\x01\x01", "duplicate"},
		"an unknown key":  {"\xa2\x01\x01\x03\x01", "unknown field"},
		"no fixed length": {"\xbf\x01\x01\xff", "indefinite"},
		"a tag":           {"\xa1\x01\xc2\x41\x01", "tag"},
		"nothing":         {"", "EOF"},
	} {
		var v value
		if err := Decode([]byte(c.bytes), &v, 64); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, expected %q", name, err, c.want)
		}
	}
}
