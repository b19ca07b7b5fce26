package gov

import "github.com/cocoframework/coco/gov/codec"

// maxCore bounds a constitution without its adapters' settings, in CBOR.
const maxCore = 32 << 20

func encode(v any) ([]byte, error) { return codec.Encode(v) }

// decode accepts only the bytes that encode makes.
func decode(b []byte, v any, limit int) error { return codec.Decode(b, v, limit) }
