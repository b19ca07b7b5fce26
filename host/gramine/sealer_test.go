package gramine

import (
	"bytes"
	"errors"
	"io/fs"
	"testing"

	"github.com/cocoframework/coco"
)

func TestTheSealingKeyIsTheEnclaves(t *testing.T) {
	enclave := func(key []byte) Sealer {
		return Sealer{Name: "sgx", Files: &Files{Read: func(name string) ([]byte, error) {
			if name != "/dev/attestation/keys/_sgx_mrenclave" {
				return nil, fs.ErrNotExist
			}
			return bytes.Clone(key), nil
		}}}
	}
	a, err := enclave(bytes.Repeat([]byte{1}, 16)).SealingKey(t.Context(), "purpose")
	if err != nil || len(a) != 32 {
		t.Fatalf("%d bytes, %v", len(a), err)
	}
	same, _ := enclave(bytes.Repeat([]byte{1}, 16)).SealingKey(t.Context(), "purpose")
	other, _ := enclave(bytes.Repeat([]byte{1}, 16)).SealingKey(t.Context(), "another purpose")
	code, _ := enclave(bytes.Repeat([]byte{2}, 16)).SealingKey(t.Context(), "purpose")
	if !bytes.Equal(a, same) || bytes.Equal(a, other) || bytes.Equal(a, code) {
		t.Error("the key depends on something else than enclave and purpose")
	}
	if _, err := enclave(nil).SealingKey(t.Context(), "purpose"); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("an empty key: %v", err)
	}
	if _, err := (Sealer{Root: t.TempDir()}).SealingKey(t.Context(), "purpose"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("outside of an enclave: %v", err)
	}
}
