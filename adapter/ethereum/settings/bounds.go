package settings

import (
	"fmt"
	"math"

	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/setting"
)

// bound is what a number may be in a new network, and what a vote may set: the network works with it, so that transactions
// can be sent, calls made and blocks read. Parse takes more, as the programs before did.
type bound struct {
	name string // with "rpc." before those of rpc
	setting.Range
}

const maxNumber = 1 << 30

// bounds are those of all numbers but chain_id and pin.
func bounds() []bound {
	return []bound{
		{"gas_limit", setting.Range{Min: params.TxGas, Max: maxGasLimit}},
		{"call_gas_limit", setting.Range{Min: params.TxGas, Max: params.MaxGasLimit}},
		{"max_tx_bytes", setting.Range{Min: 256, Max: maxMaxTxBytes}},
		{"min_gas_price", setting.Range{Min: 0, Max: params.Ether}}, // which makes a transfer cost 21,000 ether
		{"gap_wait_ms", setting.Range{Min: 0, Max: uint64(maxGapWait.Milliseconds())}},
		{"gap_per_sender", setting.Range{Min: 0, Max: 1 << 20}},
		{"gap_total", setting.Range{Min: 0, Max: 1 << 20}},
		{"gap_bytes", setting.Range{Min: 0, Max: 1 << 30}},
		{"confirmation_blocks", setting.Range{Min: 0, Max: maxConfirmationBlocks}},
		{"block_transactions", setting.Range{Min: 1, Max: maxBlockTransactions}},
		{"block_bytes", setting.Range{Min: 1, Max: maxBlockBytes}},
		{"block_wait_ms", setting.Range{Min: 0, Max: uint64(maxBlockPause.Milliseconds())}},
		{"block_interval_ms", setting.Range{Min: 0, Max: uint64(maxBlockPause.Milliseconds())}},
		{"rpc.body_bytes", setting.Range{Min: 1 << 10, Max: maxNumber}},
		{"rpc.batch_items", setting.Range{Min: 1, Max: maxNumber}},
		{"rpc.reply_bytes", setting.Range{Min: 4 << 10, Max: 128 << 20}}, // beyond it the budget for replies has no room for one caller's
		{"rpc.call_timeout_ms", setting.Range{Min: 10, Max: maxNumber}},
		{"rpc.log_blocks", setting.Range{Min: 1, Max: maxNumber}},
		{"rpc.log_results", setting.Range{Min: 1, Max: maxNumber}},
		{"rpc.archive_blocks", setting.Range{Min: 1, Max: maxNumber}},
		{"rpc.max_filters", setting.Range{Min: 1, Max: maxNumber}},
		{"rpc.max_subscriptions", setting.Range{Min: 1, Max: maxNumber}},
		{"rpc.connection_calls", setting.Range{Min: 1, Max: maxNumber}},
	}
}

// CompleteNew is Complete for a new network: it refuses settings with which a network would not work, too.
func CompleteNew(page []byte) ([]byte, error) {
	out, err := Complete(page)
	if err != nil {
		return nil, err
	}
	s, err := Parse(out)
	if err != nil {
		return nil, err
	}
	if err := s.missingSystem(); err != nil {
		return nil, err
	}
	found := map[string]uint64{
		"gas_limit": s.GasLimit, "call_gas_limit": s.CallGasLimit, "max_tx_bytes": uint64(s.MaxTxBytes),
		"gap_wait_ms": uint64(s.GapWait.Milliseconds()), "gap_per_sender": uint64(s.GapPerSender),
		"gap_total": uint64(s.GapTotal), "gap_bytes": uint64(s.GapBytes),
		"confirmation_blocks": uint64(s.ConfirmationBlocks),
		"block_transactions":  s.BlockTransactions, "block_bytes": s.BlockBytes, "block_wait_ms": s.BlockWait, "block_interval_ms": s.BlockInterval,
	}
	for _, f := range s.RPC.fields() {
		found["rpc."+f.name] = uint64(*f.value)
	}
	if found["min_gas_price"] = math.MaxUint64; s.MinGasPrice.IsUint64() {
		found["min_gas_price"] = s.MinGasPrice.Uint64()
	}
	for _, b := range bounds() {
		if n := found[b.name]; n < b.Min || n > b.Max {
			return nil, fmt.Errorf("%w: ethereum settings: %s: expected %d to %d for a new network, found %d", coco.ErrInvalid, b.name, b.Min, b.Max, n)
		}
	}
	return out, nil
}
