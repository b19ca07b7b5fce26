// Package seal seals the files of an index of the past, block by block, each file under a key of its own. The specification is docs/formats.md.
//
// Trust: enclave
package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/erase"
)

const (
	// Magic begins every file.
	Magic     = "cocoidx"
	plainFile = 1 // the byte after it: a file has records of keys
	termsFile = 2 // and of terms
	ownFile   = 2 // added to these: it is sealed under the node's own key, not under its epoch's

	// SaltSize, PrefixSize and TagSize are in bytes. The prefix is in the clear: magic, kind of file, epoch, salt. A tag follows each block.
	SaltSize   = 32
	PrefixSize = len(Magic) + 1 + 8 + SaltSize
	TagSize    = 16

	purpose = "coco history index"
)

// Kind is a file's prefix without magic and salt.
type Kind struct {
	Epoch uint64 // of its last batch
	Terms bool   // it has records of terms
	Own   bool   // it is sealed under the node's own key, and not under the epoch's
}

// Prefix returns the prefix of a file.
func (k Kind) Prefix(salt [SaltSize]byte) (p [PrefixSize]byte) {
	kind := byte(plainFile)
	if k.Terms {
		kind = termsFile
	}
	if k.Own {
		kind += ownFile
	}
	b := append(append(p[:0], Magic...), kind)
	b = binary.BigEndian.AppendUint64(b, k.Epoch)
	copy(p[len(b):], salt[:])
	return p
}

// ParsePrefix returns the kind that a prefix tells. The error is coco.ErrCorrupt.
func ParsePrefix(p [PrefixSize]byte) (k Kind, err error) {
	kind := p[len(Magic)]
	if string(p[:len(Magic)]) != Magic || kind < plainFile || kind > termsFile+ownFile {
		return k, fmt.Errorf("%w: index: it begins with %x, expected %x and 01 to 04: it is of another version", coco.ErrCorrupt, p[:len(Magic)+1], Magic)
	}
	k = Kind{Epoch: binary.BigEndian.Uint64(p[len(Magic)+1:]), Own: kind > ownFile}
	if k.Own {
		kind -= ownFile
	}
	k.Terms = kind == termsFile
	return k, nil
}

// Keying returns a key for a purpose and a salt, as batch.Keys.Sub and own.Key.Sub do.
type Keying func(purpose string, salt []byte) ([32]byte, error)

// Sealer seals and opens the blocks of one file. Open and Erase may be called concurrently.
type Sealer struct {
	Prefix [PrefixSize]byte

	mu     sync.RWMutex // written by Erase alone
	aead   cipher.AEAD
	erased bool
}

// New makes the sealer of a file that begins with the prefix.
func New(from Keying, prefix [PrefixSize]byte) (*Sealer, error) {
	key, err := from(purpose, prefix[PrefixSize-SaltSize:])
	if err != nil {
		return nil, err
	}
	defer clear(key[:])
	return &Sealer{aead: erase.AEAD(key[:]), Prefix: prefix}, nil
}

// Erase clears the file's key.
func (s *Sealer) Erase() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.erased {
		erase.Value(s.aead)
		s.erased = true
	}
}

func nonce(n int) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4, 12), uint64(n))
}

// Seal appends a sealed block. A file's key MUST seal each block number once. The file's writer has the sealer alone.
func (s *Sealer) Seal(out []byte, n int, plain []byte) []byte {
	return s.aead.Seal(out, nonce(n), plain, s.Prefix[:])
}

// Open opens a block. The error is coco.ErrCorrupt, or coco.ErrPending once the key is erased: another file has taken this one's place.
func (s *Sealer) Open(n int, sealed []byte) ([]byte, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.erased {
		return nil, fmt.Errorf("%w: a file of the index is sealed anew", coco.ErrPending)
	}
	plain, err := s.aead.Open(nil, nonce(n), sealed, s.Prefix[:])
	if err != nil {
		return nil, fmt.Errorf("%w: index: block %d does not decrypt", coco.ErrCorrupt, n)
	}
	return plain, nil
}
