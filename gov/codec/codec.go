// Package codec is the one CBOR of governance: deterministic, bounded, and strict, so that what is
// signed, stored and compared has exactly one form.
//
// Trust: enclave
package codec

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// MaxElements bounds a list.
const MaxElements = 1024

// Encode returns the deterministic encoding (RFC 8949, section 4.2.1).
func Encode(v any) ([]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, fmt.Errorf("cbor: %w", err)
	}
	return mode.Marshal(v)
}

// Decode accepts only the bytes that Encode makes, of at most limit bytes. Unknown fields are
// errors.
func Decode(b []byte, v any, limit int) error {
	if len(b) > limit {
		return fmt.Errorf("%d bytes, expected at most %d", len(b), limit)
	}
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 8,
		MaxArrayElements: MaxElements, MaxMapPairs: 128,
	}.DecMode()
	if err != nil {
		return fmt.Errorf("cbor: %w", err)
	}
	if err := mode.Unmarshal(b, v); err != nil {
		return err
	}
	again, err := Encode(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return errors.New("the encoding is not the deterministic one")
	}
	return nil
}
