package virtual

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// SealingFile is the file on a simulated machine's disk that stands for the secret in a TEE's processor. It lies beside what it seals, and protects nothing:
// whoever reads the disk opens everything that was sealed on it.
const SealingFile = "INSECURE-sealing-key"

// Sealer is the software sealing device of a simulated machine.
type Sealer struct {
	disk host.Disk
	code coco.Measurement
}

var _ host.Sealer = Sealer{}

// NewSealer returns the device of the machine with this disk, for code of the given measurement.
func NewSealer(disk host.Disk, code coco.Measurement) Sealer { return Sealer{disk, code} }

// Platform implements host.Sealer.
func (Sealer) Platform() string { return Platform }

// SealingKey implements host.Sealer. It makes SealingFile at its first call.
//
//	key = HKDF-SHA-256(secret of the file, info = "INSECURE virtual TEE sealing" ‖ 0 ‖ measurement ‖ 0 ‖ purpose)
func (s Sealer) SealingKey(_ context.Context, purpose string) ([]byte, error) {
	secret, err := s.secret()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", Notice, err)
	}
	return hkdf.Key(sha256.New, secret, nil, Notice+" sealing\x00"+string(s.code)+"\x00"+purpose, 32)
}

const secretSize = 32

// secret reads the machine's secret. A file that holds none is made anew, as an interrupted write or a damaged disk leaves it: nothing opens by it. A processor's secret cannot be damaged, so the machine goes on to
// seal; what it had sealed before is lost, as on another machine.
func (s Sealer) secret() ([]byte, error) {
	f, err := s.disk.Open(SealingFile)
	if errors.Is(err, fs.ErrNotExist) {
		return s.make()
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text := make([]byte, len(Notice)+1+2*secretSize+1)
	if size, err := f.Size(); err != nil || size != int64(len(text)) {
		return s.make()
	}
	if _, err := f.ReadAt(text, 0); err != nil {
		return nil, err
	}
	_, digits, _ := strings.Cut(strings.TrimSuffix(string(text), "\n"), "\n")
	secret, err := hex.DecodeString(digits)
	if err != nil || len(secret) != secretSize {
		return s.make()
	}
	return secret, nil
}

// make makes the machine's secret.
func (s Sealer) make() ([]byte, error) {
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // it never fails
	f, err := s.disk.Create(SealingFile)
	if err != nil {
		return nil, err
	}
	_, err = f.WriteAt([]byte(Notice+"\n"+hex.EncodeToString(secret)+"\n"), 0)
	if err == nil {
		err = f.Sync()
	}
	return secret, errors.Join(err, f.Close())
}
