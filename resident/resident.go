// Package resident decides about rows whose contents only the nodes of their audience have.
//
// Such a row has two parts. The network's tables hold its name, its version and a commitment, which are ordered, replicated
// and audited like every other row. Its payload is in a folder of each node whose organisation is in the audience
// (resident/folder), and travels between these nodes alone (resident/exchange).
//
//	row        = audience ‖ name → version u64 ‖ commitment ‖ holders u16
//	name       = HMAC-SHA-256(K, key)
//	commitment = SHA-256("coco resident" ‖ 0x00 ‖ payload)
//	payload    = audience ‖ salt (32 random bytes) ‖ key length u32 ‖ key ‖ media type length u8 ‖ media type ‖ value
//
// K is 32 random bytes that the audience's nodes share: the payload of the audience's first row, whose name is 32 zero bytes.
// The salt keeps everybody else from confirming a guess at a value, and K from confirming one at a key.
//
// A write is committed only after nodes of enough of the audience's organisations have its payload on their disks: see
// Audience.Enough. Holders says whose nodes these were. The payload has no part in what a transaction does, so every node has the same state.
//
// The package is pure. What a node lacks, whom it asks and what it may drop follow from rows, files and answers: see Plan.
//
// Trust: enclave
package resident

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

const (
	// SaltSize, KeySize and NameSize are in bytes: of a payload's salt, of an audience's K, and of a row's name.
	SaltSize = 32
	KeySize  = 32
	NameSize = sha256.Size

	purpose = "coco resident\x00"
)

// Name is the name of a row.
type Name [NameSize]byte

// KeyName is the name of an audience's first row, whose payload is K. No key has this name: it would be the HMAC of something.
var KeyName Name

// NameOf returns the name of a key under an audience's K.
func NameOf(k [KeySize]byte, key []byte) Name {
	mac := hmac.New(sha256.New, k[:])
	mac.Write(key)
	return Name(mac.Sum(nil))
}

// Payload is what the nodes of an audience alone have of a row.
type Payload struct {
	Audience store.Audience
	Salt     [SaltSize]byte
	Key      []byte
	Media    string // media type, at most 255 bytes
	Value    []byte
}

// Append encodes the payload.
func (p *Payload) Append(b []byte) []byte {
	b = append(p.Audience.Append(b), p.Salt[:]...)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(p.Key))), p.Key...)
	b = append(append(b, byte(len(p.Media))), p.Media...)
	return append(b, p.Value...)
}

// Commit returns the commitment to an encoded payload.
func Commit(payload []byte) coco.Digest {
	h := sha256.New()
	h.Write([]byte(purpose))
	h.Write(payload)
	return coco.Digest(h.Sum(nil))
}

// Parse decodes a payload, which refers to b. Each payload has one encoding. The error is coco.ErrCorrupt.
func Parse(b []byte) (p Payload, err error) {
	if p.Audience, b, err = store.CutAudience(b); err != nil {
		return p, fmt.Errorf("resident payload: %w", err)
	}
	if len(b) < SaltSize+4 {
		return p, errShort(len(b))
	}
	p.Salt, b = [SaltSize]byte(b[:SaltSize]), b[SaltSize:]
	n := binary.BigEndian.Uint32(b)
	if b = b[4:]; uint64(n) >= uint64(len(b)) {
		return p, errShort(len(b))
	}
	p.Key, b = b[:n:n], b[n:]
	m := int(b[0])
	if b = b[1:]; m > len(b) {
		return p, errShort(len(b))
	}
	p.Media, p.Value = string(b[:m]), b[m:]
	return p, nil
}

func errShort(left int) error {
	return fmt.Errorf("%w: a resident payload ends early, %d bytes before its end", coco.ErrCorrupt, left)
}

// Row is what the network has of a row: the owner's value in a table that store.Table.Resident marks.
type Row struct {
	Version    uint64 // the seqno that wrote it
	Commitment coco.Digest
	Holders    Set // whose nodes had the payload when it was committed
}

const rowSize = 8 + sha256.Size + 2

// Append encodes the row.
func (r Row) Append(b []byte) []byte {
	b = append(binary.BigEndian.AppendUint64(b, r.Version), r.Commitment[:]...)
	return binary.BigEndian.AppendUint16(b, uint16(r.Holders))
}

// ParseRow decodes a row. The error is coco.ErrCorrupt.
func ParseRow(b []byte) (Row, error) {
	if len(b) != rowSize {
		return Row{}, fmt.Errorf("%w: the row of a resident payload has %d bytes, expected %d", coco.ErrCorrupt, len(b), rowSize)
	}
	return Row{binary.BigEndian.Uint64(b), coco.Digest(b[8 : 8+sha256.Size]), Set(binary.BigEndian.Uint16(b[8+sha256.Size:]))}, nil
}

// Set is a set of organisations of one audience: bit i is the audience's i-th.
type Set uint16

// SetOf returns those of an audience whose nodes are among some, by the owner of each node.
func SetOf(audience store.Audience, owners []coco.ActorID) (s Set) {
	for i := range audience {
		for _, owner := range owners {
			if owner == audience[i] {
				s |= 1 << i
			}
		}
	}
	return s
}

// Of returns the organisations of the set, whose audience this is.
func (s Set) Of(audience store.Audience) (actors []coco.ActorID) {
	for i := range audience {
		if s&(1<<i) != 0 {
			actors = append(actors, audience[i])
		}
	}
	return actors
}

// Len is how many organisations the set has.
func (s Set) Len() int { return bits.OnesCount16(uint16(s)) }

// Enough reports whether the nodes of these holders are enough for a payload to be committed: those of more than half of the
// audience's organisations that are left in the network, one of them the writer's. So two organisations both have it, and of
// three or more one that does not answer stops nobody. An organisation that members have removed is not waited for.
func Enough(audience store.Audience, holders Set, writer coco.ActorID, left func(coco.ActorID) bool) bool {
	there := Set(0)
	for i := range audience {
		if left(audience[i]) {
			there |= 1 << i
		}
	}
	return holders&SetOf(audience, []coco.ActorID{writer}) != 0 && (holders&there).Len() >= there.Len()/2+1
}
