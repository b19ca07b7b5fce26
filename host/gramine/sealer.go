package gramine

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"path"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// sealingFile is read: the key that the processor derives from a secret of its own and the enclave's measurement (EGETKEY with MRENCLAVE), 16 bytes.
const sealingFile = "keys/_sgx_mrenclave"

const sealingSize = 16

// Sealer makes keys of the enclave. No other code is given them, and no other machine.
type Sealer struct {
	// Name is the platform.
	Name string
	// Root is Root if it is empty.
	Root  string
	Files *Files // nil: the operating system's
}

var _ host.Sealer = Sealer{}

// Platform implements host.Sealer.
func (s Sealer) Platform() string { return s.Name }

// SealingKey implements host.Sealer. The error wraps coco.ErrNotFound if Gramine gives another key than one of the enclave's measurement.
//
//	key = HKDF-SHA-256(the enclave's key, info = "coco sealing" ‖ 0 ‖ purpose)
func (s Sealer) SealingKey(_ context.Context, purpose string) ([]byte, error) {
	root, files := (&Quoter{Root: s.Root, Files: s.Files}).with()
	key, err := files.Read(path.Join(root, sealingFile))
	if err != nil {
		return nil, fmt.Errorf("sealing key of the enclave: %w", err)
	}
	defer clear(key)
	if len(key) != sealingSize {
		return nil, fmt.Errorf("%w: %s has %d bytes, expected %d", coco.ErrNotFound, sealingFile, len(key), sealingSize)
	}
	return hkdf.Key(sha256.New, key, nil, "coco sealing\x00"+purpose, 32)
}
