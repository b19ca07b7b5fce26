package snapshot

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/store"
)

// Version is the version of the format.
const Version = 1

// Header says which state a snapshot holds and how a node goes on from there.
type Header struct {
	Version uint64      `cbor:"1,keyasint"` // set by Write
	Network coco.Digest `cbor:"2,keyasint"` // SHA-256 of the first service's public key
	Epoch   uint64      `cbor:"3,keyasint"` // whose secret the key derives from

	Index uint64      `cbor:"4,keyasint"` // of the batch that the state ends with
	View  uint64      `cbor:"5,keyasint"` // of that batch
	First uint64      `cbor:"6,keyasint"` // that batch's first seqno
	Seqno uint64      `cbor:"7,keyasint"` // and its last
	Time  uint64      `cbor:"8,keyasint"` // that batch's, in milliseconds since 1970
	Chain coco.Digest `cbor:"9,keyasint"` // the ledger's chain digest at Index
	Tree  []byte      `cbor:"10,keyasint"`

	// The members of the consensus as of Index, each list in order.
	Voters   []uint64 `cbor:"11,keyasint"`
	Learners []uint64 `cbor:"12,keyasint"`
	Outgoing []uint64 `cbor:"13,keyasint"`

	Origin coco.NodeID `cbor:"14,keyasint"`
	// Archives are the tables that are left out because the ledger has their rows. Set by Write.
	Archives []string `cbor:"15,keyasint"`
}

// Bounds of a header.
const (
	maxHeader  = 64 << 10
	maxMembers = 1024
	maxTables  = 1024
	maxName    = 255
)

// Frontier returns the Merkle tree over the transactions up to Seqno.
func (h *Header) Frontier() (merkle.Frontier, error) {
	var f merkle.Frontier
	err := f.UnmarshalBinary(h.Tree)
	return f, err
}

// complete brings the lists into their one form.
func (h Header) complete(tables []store.Table) Header {
	h.Version, h.Archives = Version, []string{}
	for _, t := range tables {
		if t.Archive {
			h.Archives = append(h.Archives, t.Name)
		}
	}
	slices.Sort(h.Archives)
	for _, list := range []*[]uint64{&h.Voters, &h.Learners, &h.Outgoing} {
		*list = append([]uint64{}, *list...)
		slices.Sort(*list)
	}
	return h
}

// check finds what Write never writes.
func (h *Header) check() error {
	tree, err := h.Frontier()
	switch {
	case h.Version != Version:
		return fmt.Errorf("format version %d, expected %d: it was written by another release of Coco", h.Version, Version)
	case h.Epoch == 0 || h.View == 0 || h.View > math.MaxUint32 || h.Index == 0:
		return fmt.Errorf("epoch %d, view %d, index %d: each begins with 1", h.Epoch, h.View, h.Index)
	case h.First == 0 || h.First > h.Seqno:
		return fmt.Errorf("the last batch holds the seqnos %d to %d", h.First, h.Seqno)
	case err != nil:
		return err
	case tree.Size() != h.Seqno:
		return fmt.Errorf("a Merkle tree of %d leaves at seqno %d", tree.Size(), h.Seqno)
	case len(h.Voters) == 0:
		return errors.New("no voters")
	}
	for _, list := range [][]uint64{h.Voters, h.Learners, h.Outgoing} {
		if len(list) > maxMembers || !ascending(list) {
			return errors.New("the members of the consensus are too many or not in order")
		}
	}
	if len(h.Archives) > maxTables || !ascending(h.Archives) {
		return errors.New("the archives are too many or not in order")
	}
	return nil
}

func ascending[T uint64 | string](list []T) bool {
	for i := 1; i < len(list); i++ {
		if list[i-1] >= list[i] {
			return false
		}
	}
	return true
}

func (h *Header) encode() ([]byte, error) {
	b, err := canon.Marshal(h)
	if err == nil && len(b) > maxHeader {
		err = fmt.Errorf("%d bytes, at most %d are possible", len(b), maxHeader)
	}
	return b, err
}

// decodeHeader accepts only what encode makes of a header that passes check.
func decodeHeader(b []byte) (Header, error) {
	var h Header
	if err := canon.Unmarshal(b, &h, canon.Limits{Bytes: maxHeader, Depth: 4, Elements: max(maxMembers, maxTables), Pairs: 32}); err != nil {
		return h, err
	}
	return h, h.check()
}
