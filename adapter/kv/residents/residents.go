// Package residents names the rows of kv that reside with their parties, and finds them by their keys: see package resident.
//
// A key is hashed under a secret that an audience's nodes share. The secret is the payload of a row itself, the audience's first one.
// Of two nodes that make it at once the ledger's order decides: the write of the second finds the row there.
//
// Trust: enclave
package residents

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/resident"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// Rows are those of one audience in one state.
type Rows struct {
	Audience store.Audience
	Get      func(resident.Name) (stored []byte, exists bool)
}

func (r Rows) row(name resident.Name) (resident.Row, bool, error) {
	stored, exists := r.Get(name)
	if !exists {
		return resident.Row{}, false, nil
	}
	row, err := resident.ParseRow(stored)
	return row, true, err
}

// maxSecrets bounds how many audiences' secrets are remembered.
const maxSecrets = 1024

// Names remembers secrets of audiences. The zero value is ready, and safe for concurrent use.
type Names struct {
	mu      sync.Mutex
	secrets map[coco.Digest][resident.KeySize]byte // by the commitments of their rows; under mu
}

// Of returns the name of a key, and the version of the row that has its audience's secret; 0 if there is none yet. Its errors are those of resident.Keeper.Get.
func (n *Names) Of(ctx context.Context, payloads *resident.Keeper, rows Rows, key []byte) (name resident.Name, version uint64, err error) {
	row, exists, err := rows.row(resident.KeyName)
	if err != nil || !exists {
		return name, 0, err
	}
	n.mu.Lock()
	secret, known := n.secrets[row.Commitment]
	n.mu.Unlock()
	if !known {
		p, err := payloads.Get(ctx, resident.Ref{Audience: rows.Audience, Row: row})
		if err != nil {
			return name, row.Version, fmt.Errorf("the secret that names the audience's rows: %w", err)
		}
		if len(p.Value) != len(secret) || len(p.Key) != 0 {
			return name, row.Version, fmt.Errorf("%w: the payload of an audience's first row is no secret", coco.ErrCorrupt)
		}
		secret = [resident.KeySize]byte(p.Value)
		n.mu.Lock()
		if n.secrets == nil || len(n.secrets) >= maxSecrets {
			n.secrets = map[coco.Digest][resident.KeySize]byte{}
		}
		n.secrets[row.Commitment] = secret
		n.mu.Unlock()
	}
	return resident.NameOf(secret, key), row.Version, nil
}

// Find returns the row of a key.
func (n *Names) Find(ctx context.Context, payloads *resident.Keeper, rows Rows, key []byte) (row resident.Row, exists bool, err error) {
	name, version, err := n.Of(ctx, payloads, rows, key)
	if err != nil || version == 0 {
		return row, false, err
	}
	return rows.row(name)
}

// Read returns the payload of the row of a key.
func Read(ctx context.Context, payloads *resident.Keeper, rows Rows, row resident.Row, key []byte) (resident.Payload, error) {
	p, err := payloads.Get(ctx, resident.Ref{Audience: rows.Audience, Row: row})
	if err == nil && !bytes.Equal(p.Key, key) {
		return p, fmt.Errorf("%w: a row's payload is of another key", coco.ErrCorrupt)
	}
	return p, err
}

// New returns the payload of a key's new value, under a salt of its own.
func New(audience store.Audience, key []byte, media string, value []byte) *resident.Payload {
	p := &resident.Payload{Audience: audience, Key: key, Media: media, Value: value}
	_, _ = rand.Read(p.Salt[:]) // never fails
	return p
}

// NewSecret returns the payload of an audience's first row.
func NewSecret(audience store.Audience) *resident.Payload {
	secret := make([]byte, resident.KeySize)
	_, _ = rand.Read(secret) // never fails
	return New(audience, nil, "", secret)
}

// ErrNone is of kind coco.ErrInvalid.
var ErrNone = fmt.Errorf("%w: the transaction wrote no resident row: only the commitment of such a row has a salt", coco.ErrInvalid)

// Reveal checks that a commitment is that of a key and a value. An empty media type is wire.MediaBytes. The error is coco.ErrInvalid if the salt has another
// length than one, and coco.ErrVerify if the commitment is to something else.
func Reveal(audience store.Audience, commitment, salt []byte, key, media string, value []byte) error {
	if len(salt) != resident.SaltSize {
		return fmt.Errorf("%w: a salt of %d bytes: expected %d, as %s of a read has them", coco.ErrInvalid, len(salt), resident.SaltSize, wire.HeaderSalt)
	}
	if media == wire.MediaBytes {
		media = ""
	}
	p := resident.Payload{Audience: audience, Salt: [resident.SaltSize]byte(salt), Key: []byte(key), Media: media, Value: value}
	if c := resident.Commit(p.Append(nil)); !bytes.Equal(commitment, c[:]) {
		return fmt.Errorf("%w: this salt, key, content type and value have the commitment %s, and the transaction has %x: all four must be those of the row", coco.ErrVerify, c, commitment)
	}
	return nil
}
