// Package filter is what clients ask of logs: the parameter of eth_getLogs and its kin, and the table of filters that
// clients poll.
//
// Trust: enclave
package filter

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco/adapter/ethereum/logs"
)

// Limits of a filter, go-ethereum's.
const (
	maxTopics    = 4
	maxSubTopics = 1000
	maxAddresses = 1000
)

var (
	errInvalidTopics = errors.New("invalid topic(s)")
	errExceedTopics  = errors.New("exceed max topics")
)

// Query is the parameter of eth_getLogs, eth_newFilter and the logs subscription.
type Query struct {
	BlockHash *common.Hash
	From, To  *rpc.BlockNumber // nil: latest
	logs.Filter
}

// UnmarshalJSON implements json.Unmarshaler. An address may stand for a list of one, a topic too,
// and null among topics matches all.
func (q *Query) UnmarshalJSON(data []byte) error {
	var raw struct {
		BlockHash *common.Hash     `json:"blockHash"`
		FromBlock *rpc.BlockNumber `json:"fromBlock"`
		ToBlock   *rpc.BlockNumber `json:"toBlock"`
		Address   json.RawMessage  `json:"address"`
		Topics    []any            `json:"topics"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	if raw.BlockHash != nil && (raw.FromBlock != nil || raw.ToBlock != nil) {
		return errors.New("cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other")
	}
	q.BlockHash, q.From, q.To = raw.BlockHash, raw.FromBlock, raw.ToBlock
	if err := q.decodeAddresses(raw.Address); err != nil {
		return err
	}
	return q.decodeTopics(raw.Topics)
}

func (q *Query) decodeAddresses(raw json.RawMessage) error {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil
	case raw[0] == '[':
		if err := json.Unmarshal(raw, &q.Addresses); err != nil {
			return fmt.Errorf("invalid address: %w", err)
		}
		if len(q.Addresses) > maxAddresses {
			return errors.New("exceed max addresses or topics per search position")
		}
		return nil
	}
	q.Addresses = make([]common.Address, 1)
	if err := json.Unmarshal(raw, &q.Addresses[0]); err != nil {
		return fmt.Errorf("invalid address: %w", err)
	}
	return nil
}

func (q *Query) decodeTopics(raw []any) error {
	if len(raw) > maxTopics {
		return errExceedTopics
	}
	for _, position := range raw {
		var hashes []common.Hash
		switch t := position.(type) {
		case nil:
		case string:
			hash, err := decodeTopic(t)
			if err != nil {
				return err
			}
			hashes = []common.Hash{hash}
		case []any:
			if len(t) > maxSubTopics {
				return errExceedTopics
			}
			if slices.Contains(t, nil) {
				break // matches all
			}
			for _, one := range t {
				s, ok := one.(string)
				if !ok {
					return errInvalidTopics
				}
				hash, err := decodeTopic(s)
				if err != nil {
					return err
				}
				hashes = append(hashes, hash)
			}
		default:
			return errInvalidTopics
		}
		q.Topics = append(q.Topics, hashes)
	}
	return nil
}

func decodeTopic(s string) (common.Hash, error) {
	b, err := hexutil.Decode(s)
	if err == nil && len(b) != common.HashLength {
		err = fmt.Errorf("hex has invalid length %d after decoding; expected %d for topic", len(b), common.HashLength)
	}
	return common.BytesToHash(b), err
}

// Window is the range of blocks that a filter admits. Tags in it mean blocks to come.
func (q *Query) Window(head uint64) (from, to uint64) {
	to = head
	if q.From != nil && *q.From >= 0 {
		from = uint64(*q.From)
	}
	if q.To != nil && *q.To >= 0 {
		to = uint64(*q.To)
	}
	return from, to
}
