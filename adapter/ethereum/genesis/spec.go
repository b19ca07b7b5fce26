// Package genesis is block 0 of an Ethereum chain in the forms of go-ethereum: what the settings of a network make of it, and what a genesis.json or a dump
// of another chain's state makes of settings.
//
// Trust: either
package genesis

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// Genesis is go-ethereum's, for commands, which do not know that library.
type Genesis = *core.Genesis

// Spec is what unmodified go-ethereum needs to make block 0 of a network, whose header is known. What votes have changed since, and block 0 was made by, is the header's. The
// error is coco.ErrVerify if go-ethereum comes to another block 0, and coco.ErrInvalid for a pinned network, which begins with a part of the mainnet's state.
func Spec(s *settings.Settings, h *types.Header) (*core.Genesis, error) {
	if s.Pin != nil {
		return nil, fmt.Errorf("%w: the network is pinned to a block of the mainnet: its state is a part of the mainnet's, and it has no genesis", coco.ErrInvalid)
	}
	g := &core.Genesis{
		Config: s.ChainConfig(), GasLimit: h.GasLimit, Difficulty: h.Difficulty, Coinbase: h.Coinbase, BaseFee: h.BaseFee,
		Timestamp: h.Time, Mixhash: h.MixDigest, ExtraData: h.Extra, Alloc: maps.Clone(s.Alloc),
	}
	if g.Alloc == nil {
		g.Alloc = types.GenesisAlloc{}
	}
	rules := g.Config.Rules(h.Number, h.Difficulty.Sign() == 0, h.Time)
	AddSystem(g.Alloc, &rules)
	if found := g.ToBlock().Hash(); found != h.Hash() {
		return nil, fmt.Errorf("%w: go-ethereum makes block 0 %v of the settings of the network, and the network's is %v", coco.ErrVerify, found, h.Hash())
	}
	return g, nil
}

// AddSystem adds the system contracts that a fork's blocks call (EIP-4788, EIP-2935, EIP-7002, EIP-7251), where alloc has no code at their addresses.
func AddSystem(alloc types.GenesisAlloc, rules *params.Rules) {
	for _, c := range []struct {
		active bool
		addr   common.Address
		code   []byte
	}{
		{rules.IsCancun, params.BeaconRootsAddress, params.BeaconRootsCode},
		{rules.IsPrague, params.HistoryStorageAddress, params.HistoryStorageCode},
		{rules.IsPrague, params.WithdrawalQueueAddress, params.WithdrawalQueueCode},
		{rules.IsPrague, params.ConsolidationQueueAddress, params.ConsolidationQueueCode},
	} {
		a := alloc[c.addr]
		if !c.active || len(a.Code) > 0 {
			continue
		}
		if a.Balance == nil {
			a.Balance = new(big.Int)
		}
		a.Nonce, a.Code = max(a.Nonce, 1), c.code
		alloc[c.addr] = a
	}
}

// Text is a genesis as a genesis.json, which `geth init` reads.
func Text(g *core.Genesis) ([]byte, error) {
	text, err := json.MarshalIndent(g, "", "  ")
	return append(text, '\n'), err
}

// WithoutAccounts is a genesis whose accounts a state replaces.
func WithoutAccounts(g *core.Genesis) *core.Genesis {
	out := *g
	out.Alloc = types.GenesisAlloc{}
	return &out
}
