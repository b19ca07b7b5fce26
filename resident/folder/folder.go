// Package folder keeps payloads of resident rows on a node's disk, one file each.
//
// A file is named by the payload's commitment, which tells nothing of the payload, and sealed under a sub-key of the epoch
// in which it was written. While a file is named by a row it is written again before the secrets of its epoch expire (Old, Renew); where a node
// was down for so long, the epoch must be opened to read the file, as for the ledger:
//
//	file   = prefix ‖ sealed payload and tag, by AES-256-GCM under the file's key, with a nonce of zeros and the prefix as additional data
//	prefix = "cocores" ‖ 0x01 ‖ epoch u64 ‖ time u64 ‖ salt (32 random bytes)
//	key    = Sub("coco resident payload", salt) of the epoch's keys: see batch.Keys
//
// A file is written under another name, synced and renamed. A crash leaves a whole file or none, and a file by the other name, which New removes.
// What the host has changed does not open, or is not what the commitment says: it counts as absent.
//
// Trust: enclave
package folder

import (
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/erase"
	"github.com/cocoframework/coco/resident"
)

const (
	magic      = "cocores\x01"
	saltSize   = 32
	prefixSize = len(magic) + 8 + 8 + saltSize
	purpose    = "coco resident payload"
	unfinished = ".part"
	maxFile    = 64 << 20 // no payload is as long: it travels in one frame
)

// Keys are those that files are sealed under.
type Keys struct {
	Current func() (uint64, *batch.Keys)
	Of      func(epoch uint64) (*batch.Keys, error) // as retention.Keys.Of
	Held    func(epoch uint64) (*batch.Keys, error) // as keys.Ring.Of: without opening an epoch
	Now     func() time.Time                        // the ledger's time
}

// Folder is a folder of payloads. It is safe for concurrent use.
type Folder struct {
	disk  host.Disk
	dir   string
	keys  Keys
	parts atomic.Uint64 // names files that are being written
}

// New opens a folder and returns the commitments of the payloads that it has files of.
func New(disk host.Disk, dir string, keys Keys) (*Folder, []coco.Digest, error) {
	f := &Folder{disk: disk, dir: dir, keys: keys}
	names, err := disk.List(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("folder %s: %w", dir, err)
	}
	var there []coco.Digest
	for _, name := range names {
		b, err := hex.DecodeString(name)
		switch {
		case err == nil && len(b) == len(coco.Digest{}):
			there = append(there, coco.Digest(b))
		case strings.HasSuffix(name, unfinished):
			if err := disk.Remove(dir + "/" + name); err != nil {
				return nil, nil, fmt.Errorf("an unfinished payload: %w", err)
			}
		}
	}
	return f, there, nil
}

func (f *Folder) name(c coco.Digest) string { return f.dir + "/" + hex.EncodeToString(c[:]) }

// Put writes an encoded payload, and returns once it is durable. Writing one again does no harm.
func (f *Folder) Put(payload []byte) (err error) {
	epoch, keys := f.keys.Current()
	if keys == nil {
		return fmt.Errorf("%w: this node has no epoch to seal a payload under yet", coco.ErrBusy)
	}
	prefix := binary.BigEndian.AppendUint64(append(make([]byte, 0, prefixSize), magic...), epoch)
	prefix = binary.BigEndian.AppendUint64(prefix, uint64(f.keys.Now().UnixMilli()))
	prefix = prefix[:prefixSize]
	_, _ = rand.Read(prefix[prefixSize-saltSize:]) // never fails
	sealed, err := seal(keys, prefix, payload)
	if err != nil {
		return err
	}
	return f.place(resident.Commit(payload), sealed)
}

// place writes a file under another name, and renames it once it is durable.
func (f *Folder) place(c coco.Digest, sealed []byte) (err error) {
	part := fmt.Sprintf("%s/%d%s", f.dir, f.parts.Add(1), unfinished)
	if err = f.write(part, sealed); err == nil {
		err = f.disk.Rename(part, f.name(c))
	}
	if err != nil {
		_ = f.disk.Remove(part)
		return fmt.Errorf("a resident payload: %w", err)
	}
	return nil
}

func (f *Folder) write(name string, data []byte) (err error) {
	file, err := f.disk.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if _, err := file.WriteAt(data, 0); err != nil {
		return err
	}
	return file.Sync()
}

// Get returns an encoded payload. The error is coco.ErrNotFound if there is none, coco.ErrCorrupt for one that is not what was written, and that of
// Keys.Of if its epoch must be opened first.
func (f *Folder) Get(c coco.Digest) ([]byte, error) { return f.get(c, f.keys.Of) }

// Renew writes a payload again under the newest epoch, if this node holds the keys of the one that it is sealed under. Its errors are those of Get.
func (f *Folder) Renew(c coco.Digest) error {
	payload, err := f.get(c, f.keys.Held)
	if err != nil {
		return err
	}
	return f.Put(payload)
}

// Old reports whether a payload's file was written longer ago than d, by the ledger's time, and under an earlier epoch than the newest.
func (f *Folder) Old(c coco.Digest, d time.Duration) bool {
	file, err := f.disk.Open(f.name(c))
	if err != nil {
		return false
	}
	defer file.Close()
	var prefix [prefixSize]byte
	if _, err := file.ReadAt(prefix[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return false
	}
	epoch, written := binary.BigEndian.Uint64(prefix[len(magic):]), binary.BigEndian.Uint64(prefix[len(magic)+8:])
	newest, _ := f.keys.Current()
	return epoch < newest && f.keys.Now().Sub(time.UnixMilli(int64(written))) > d
}

func (f *Folder) get(c coco.Digest, of func(uint64) (*batch.Keys, error)) ([]byte, error) {
	data, err := f.read(c)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: no payload %s", coco.ErrNotFound, c.Short())
	}
	if err != nil {
		return nil, err
	}
	if len(data) < prefixSize || string(data[:len(magic)]) != magic {
		return nil, damaged(c)
	}
	prefix := data[:prefixSize]
	epoch := binary.BigEndian.Uint64(prefix[len(magic):])
	if newest, _ := f.keys.Current(); epoch > newest {
		return nil, damaged(c)
	}
	keys, err := of(epoch)
	if err != nil {
		return nil, err
	}
	payload, err := open(keys, prefix, data[prefixSize:])
	if err == nil && resident.Commit(payload) != c {
		err = damaged(c)
	}
	return payload, err
}

func damaged(c coco.Digest) error {
	return fmt.Errorf("%w: the file of payload %s is not what this node has written", coco.ErrCorrupt, c.Short())
}

func (f *Folder) read(c coco.Digest) ([]byte, error) {
	file, err := f.disk.Open(f.name(c))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	if size > maxFile { // the host says how long a file is
		return nil, damaged(c)
	}
	data := make([]byte, size)
	if _, err := file.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data, nil
}

// Remove removes a payload. Removing one that is absent does no harm.
func (f *Folder) Remove(c coco.Digest) error {
	if err := f.disk.Remove(f.name(c)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// nonce is that of every file: each has a key of its own.
var nonce [12]byte

// aeadOf returns the cipher of the file with a prefix. The caller erases it.
func aeadOf(keys *batch.Keys, prefix []byte) (cipher.AEAD, error) {
	key, err := keys.Sub(purpose, prefix[prefixSize-saltSize:])
	if err != nil {
		return nil, err
	}
	defer clear(key[:])
	return erase.AEAD(key[:]), nil
}

// seal returns a whole file.
func seal(keys *batch.Keys, prefix, payload []byte) ([]byte, error) {
	aead, err := aeadOf(keys, prefix)
	if err != nil {
		return nil, err
	}
	defer erase.Value(aead)
	return aead.Seal(append(make([]byte, 0, len(prefix)+len(payload)+aead.Overhead()), prefix...), nonce[:], payload, prefix), nil
}

func open(keys *batch.Keys, prefix, sealed []byte) ([]byte, error) {
	aead, err := aeadOf(keys, prefix)
	if err != nil {
		return nil, err
	}
	defer erase.Value(aead)
	payload, err := aead.Open(nil, nonce[:], sealed, prefix)
	if err != nil {
		return nil, fmt.Errorf("%w: a resident payload does not decrypt", coco.ErrCorrupt)
	}
	return payload, nil
}
