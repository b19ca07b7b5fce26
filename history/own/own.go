// Package own is the key that the files of a node's index are sealed under. An index says where to look, for everything that was ever written, so it is of use for as long
// as the node has it, and its key does not go with the epochs'. It opens nothing of the ledger. A file of the index's folder holds it, sealed under the epoch in use, and sealed
// anew under each later one: a node that starts again, and is given the secrets of the newest epochs, goes on with its files.
//
//	key.sealed = magic ‖ version 1 ‖ epoch u64be ‖ salt [32] ‖ AES-256-GCM(Sub("coco history own", salt), nonce 0, key [32], associated data: what is before it)
//
// Trust: enclave
package own

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/erase"
)

// Name is the file's.
const Name = "key.sealed"

const (
	magic      = "cocoidxkey"
	version    = 1
	purpose    = "coco history own"
	saltSize   = 32
	prefixSize = len(magic) + 1 + 8 + saltSize
	size       = prefixSize + 32 + 16
)

// Key is a node's key. The zero Key is not known yet. It belongs to one goroutine, and never prints.
type Key struct {
	key   [32]byte
	known bool
	epoch uint64 // that the file is sealed under
}

// Known reports whether the key is known.
func (k *Key) Known() bool { return k.known }

// Format writes a placeholder, whatever the verb.
func (*Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[key of an index]") }

// Sub returns a key for a purpose and a salt.
func (k *Key) Sub(purpose string, salt []byte) ([32]byte, error) {
	return erase.HKDF(k.key[:], salt, purpose), nil
}

// Read reads the file in a folder. If there is none, the key stays unknown. The error is coco.ErrCorrupt if the file is of no use, and of another kind as long as that is not
// known.
func (k *Key) Read(disk host.Disk, dir string, of func(epoch uint64) (*batch.Keys, error)) error {
	f, err := disk.Open(path.Join(dir, Name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var b [size]byte
	if n, err := f.ReadAt(b[:], 0); n < size && err == nil || !bytes.HasPrefix(b[:n], append([]byte(magic), version)) || n < size {
		return fmt.Errorf("%w: index: the file of its key has %d bytes and begins with %x, expected %d, %x and %02x (%v)", coco.ErrCorrupt, n, b[:len(magic)+1], size, magic, version, err)
	}
	epoch := binary.BigEndian.Uint64(b[len(magic)+1:])
	keys, err := of(epoch)
	if err != nil {
		return err
	}
	key, err := keys.Sub(purpose, b[prefixSize-saltSize:prefixSize])
	if err != nil {
		return err
	}
	aead := erase.AEAD(key[:])
	clear(key[:])
	defer erase.Value(aead)
	if _, err := aead.Open(k.key[:0], make([]byte, aead.NonceSize()), b[prefixSize:], b[:prefixSize]); err != nil {
		return fmt.Errorf("%w: index: its key does not decrypt under epoch %d", coco.ErrCorrupt, epoch)
	}
	k.known, k.epoch = true, epoch
	return nil
}

// Keep makes the key if it is not known, and seals it under an epoch that its file is not sealed under. A crash leaves the file before or the one after.
func (k *Key) Keep(disk host.Disk, dir string, epoch uint64, keys *batch.Keys) error {
	if k.known && k.epoch == epoch {
		return nil
	}
	if !k.known {
		rand.Read(k.key[:]) // it never fails
	}
	b := append(append(make([]byte, 0, size), magic...), version)
	b = binary.BigEndian.AppendUint64(b, epoch)
	b = append(b, make([]byte, saltSize)...)
	rand.Read(b[prefixSize-saltSize:])
	key, err := keys.Sub(purpose, b[prefixSize-saltSize:])
	if err != nil {
		return err
	}
	aead := erase.AEAD(key[:])
	clear(key[:])
	b = aead.Seal(b, make([]byte, aead.NonceSize()), k.key[:], b)
	erase.Value(aead)
	if err := host.Replace(disk, path.Join(dir, Name), path.Join(dir, Name+".new"), b); err != nil {
		return fmt.Errorf("the key of the index: %w", err)
	}
	k.known, k.epoch = true, epoch
	return nil
}
