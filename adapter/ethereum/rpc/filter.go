package rpc

import (
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/host"
)

// Limits of a filter, go-ethereum's.
const (
	maxTopics    = 4
	maxSubTopics = 1000
	maxAddresses = 1000
)

var (
	errInvalidTopics = rpcErrorf(codeInvalidParams, "invalid topic(s)")
	errExceedTopics  = rpcErrorf(codeServer, "exceed max topics")
	errBadRange      = rpcErrorf(codeInvalidParams, "invalid block range params")
	errFutureRange   = rpcErrorf(codeInvalidParams, "block range extends beyond current head block")
	errNoFilter      = rpcErrorf(codeServer, "filter not found")
)

// logQuery is the parameter of eth_getLogs, eth_newFilter and the logs subscription.
type logQuery struct {
	BlockHash *common.Hash
	From, To  *rpc.BlockNumber // nil: latest
	chain.LogFilter
}

// UnmarshalJSON implements json.Unmarshaler. An address may stand for a list of one, a topic too,
// and null among topics matches all.
func (q *logQuery) UnmarshalJSON(data []byte) error {
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

func (q *logQuery) decodeAddresses(raw json.RawMessage) error {
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

func (q *logQuery) decodeTopics(raw []any) error {
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

// GetLogs returns the logs that match a filter.
func (m *ethMethods) GetLogs(ctx context.Context, q logQuery) (json.RawMessage, error) {
	return rpcResult(m.s.logs(ctx, &q))
}

// logs answers a query.
func (s *Server) logs(ctx context.Context, q *logQuery) (json.RawMessage, error) {
	v, err := s.view(exchangeOf(ctx), readLogs)
	if err != nil {
		return nil, err
	}
	defer v.Release()
	from, to, err := q.blocks(ctx, v)
	if err != nil {
		return nil, err
	}
	if to-from >= uint64(s.limits.LogBlocks) {
		return nil, rpcErrorf(codeLimit, "exceed maximum block range %d: ask for fewer blocks at a time", s.limits.LogBlocks)
	}
	found, err := s.findLogs(ctx, v, from, to, &q.LogFilter)
	if err != nil {
		return nil, err
	}
	return encode.AppendLogs(nil, found), nil
}

// findLogs looks through from..to within the limits.
func (s *Server) findLogs(ctx context.Context, v *chain.View, from, to uint64, f *chain.LogFilter) ([]*types.Log, error) {
	var found []*types.Log
	err := s.calls.do(ctx, func(ctx context.Context) (err error) {
		found, err = v.Logs(ctx, from, to, f, chain.LogLimits{Results: s.limits.LogResults, Archived: s.limits.ArchiveBlocks})
		return err
	})
	if errors.Is(err, coco.ErrInvalid) {
		return nil, rpcErrorf(codeLimit, "%v", err)
	}
	return found, err
}

// blocks resolves the query's range.
func (q *logQuery) blocks(ctx context.Context, v *chain.View) (from, to uint64, err error) {
	if q.BlockHash != nil {
		b, err := v.BlockByHash(ctx, *q.BlockHash)
		if errors.Is(err, coco.ErrNotFound) {
			return 0, 0, errors.New("unknown block")
		}
		if err != nil {
			return 0, 0, err
		}
		n := b.Header.Number.Uint64()
		return n, n, nil
	}
	head := v.Number()
	from, to = head, head
	if q.From != nil {
		from = resolveNumber(*q.From, head)
	}
	if q.To != nil {
		to = resolveNumber(*q.To, head)
	}
	if from > to {
		return 0, 0, errBadRange
	}
	if to > head {
		return 0, 0, errFutureRange
	}
	return from, to, nil
}

// filterTable holds the filters that clients poll. A filter is only a query and the number of the
// block up to which its client knows everything; what is new comes from the ledger. Filters are a
// matter of one node, and forgotten when they are not polled.
type filterTable struct {
	clock  host.Clock
	max    int // of one caller
	mu     sync.Mutex
	byID   map[string]*pollFilter
	counts map[coco.ActorID]int
}

// pollFilter is a filter. The fields below mu are guarded by it.
type pollFilter struct {
	owner coco.ActorID
	query *logQuery // nil: new blocks' hashes
	used  time.Time // guarded by the table's mutex

	mu   sync.Mutex
	seen uint64 // the client knows what happened up to this block
}

// filterLife is how long a filter is kept without a poll, as in go-ethereum.
const filterLife = 5 * time.Minute

func newFilterTable(clock host.Clock, most int) *filterTable {
	return &filterTable{clock: clock, max: most, byID: map[string]*pollFilter{}, counts: map[coco.ActorID]int{}}
}

// add returns the new filter's id. An id is random: it is not guessed by other callers.
func (t *filterTable) add(f *pollFilter) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock.Now()
	if t.counts[f.owner] >= t.max {
		for id, old := range t.byID {
			if now.Sub(old.used) > filterLife {
				t.drop(id, old)
			}
		}
	}
	if t.counts[f.owner] >= t.max {
		return "", rpcErrorf(codeLimit, "more than %d filters: uninstall those that are not needed", t.max)
	}
	f.used = now
	id := newID()
	t.byID[id] = f
	t.counts[f.owner]++
	return id, nil
}

// get returns a caller's own filter and prolongs its life.
func (t *filterTable) get(owner coco.ActorID, id string) (*pollFilter, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.byID[id]
	if f == nil || f.owner != owner {
		return nil, errNoFilter
	}
	now := t.clock.Now()
	if now.Sub(f.used) > filterLife {
		t.drop(id, f)
		return nil, errNoFilter
	}
	f.used = now
	return f, nil
}

// remove reports whether the caller had such a filter.
func (t *filterTable) remove(owner coco.ActorID, id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.byID[id]
	if f == nil || f.owner != owner {
		return false
	}
	t.drop(id, f)
	return true
}

func (t *filterTable) drop(id string, f *pollFilter) {
	delete(t.byID, id)
	if t.counts[f.owner]--; t.counts[f.owner] == 0 {
		delete(t.counts, f.owner)
	}
}

// newID returns an id of filters and subscriptions, a JSON-RPC quantity.
func newID() string {
	var id [16]byte
	_, _ = crand.Read(id[:]) // never fails
	s := strings.TrimLeft(hex.EncodeToString(id[:]), "0")
	return "0x" + s
}
