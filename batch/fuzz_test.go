package batch_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
)

func FuzzDecode(f *testing.F) {
	for _, n := range []int{1, 2, 30} {
		s := sealSome(f, n)
		f.Add(s.data)
		f.Add(s.data[:len(s.data)/2])
	}
	f.Add([]byte{0x85, 0x40, 0x40, 0x40, 0x40, 0x40})
	f.Add([]byte{0x85, 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := batch.Decode(data)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) && !errors.Is(err, coco.ErrVerify) {
				t.Fatalf("wrong kind of error: %v", err)
			}
			return
		}
		header, _ := b.Header.MarshalBinary()
		if !bytes.Equal(header, b.HeaderBytes) {
			t.Fatal("the header decodes from bytes that it does not encode to")
		}
		if _, err := b.PublicRecords(); err != nil {
			t.Fatal(err)
		}
		if len(b.Leaves()) != int(b.Header.Count) {
			t.Fatal("leaves are missing")
		}
		var parts [5][]byte
		if err := cbor.Unmarshal(data, &parts); err != nil {
			t.Fatalf("a general decoder disagrees: %v", err)
		}
		if again, _ := cbor.Marshal(parts); !bytes.Equal(again, data) {
			t.Fatal("the batch has another encoding")
		}
	})
}

// FuzzSealedPart decrypts: the plain text is what the fuzzer varies.
func FuzzSealedPart(f *testing.F) {
	f.Add([]byte{0x81, 0x82, 0x41, 1, 0x41, 2}, uint64(1))
	f.Add([]byte{0x82, 0x82, 0x41, 1, 0x41, 2, 0x82, 0x40, 0x40}, uint64(2))
	f.Add([]byte{0x81, 0x82, 0x58, 1, 1, 0x40}, uint64(1))
	f.Fuzz(func(t *testing.T, plain []byte, count uint64) {
		records, err := batch.ParseSealed(plain, count%64)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) {
				t.Fatalf("wrong kind of error: %v", err)
			}
			return
		}
		pairs := [][2][]byte{}
		for _, r := range records {
			pairs = append(pairs, [2][]byte{r.Private, r.Claims})
		}
		if again, _ := cbor.Marshal(pairs); !slices.Equal(again, plain) {
			t.Fatal("records were read from bytes that they do not encode to")
		}
	})
}

func FuzzHeader(f *testing.F) {
	s := sealSome(f, 1)
	b, err := batch.Decode(s.data)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b.HeaderBytes)
	f.Add(b.HeaderBytes[:50])
	f.Fuzz(func(t *testing.T, data []byte) {
		var h batch.Header
		if err := h.UnmarshalBinary(data); err != nil {
			if !errors.Is(err, coco.ErrCorrupt) || h != (batch.Header{}) {
				t.Fatalf("wrong kind of error, or half a header: %v", err)
			}
			return
		}
		if again, _ := h.MarshalBinary(); !bytes.Equal(again, data) {
			t.Fatal("the header decodes from bytes that it does not encode to")
		}
	})
}
