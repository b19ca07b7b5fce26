package canon_test

import (
	"bytes"
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/cocoframework/coco/canon"
)

type value struct {
	A uint64            `cbor:"1,keyasint"`
	B []string          `cbor:"2,keyasint,omitempty"`
	C canon.Raw         `cbor:"3,keyasint,omitempty"`
	D map[string]uint64 `cbor:"4,keyasint,omitempty"`
}

func TestOnlyTheDeterministicEncodingIsRead(t *testing.T) {
	b, err := canon.Marshal(value{A: 1, B: []string{"x"}})
	if err != nil {
		t.Fatal(err)
	}
	var v value
	if err := canon.Unmarshal(b, &v, canon.Limits{Bytes: len(b)}); err != nil || v.A != 1 || v.B[0] != "x" {
		t.Fatalf("%+v (%v)", v, err)
	}
	for name, c := range map[string]struct{ bytes, want string }{
		"too long":           {string(b) + strings.Repeat("\x00", 100), "at most"},
		"more after it":      {string(b) + "\x00", "extraneous"},
		"a long integer":     {"\xa1\x01\x18\x01", "deterministic"},
		"an empty list":      {"\xa2\x01\x01\x02\x80", "deterministic"},
		"another order":      {"\xa2\x02\x81\x61x\x01\x01", "deterministic"},
		"a key twice":        {"\xa2\x01\x01\x01\x01", "duplicate"},
		"an unknown key":     {"\xa2\x01\x01\x05\x01", "unknown field"},
		"no fixed length":    {"\xbf\x01\x01\xff", "indefinite"},
		"a tag":              {"\xa1\x01\xc2\x41\x01", "tag"},
		"nothing":            {"", "end early"},
		"a null":             {"\xa1\x01\xf6", "deterministic"},
		"a float":            {"\xa1\x01\xf9\x3c\x00", "floating point"},
		"a float in a raw":   {"\xa2\x01\x01\x03\xf9\x3c\x00", "floating point"},
		"undefined in a raw": {"\xa2\x01\x01\x03\xf7", "simple value"},
		"a long raw integer": {"\xa2\x01\x01\x03\x18\x01", "deterministic"},
		"a raw map's order":  {"\xa2\x01\x01\x03\xa2\x02\x00\x01\x00", "deterministic"},
		"a raw key twice":    {"\xa2\x01\x01\x03\xa2\x01\x00\x01\x00", "duplicate"},
		"text not in UTF-8":  {"\xa2\x01\x01\x03\x61\xff", "UTF-8"},
		"an array as a key":  {"\xa2\x01\x01\x03\xa1\x80\x00", "key of a map"},
		"a promised gigabyte": {
			"\xa2\x01\x01\x03\x5a\x40\x00\x00\x00", "end early",
		},
	} {
		var v value
		if err := canon.Unmarshal([]byte(c.bytes), &v, canon.Limits{Bytes: 64}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, expected %q", name, err, c.want)
		}
	}
}

func TestFieldNamesDifferInCase(t *testing.T) {
	var v struct{ Name string }
	if err := canon.Unmarshal([]byte("\xa1\x64name\x61x"), &v, canon.Limits{Bytes: 64}); err == nil {
		t.Errorf("the key \"name\" was read as the field Name: %q", v.Name)
	}
}

func TestLimitsAreTheCallers(t *testing.T) {
	nested := func(levels int) []byte { return append(bytes.Repeat([]byte{0x81}, levels), 0) }
	long := func(n int) []byte {
		return append(canon.AppendHead(nil, canon.Array, uint64(n)), make([]byte, n)...)
	}
	wide := func(n int) []byte {
		b := canon.AppendHead(nil, canon.Map, uint64(n))
		for i := range n {
			b = append(canon.AppendHead(b, canon.Uint, uint64(i)), 0)
		}
		return b
	}
	for _, c := range []struct {
		name   string
		make   func(int) []byte
		limits canon.Limits
		most   int
	}{
		{"levels", nested, canon.Limits{}, 8},
		{"levels", nested, canon.Limits{Depth: 3}, 3},
		{"elements", long, canon.Limits{}, 1024},
		{"elements", long, canon.Limits{Elements: 5}, 5},
		{"pairs", wide, canon.Limits{}, 128},
		{"pairs", wide, canon.Limits{Pairs: 300}, 300},
	} {
		c.limits.Bytes = 1 << 20
		for n, ok := range map[int]bool{c.most: true, c.most + 1: false} {
			var v any
			if err := canon.Unmarshal(c.make(n), &v, c.limits); (err == nil) != ok {
				t.Errorf("%d %s with %+v: error %v", n, c.name, c.limits, err)
			}
		}
	}
}

// What cannot be decoded must not be encoded either: it would be found when it is too late.
func TestMarshalRefusesWhatUnmarshalWould(t *testing.T) {
	for name, v := range map[string]any{
		"a float":           1.5,
		"a whole float":     float32(2),
		"a raw in any form": canon.Raw{0x18, 0x01},
		"no item":           value{C: canon.Raw{0x41}},
		"an infinite one":   []any{math.Inf(1)},
	} {
		if b, err := canon.Marshal(v); err == nil {
			t.Errorf("%s encodes as %x", name, b)
		}
	}
}

// The vectors are RFC 8949's, appendix A, as far as its items have the narrow form.
func TestVectorsOfTheStandard(t *testing.T) {
	for want, v := range map[string]any{
		"00": 0, "17": 23, "1818": 24, "18ff": 255, "190100": 256, "1a000f4240": 1000000,
		"1b000000e8d4a51000": uint64(1000000000000), "1bffffffffffffffff": uint64(math.MaxUint64),
		"20": -1, "3863": -100, "3903e7": -1000, "f4": false, "f5": true, "f6": nil,
		"40": []byte{}, "4401020304": []byte{1, 2, 3, 4}, "60": "", "6449455446": "IETF", "62c3bc": "ü", "64f0908591": "𐅑",
		"80": []int{}, "8301820203820405": []any{1, []int{2, 3}, []int{4, 5}}, "a0": map[string]int{}, "a201020304": map[int]int{3: 4, 1: 2},
		"a26161016162820203": map[string]any{"b": []int{2, 3}, "a": 1},
		// Section 4.2.1's example of an order, without its keys that are arrays or simple values.
		"a50a001864002000617a0062616100": map[any]any{"aa": 0, 100: 0, "z": 0, -1: 0, 10: 0},
	} {
		b, _ := hex.DecodeString(want)
		got, err := canon.Marshal(v)
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("%v encodes as %x (%v), expected %s", v, got, err, want)
		}
		if err := canon.Check(b, canon.Limits{Bytes: 64}); err != nil {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestFieldReadsOneOfMany(t *testing.T) {
	b, err := canon.Marshal(value{A: 7, B: []string{"x", "y"}, D: map[string]uint64{"z": 1}})
	if err != nil {
		t.Fatal(err)
	}
	limits := canon.Limits{Bytes: 64}
	for key, want := range map[uint64]string{1: "07", 2: "8261786179", 3: "", 4: "a1617a01"} {
		got, ok, err := canon.Field(b, key, limits)
		if err != nil || ok != (want != "") || hex.EncodeToString(got) != want {
			t.Errorf("key %d: %x %v (%v), expected %s", key, got, ok, err, want)
		}
	}
	for _, bad := range []string{"", "\x01", "\xa1\x01", "\xa2\x02\x00\x01\x00"} {
		if _, _, err := canon.Field([]byte(bad), 1, limits); err == nil {
			t.Errorf("%x is read as a map", bad)
		}
	}
}

func TestHeadsAreReadInTheirShortestFormOnly(t *testing.T) {
	for _, n := range []uint64{0, 23, 24, 255, 256, 65535, 65536, 1<<32 - 1, 1 << 32, math.MaxUint64} {
		b := canon.AppendHead(nil, canon.Map, n)
		got, rest, err := canon.CutHead(append(b, 9), canon.Map)
		if err != nil || got != n || len(rest) != 1 || len(b) != canon.HeadSize(n) {
			t.Errorf("%d: %x is read as %d, %x (%v)", n, b, got, rest, err)
		}
		for cut := range b {
			if _, _, err := canon.CutHead(b[:cut], canon.Map); err == nil {
				t.Errorf("%x is read", b[:cut])
			}
		}
		if _, _, err := canon.CutHead(b, canon.Array); err == nil {
			t.Errorf("%x is read as an array", b)
		}
	}
	for _, long := range []string{"\x58\x17", "\x59\x00\xff", "\x5a\x00\x00\xff\xff", "\x5b\x00\x00\x00\x00\xff\xff\xff\xff", "\x5c", "\x5f"} {
		if n, _, err := canon.CutHead([]byte(long), canon.Bytes); err == nil {
			t.Errorf("%x is read as %d", long, n)
		}
	}
}

// Whatever decodes encodes to the same bytes, and whatever Check accepts decodes.
func FuzzOneEncoding(f *testing.F) {
	for _, v := range []any{
		value{},
		value{A: 1, B: []string{"x"}, C: canon.Raw{0x81, 0xf4}, D: map[string]uint64{"a": 1, "b": 2}},
		[]any{-1, []byte("b"), "t", true, nil, map[int]any{1: map[string]any{}}},
		map[[2]byte]int{{1}: 2},
	} {
		b, err := canon.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		limits := canon.Limits{Bytes: 1 << 16}
		checked := canon.Check(b, limits)
		for _, v := range []any{&value{}, new(any), &[]any{}, &map[uint64]canon.Raw{}} {
			if err := canon.Unmarshal(b, v, limits); err != nil {
				continue
			}
			if checked != nil {
				t.Fatalf("%x decodes into %T, and is refused by Check: %v", b, v, checked)
			}
			if again, err := canon.Marshal(v); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%x decodes into %T and encodes as %x (%v)", b, v, again, err)
			}
		}
		// Keys that are byte strings have no place in a map[any]any.
		if err := canon.Unmarshal(b, new(any), limits); checked == nil && err != nil && !strings.Contains(err.Error(), "key type") && !strings.Contains(err.Error(), "overflow") {
			t.Fatalf("%x passes Check and does not decode: %v", b, err)
		}
	})
}
