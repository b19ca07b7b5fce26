package batch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
)

// Version is the format version of the batches that this package reads and writes.
const Version = 1

// Header is the signed part of a batch. In CBOR it is a map with all of the keys 1 to 13 in this
// order; digests and ids are byte strings of 32 bytes, the others unsigned integers.
type Header struct {
	Version   uint64      // 1
	View      uint64      // 2: of the leader; from 1, below 2^32
	Index     uint64      // 3: of the batch's consensus entry
	First     uint64      // 4: seqno of the first transaction
	Count     uint64      // 5: number of transactions, at least 1
	Node      coco.NodeID // 6: the leader, which signs the batch
	Time      uint64      // 7: milliseconds since 1970 UTC, on the leader's host's word
	Epoch     uint64      // 8: whose keys seal the private part
	Committed uint64      // 9: the highest index that the leader knew to be committed
	Prev      coco.Digest // 10: chain digest of the entry before; zero for index 1
	Root      coco.Digest // 11: of the Merkle tree whose last leaf is this batch's last
	Public    coco.Digest // 12: SHA-256 of the public part
	Sealed    coco.Digest // 13: SHA-256 of the sealed part
}

const (
	headerKeys     = 13
	associatedKeys = 10
	digestField    = 1 + 2 + sha256.Size // a key below 24 and a byte string of 32 bytes
	maxHeader      = 1 + 8*(1+9) + 5*digestField
	outputs        = (headerKeys - associatedKeys) * digestField // the end of the header: keys 11 to 13
)

// Last returns the seqno of the batch's last transaction.
func (h *Header) Last() uint64 { return h.First + h.Count - 1 }

// TxIDs returns the ids of the batch's first and last transaction.
func (h *Header) TxIDs() (first, last coco.TxID) {
	return coco.TxID{View: h.View, Seqno: h.First}, coco.TxID{View: h.View, Seqno: h.Last()}
}

// MarshalBinary encodes the header.
func (h *Header) MarshalBinary() ([]byte, error) {
	return h.append(make([]byte, 0, maxHeader)), nil
}

func (h *Header) append(b []byte) []byte {
	b = canon.AppendHead(b, canon.Map, headerKeys)
	for i, n := range [...]uint64{h.Version, h.View, h.Index, h.First, h.Count} {
		b = canon.AppendHead(append(b, byte(1+i)), canon.Uint, n)
	}
	b = canon.AppendBytes(append(b, 6), h.Node[:])
	for i, n := range [...]uint64{h.Time, h.Epoch, h.Committed} {
		b = canon.AppendHead(append(b, byte(7+i)), canon.Uint, n)
	}
	for i, d := range [...]*coco.Digest{&h.Prev, &h.Root, &h.Public, &h.Sealed} {
		b = canon.AppendBytes(append(b, byte(10+i)), d[:])
	}
	return b
}

// associated returns the associated data of the sealed part: the encoded header reduced to its
// first ten entries.
func associated(header []byte) []byte {
	b := append(make([]byte, 0, maxHeader), header[:len(header)-outputs]...)
	b[0] = byte(canon.Map) | associatedKeys
	return b
}

// UnmarshalBinary decodes a header and checks what can be checked of a header alone. Its error is
// of kind coco.ErrCorrupt.
func (h *Header) UnmarshalBinary(b []byte) error {
	var got Header
	n, b, err := canon.CutHead(b, canon.Map)
	if err == nil && n != headerKeys {
		err = fmt.Errorf("%d keys, expected %d", n, headerKeys)
	}
	number := func(key byte, to *uint64) {
		if err != nil {
			return
		}
		if len(b) == 0 || b[0] != key {
			err = fmt.Errorf("key %d is missing", key)
			return
		}
		*to, b, err = canon.CutHead(b[1:], canon.Uint)
	}
	digest := func(key byte, to *coco.Digest) {
		if err != nil {
			return
		}
		if len(b) == 0 || b[0] != key {
			err = fmt.Errorf("key %d is missing", key)
			return
		}
		b, err = canon.CutFixed(b[1:], to[:])
	}
	number(1, &got.Version)
	if err == nil && got.Version != Version {
		err = fmt.Errorf("format version %d, expected %d: it was written by a newer Coco", got.Version, Version)
	}
	number(2, &got.View)
	number(3, &got.Index)
	number(4, &got.First)
	number(5, &got.Count)
	digest(6, &got.Node)
	number(7, &got.Time)
	number(8, &got.Epoch)
	number(9, &got.Committed)
	digest(10, &got.Prev)
	digest(11, &got.Root)
	digest(12, &got.Public)
	digest(13, &got.Sealed)
	if err == nil && len(b) > 0 {
		err = fmt.Errorf("%d bytes too many", len(b))
	}
	if err == nil {
		err = got.check()
	}
	if err != nil {
		return corrupt("batch header", err)
	}
	*h = got
	return nil
}

// check finds what no leader may write.
func (h *Header) check() error {
	switch {
	case h.View == 0 || h.View > math.MaxUint32:
		return fmt.Errorf("view %d is outside 1 to 2^32-1", h.View)
	case h.Index == 0:
		return errors.New("index 0; indexes begin with 1")
	case h.First == 0:
		return errors.New("first seqno 0; seqnos begin with 1")
	case h.Count == 0:
		return errors.New("no transactions")
	case h.Count > math.MaxUint64-h.First:
		return fmt.Errorf("first seqno %d and count %d are too large", h.First, h.Count)
	case h.Committed >= h.Index:
		return fmt.Errorf("committed index %d is not below the batch's own, %d", h.Committed, h.Index)
	case (h.Prev == coco.Digest{}) != (h.Index == 1):
		return errors.New("the previous chain digest must be zero for index 1, and for no other")
	}
	return nil
}
