package batch

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
)

// Reading opens the batches of one epoch, and nothing else: it is the epoch's seal key and its salt key. Neither the epoch's secret follows from it, nor the keys of
// snapshots, of other files or of other epochs. It never prints.
type Reading [64]byte

// ReadingOf returns what opens the batches of an epoch.
func ReadingOf(epoch uint64, secret [32]byte) (r Reading) {
	copy(r[:32], derive(secret, sealPurpose, epoch))
	copy(r[32:], derive(secret, saltPurpose, epoch))
	return r
}

// Keys returns the keys with which batches of the epoch are opened. They MUST NOT be asked for keys of other files (Sub).
func (r Reading) Keys(epoch uint64) *Keys { return newKeys(epoch, r[:32], bytes.Clone(r[32:]), nil) }

// Format writes a placeholder, whatever the verb.
func (Reading) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[keys that read an epoch]") }

const (
	sealPurpose = "coco ledger seal"
	saltPurpose = "coco ledger salt"
	subPurpose  = "coco ledger sub"
)

// derive returns the key of an epoch for a purpose, 32 bytes.
func derive(secret [32]byte, purpose string, epoch uint64) []byte {
	info := binary.BigEndian.AppendUint64([]byte(purpose+"\x00"), epoch)
	key, err := hkdf.Key(sha256.New, secret[:], nil, string(info), 32)
	if err != nil {
		panic(err) // only for a length that HKDF cannot give
	}
	return key
}

func newKeys(epoch uint64, seal, salt, sub []byte) *Keys {
	block, err := aes.NewCipher(seal)
	if err != nil {
		panic(err) // only for a wrong length of the key
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for a block size that is not AES'
	}
	return &Keys{epoch: epoch, aead: aead, salt: salt, sub: sub}
}
