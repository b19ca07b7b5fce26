// Package facts is what a node says of its network and of itself: the rules, what can be asked for of the past, and its
// methods.
//
// Trust: enclave
package facts

import (
	"context"
	"encoding/json"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/forkid"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/store"
)

// Methods is the methods, of the namespace eth.
type Methods struct{ s *group.Server }

// New returns the methods.
func New(s *group.Server) *Methods { return &Methods{s} }

// rules is one set of rules by EIP-7910.
type rules struct {
	ActivationTime  uint64                    `json:"activationTime"`
	BlobSchedule    *params.BlobConfig        `json:"blobSchedule"`
	ChainID         *hexutil.Big              `json:"chainId"`
	ForkID          hexutil.Bytes             `json:"forkId"`
	Precompiles     map[string]common.Address `json:"precompiles"`
	SystemContracts map[string]common.Address `json:"systemContracts"`
}

// schedule is the reply to eth_config. The rules of a network hold from its first block on, so none follow.
type schedule struct {
	Current *rules `json:"current"`
	Next    *rules `json:"next"`
	Last    *rules `json:"last"`
}

// Config is the rules of the network (EIP-7910); current is null before Cancun, which has no activation time.
func (m *Methods) Config(ctx context.Context) (json.RawMessage, error) {
	v, err := m.s.View(ctx, group.Blocks)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	first, err := v.Block(ctx, 0)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	c, time := m.s.Ledger.ChainConfig(), v.Time()
	if p := m.s.Ledger.Settings().Pin; p != nil {
		time = p.Timestamp
	}
	since := c.Timestamp(c.LatestFork(time))
	if since == nil {
		return m.s.Reply(ctx, &schedule{}, nil, "")
	}
	id := forkid.NewID(c, types.NewBlockWithHeader(first.Header), ^uint64(0), *since).Hash
	out := &rules{
		ActivationTime: *since, BlobSchedule: c.BlobConfig(c.LatestFork(*since)), ChainID: (*hexutil.Big)(c.ChainID), ForkID: id[:],
		Precompiles: map[string]common.Address{}, SystemContracts: c.ActiveSystemContracts(*since),
	}
	for addr, p := range vm.ActivePrecompiledContracts(c.Rules(c.LondonBlock, true, *since)) {
		out.Precompiles[p.Name()] = addr
	}
	return m.s.Reply(ctx, &schedule{Current: out}, nil, "")
}

// resource says from which block on something can be asked for.
type resource struct {
	Disabled       bool           `json:"disabled"`
	OldestBlock    hexutil.Uint64 `json:"oldestBlock"`
	DeleteStrategy *window        `json:"deleteStrategy,omitempty"`
}

type window struct {
	Type            string         `json:"type"`
	RetentionBlocks hexutil.Uint64 `json:"retentionBlocks"`
}

type head struct {
	Number hexutil.Uint64 `json:"number"`
	Hash   common.Hash    `json:"hash"`
}

type capabilities struct {
	Head        head     `json:"head"`
	State       resource `json:"state"`
	Tx          resource `json:"tx"`
	Logs        resource `json:"logs"`
	Receipts    resource `json:"receipts"`
	Blocks      resource `json:"blocks"`
	StateProofs resource `json:"stateproofs"`
}

// Capabilities says what can be asked for of the past: all of it, but for proofs of states that have left memory.
func (m *Methods) Capabilities(ctx context.Context) (json.RawMessage, error) {
	v, err := m.s.View(ctx, group.Blocks)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	oldest, err := m.oldestState(ctx, v)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	return m.s.Reply(ctx, &capabilities{
		Head:        head{hexutil.Uint64(v.Number()), v.Hash()},
		StateProofs: resource{OldestBlock: hexutil.Uint64(oldest), DeleteStrategy: &window{"window", store.Retain}},
	}, nil, "")
}

// oldestState is the oldest block whose state is in memory.
func (m *Methods) oldestState(ctx context.Context, v *sight.View) (uint64, error) {
	low := v.Number() - min(v.Number(), store.Retain)
	return m.s.First(ctx, low, v.Number(), group.Blocks, func(state *sight.View) (bool, error) { return state.Rows() != nil, nil })
}

// Coinbase is the address that receives the fees of blocks.
func (m *Methods) Coinbase() common.Address { return m.s.Ledger.Settings().Coinbase }

// Mining is false: blocks are made by the node that leads.
func (m *Methods) Mining() bool { return false }

// Hashrate is 0.
func (m *Methods) Hashrate() hexutil.Uint64 { return 0 }

// Net is methods of the namespace net.
type Net struct{}

// NewNet returns the methods.
func NewNet() *Net { return &Net{} }

// PeerCount is 0: nodes are no peers of Ethereum's network, and who they are is a fact of the consortium.
func (*Net) PeerCount() hexutil.Uint { return 0 }
