// Package canon is the one form of CBOR in which things are signed, hashed, stored and compared.
//
// It is the core deterministic encoding of RFC 8949, section 4.2.1, narrowed to what Coco needs:
//
//	integers     shortest form
//	bytes, text  definite length, text in UTF-8
//	arrays       definite length
//	maps         definite length, each key once, keys in the order of their encodings
//	simple       false, true and null
//
// Tags, floating point numbers and every other simple value are refused. So a value has exactly one
// encoding, and whatever decodes encodes to the same bytes again:
//
//	bytes ── Check: one item, within the limits, in the one form ──► decode ──► encode ──► the same bytes?
//
// There are two ways in. Marshal and Unmarshal work on structs by reflection. AppendHead, CutHead
// and their kin write and read single items, without an allocation for each; batches and write sets,
// which pass them several times for every transaction, are made with them.
//
// A decoder of bytes from elsewhere MUST give Limits: nothing is allocated before the bytes have
// been held against them. Errors have no kind of their own. The caller knows whether the bytes are
// a client's (coco.ErrInvalid) or a disk's (coco.ErrCorrupt).
//
// Trust: either
package canon

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"

	"github.com/fxamacker/cbor/v2"
)

// Raw is the encoding of one item within a struct: Marshal and Unmarshal copy it.
type Raw = cbor.RawMessage

// Limits bound what a decoder accepts. Depth, Elements and Pairs have defaults.
type Limits struct {
	Bytes    int // of the whole
	Depth    int // of arrays and maps within each other; 8 if zero
	Elements int // of an array; 1024 if zero
	Pairs    int // of a map; 128 if zero
}

func (l Limits) complete() Limits {
	l.Depth, l.Elements, l.Pairs = cmp.Or(l.Depth, 8), cmp.Or(l.Elements, 1024), cmp.Or(l.Pairs, 128)
	return l
}

// own bounds what this process itself encodes: by the machine's memory only.
var own = Limits{Bytes: math.MaxInt, Depth: 64, Elements: math.MaxInt, Pairs: math.MaxInt}

var encoding, decoding = modes()

func modes() (cbor.EncMode, cbor.DecMode) {
	enc, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err) // only for options that contradict each other, and they are constants
	}
	// The counts and the depth are bounded by Check, which comes first.
	dec, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		MaxNestedLevels: 128, MaxArrayElements: math.MaxInt32, MaxMapPairs: math.MaxInt32,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return enc, dec
}

// Marshal returns the encoding of a value. It fails for what has none, such as a floating point
// number.
func Marshal(v any) ([]byte, error) {
	b, err := encoding.Marshal(v)
	if err != nil {
		return nil, err
	}
	if err := Check(b, own); err != nil {
		return nil, fmt.Errorf("cbor: %T has no deterministic encoding: %w", v, err)
	}
	return b, nil
}

// MarshalSecret is Marshal for what is secret: the buffer that the library writes to, and keeps for the next value, is overwritten. The caller wipes the result.
func MarshalSecret(v any) ([]byte, error) {
	b, err := Marshal(v)
	_, _ = Marshal(make([]byte, len(b)))
	return b, err
}

// Unmarshal decodes exactly the bytes that Marshal makes of a value of v's type. Unknown fields are
// errors. What v points to is undefined after an error.
func Unmarshal(b []byte, v any, limits Limits) error {
	if err := Check(b, limits); err != nil {
		return err
	}
	if err := decoding.Unmarshal(b, v); err != nil {
		return err
	}
	again, err := encoding.Marshal(v)
	if err != nil {
		return err
	}
	same := bytes.Equal(again, b)
	clear(again) // it may be secret, and nobody else has it
	if !same {
		return errForm
	}
	return nil
}

// UnmarshalSecret is Unmarshal for what is secret: the buffer that the library keeps for the next value is overwritten. The caller wipes b.
func UnmarshalSecret(b []byte, v any, limits Limits) error {
	err := Unmarshal(b, v, limits)
	_, _ = Marshal(make([]byte, len(b)))
	return err
}

// Field returns the encoding of the value under an unsigned integer key of a map, and false if the
// map has no such key. It decodes nothing else, and so costs little where one field decides whether
// a record is needed at all. The value aliases b.
func Field(b []byte, key uint64, limits Limits) (Raw, bool, error) {
	keys, found := [1]uint64{key}, [1]Raw{}
	err := Fields(b, keys[:], found[:], limits)
	return found[0], found[0] != nil, err
}

// Fields is Field for several keys, in ascending order: it puts the values into found, which has as many elements. Those of keys that the
// map has not stay as they are.
func Fields(b []byte, keys []uint64, found []Raw, limits Limits) error {
	if err := Check(b, limits); err != nil {
		return err
	}
	pairs, rest, err := CutHead(b, Map)
	if err != nil {
		return err
	}
	w, next := walker{limits: own}, 0
	for range pairs {
		k, value := rest, []byte(nil)
		if value, err = w.item(k, 0); err == nil {
			rest, err = w.item(value, 0)
		}
		if err != nil {
			return err
		}
		n, _, err := CutHead(k, Uint)
		if err != nil {
			return nil // keys that are no numbers come last
		}
		for next < len(keys) && keys[next] < n {
			next++
		}
		if next == len(keys) {
			return nil
		}
		if keys[next] == n {
			found[next] = Raw(value[:len(value)-len(rest)])
		}
	}
	return nil
}

var (
	errTruncated = errors.New("the bytes end early")
	errForm      = errors.New("the encoding is not the deterministic one")
)
