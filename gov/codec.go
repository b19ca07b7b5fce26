package gov

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// maxCore bounds a constitution without its adapters' settings, in CBOR.
const maxCore = 32 << 20

func encode(v any) ([]byte, error) {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		return nil, fmt.Errorf("cbor: %w", err)
	}
	return mode.Marshal(v)
}

// decode accepts only the bytes that encode makes.
func decode(b []byte, v any, limit int) error {
	if len(b) > limit {
		return fmt.Errorf("%d bytes, expected at most %d", len(b), limit)
	}
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxNestedLevels: 8,
		MaxArrayElements: maxActors, MaxMapPairs: 128,
	}.DecMode()
	if err != nil {
		return fmt.Errorf("cbor: %w", err)
	}
	if err := mode.Unmarshal(b, v); err != nil {
		return err
	}
	again, err := encode(v)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, b) {
		return errors.New("the encoding is not the deterministic one")
	}
	return nil
}
