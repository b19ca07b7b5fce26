package batch

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/cocoframework/coco"
)

// Kind says what an entry is.
type Kind uint8

// The kinds of entries.
const (
	KindBatch   Kind = 1 // transactions: data is what Seal made
	KindView    Kind = 2 // a new leader's first entry, without contents
	KindMembers Kind = 3 // a change of the consensus' membership, in the consensus' own form
)

// String returns the kind's name.
func (k Kind) String() string {
	switch k {
	case KindBatch:
		return "batch"
	case KindView:
		return "view"
	case KindMembers:
		return "members"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

func (k Kind) Valid() bool { return k >= KindBatch && k <= KindMembers }

// MaxData is the largest size of an entry's data, in bytes.
const MaxData = 256 << 20

// Entry is one entry of the consensus.
type Entry struct {
	View  uint64
	Index uint64
	Kind  Kind
	Data  []byte
}

const chainContext = "coco ledger entry\x00"

// Chain returns the chain digest of the entry, given that of the entry before it (zero for index 1).
func (e Entry) Chain(prev coco.Digest) coco.Digest { return e.ChainOver(sha256.Sum256(e.Data), prev) }

// ChainOver is Chain, given the SHA-256 of the entry's data.
func (e Entry) ChainOver(data, prev coco.Digest) coco.Digest {
	b := make([]byte, 0, 128)
	b = append(b, chainContext...)
	b = append(b, prev[:]...)
	b = append(b, byte(e.Kind))
	b = binary.BigEndian.AppendUint64(b, e.View)
	b = binary.BigEndian.AppendUint64(b, e.Index)
	b = append(b, data[:]...)
	return sha256.Sum256(b)
}
