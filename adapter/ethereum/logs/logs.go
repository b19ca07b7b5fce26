// Package logs selects Ethereum logs: by a block's bloom, by an index, and one by one.
//
// A filter has up to five conditions: the address, and the topic at each of four positions. A block's bloom says
// that it certainly has no log for a condition, the index of the past (terms.go) which batches may have one, and
// Match decides. Logs are decoded one at a time: a transaction may have tens of thousands, and memory is claimed for
// what is answered only.
//
// Trust: enclave
package logs

import (
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
)

// Filter selects logs as eth_getLogs does: of any of the addresses, or of all if there are none,
// and by position with any of the topics, or with whichever if there are none. It MUST NOT be
// modified while it is in use.
type Filter struct {
	Addresses []common.Address
	Topics    [][]common.Hash
}

// Match tells whether the filter selects the log.
func (f *Filter) Match(l *types.Log) bool {
	if len(f.Addresses) > 0 && !slices.Contains(f.Addresses, l.Address) || len(f.Topics) > len(l.Topics) {
		return false
	}
	for i, any := range f.Topics {
		if len(any) > 0 && !slices.Contains(any, l.Topics[i]) {
			return false
		}
	}
	return true
}

// MatchBloom tells whether a block with the bloom may contain logs that the filter selects.
func (f *Filter) MatchBloom(bloom *types.Bloom) bool {
	if *bloom == (types.Bloom{}) {
		return false
	}
	if len(f.Addresses) > 0 && !slices.ContainsFunc(f.Addresses, func(a common.Address) bool { return bloom.Test(a[:]) }) {
		return false
	}
	for _, any := range f.Topics {
		if len(any) > 0 && !slices.ContainsFunc(any, func(h common.Hash) bool { return bloom.Test(h[:]) }) {
			return false
		}
	}
	return true
}

// Each decodes a list of logs as a consensus receipt holds it, one log after the other, and calls fn with each, until
// fn fails. The log is not used again. A malformed list is coco.ErrCorrupt.
func Each(list []byte, fn func(i int, l *types.Log) error) error {
	it, err := rlp.NewListIterator(list)
	if err != nil {
		return corrupt(err)
	}
	for i := 0; it.Next(); i++ {
		l := new(types.Log)
		if err := rlp.DecodeBytes(it.Value(), l); err != nil {
			return corrupt(err)
		}
		if err := fn(i, l); err != nil {
			return err
		}
	}
	if it.Err() != nil {
		return corrupt(it.Err())
	}
	return nil
}

func corrupt(err error) error { return fmt.Errorf("%w: list of logs: %w", coco.ErrCorrupt, err) }

// LimitError says that a search was ended by a limit, and which range of blocks fits. It is of kind coco.ErrInvalid.
type LimitError struct {
	Limit string // what was reached, such as "query returned more than 10000 results"
	From  uint64 // the first block that was asked for
	At    uint64 // the block in which the limit was reached: those before it fit
}

// Error names the range in the words by which web3 clients recognise it, and split what they ask for.
func (e *LimitError) Error() string {
	if e.At > e.From {
		return fmt.Sprintf("%s. Try with this block range [%#x, %#x], and then go on from block %#x.", e.Limit, e.From, e.At-1, e.At)
	}
	return fmt.Sprintf("%s in block %#x alone: ask for fewer addresses or topics, or for the receipts of single transactions", e.Limit, e.At)
}

// Unwrap gives the error its kind.
func (e *LimitError) Unwrap() error { return coco.ErrInvalid }
