// Package fees is what transactions have to offer, and have offered. Gas is metered and free, so the answers are those of a
// chain whose base fee never moves.
//
// Trust: enclave
package fees

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
)

// Limits of eth_feeHistory, go-ethereum's but for rewards, which need whole blocks.
const (
	maxFeeBlocks      = 1024
	maxRewardBlocks   = 128
	maxFeePercentiles = 100
)

// Methods is the methods, of the namespace eth.
type Methods struct{ s *group.Server }

// New returns the methods.
func New(s *group.Server) *Methods { return &Methods{s} }

// GasPrice is what a transaction must offer to be accepted: nothing, unless the network says
// otherwise.
func (m *Methods) GasPrice() *hexutil.Big {
	price := m.s.Ledger.Tip()
	if fee := m.s.Ledger.BaseFee(); fee != nil {
		price.Add(price, fee)
	}
	return (*hexutil.Big)(price)
}

// MaxPriorityFeePerGas is the least tip that is accepted.
func (m *Methods) MaxPriorityFeePerGas() *hexutil.Big { return (*hexutil.Big)(m.s.Ledger.Tip()) }

// BaseFee is that of every block.
func (m *Methods) BaseFee() *hexutil.Big { return (*hexutil.Big)(m.s.Ledger.BaseFee()) }

// BlobBaseFee is that of every block.
func (m *Methods) BlobBaseFee() *hexutil.Big {
	return (*hexutil.Big)(m.blobFee(m.s.Ledger.Head()))
}

// blobFee is 0 for blocks of before blobs.
func (m *Methods) blobFee(b *blocks.Block) *big.Int {
	if fee := m.s.Ledger.BlobFee(); fee != nil && b != nil && b.Header.ExcessBlobGas != nil {
		return fee
	}
	return new(big.Int)
}

// feeHistory is the reply to eth_feeHistory.
type feeHistory struct {
	OldestBlock      *hexutil.Big     `json:"oldestBlock"`
	Reward           [][]*hexutil.Big `json:"reward,omitempty"`
	BaseFee          []*hexutil.Big   `json:"baseFeePerGas,omitempty"`
	GasUsedRatio     []float64        `json:"gasUsedRatio"`
	BlobBaseFee      []*hexutil.Big   `json:"baseFeePerBlobGas,omitempty"`
	BlobGasUsedRatio []float64        `json:"blobGasUsedRatio,omitempty"`
}

// FeeHistory tells how full the last blocks were and what tips were paid.
func (m *Methods) FeeHistory(ctx context.Context, count math.HexOrDecimal64, last rpc.BlockNumber, percentiles []float64) (json.RawMessage, error) {
	if err := checkPercentiles(percentiles); err != nil {
		return nil, m.s.Fail(err)
	}
	v, err := m.s.View(ctx, group.Blocks)
	if err != nil {
		return nil, m.s.Fail(err)
	}
	defer v.Release()
	head := v.Number()
	end := head
	switch {
	case last >= 0:
		end = uint64(last)
	case last == rpc.EarliestBlockNumber:
		end = 0
	}
	if end > head {
		return nil, m.s.Fail(group.Errorf(group.CodeServer, "request beyond head block: requested %d, head %d", end, head))
	}
	n := min(uint64(count), maxFeeBlocks, end+1)
	if len(percentiles) > 0 {
		n = min(n, maxRewardBlocks)
	}
	h := &feeHistory{OldestBlock: new(hexutil.Big)}
	if n == 0 {
		return m.s.Reply(ctx, h, nil, "ask for fewer blocks or percentiles")
	}
	first := end + 1 - n
	h.OldestBlock = (*hexutil.Big)(new(big.Int).SetUint64(first))
	h.BaseFee, h.BlobBaseFee = make([]*hexutil.Big, n+1), make([]*hexutil.Big, n+1)
	h.GasUsedRatio, h.BlobGasUsedRatio = make([]float64, n), make([]float64, n) // blobs are not carried
	if len(percentiles) > 0 {
		h.Reward = make([][]*hexutil.Big, n)
	}
	err = v.Backwards(ctx, first, end, func(b *blocks.Block) (err error) {
		i, fee := b.Number()-first, b.Header.BaseFee
		if fee == nil {
			fee = new(big.Int)
		}
		h.BaseFee[i], h.BlobBaseFee[i] = (*hexutil.Big)(fee), (*hexutil.Big)(m.blobFee(b))
		h.GasUsedRatio[i] = ratio(b.Header.GasUsed, b.Header.GasLimit)
		if len(percentiles) > 0 {
			h.Reward[i], err = rewardsOf(ctx, v, b, percentiles)
		}
		return err
	})
	if err != nil {
		return nil, m.s.Fail(err)
	}
	// Fees never move, so the next block's are known.
	h.BaseFee[n], h.BlobBaseFee[n] = h.BaseFee[n-1], h.BlobBaseFee[n-1]
	return m.s.Reply(ctx, h, nil, "ask for fewer blocks or percentiles")
}

func checkPercentiles(percentiles []float64) error {
	errPercentile := errors.New("invalid reward percentile")
	if len(percentiles) > maxFeePercentiles {
		return fmt.Errorf("%w: over the query limit %d", errPercentile, maxFeePercentiles)
	}
	for i, p := range percentiles {
		if p < 0 || p > 100 {
			return fmt.Errorf("%w: %f", errPercentile, p)
		}
		if i > 0 && p <= percentiles[i-1] {
			return fmt.Errorf("%w: #%d:%f >= #%d:%f", errPercentile, i-1, percentiles[i-1], i, p)
		}
	}
	return nil
}

func ratio(used, limit uint64) float64 {
	if limit == 0 {
		return 0
	}
	return float64(used) / float64(limit)
}

// rewardsOf finds the tips at the percentiles of a block's gas, cheapest first.
func rewardsOf(ctx context.Context, v *sight.View, b *blocks.Block, percentiles []float64) ([]*hexutil.Big, error) {
	rewards := make([]*hexutil.Big, len(percentiles))
	if len(b.Txs) == 0 {
		for i := range rewards {
			rewards[i] = new(hexutil.Big)
		}
		return rewards, nil
	}
	type paid struct {
		gas uint64
		tip *big.Int
	}
	all := make([]paid, len(b.Txs))
	for i := range b.Txs {
		t, err := v.TransactionOf(ctx, b, i)
		if err != nil {
			return nil, err
		}
		tip := t.Receipt.EffectiveGasPrice
		if b.Header.BaseFee != nil {
			tip = new(big.Int).Sub(tip, b.Header.BaseFee)
		}
		all[i] = paid{t.Receipt.GasUsed, tip}
	}
	slices.SortStableFunc(all, func(x, y paid) int { return x.tip.Cmp(y.tip) })
	at, sum := 0, all[0].gas
	for i, p := range percentiles {
		for threshold := uint64(float64(b.Header.GasUsed) * p / 100); sum < threshold && at < len(all)-1; {
			at++
			sum += all[at].gas
		}
		rewards[i] = (*hexutil.Big)(all[at].tip)
	}
	return rewards, nil
}
