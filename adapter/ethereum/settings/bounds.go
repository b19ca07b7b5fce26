package settings

import (
	"fmt"

	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco"
)

// Bound is what a number among the settings of a new network may be, such that the network works: transactions can be
// sent, calls made and blocks read. Parse takes more, as the programs before did.
type Bound struct {
	Name     string // with "rpc." before those of rpc
	Min, Max uint64
}

const maxNumber = 1 << 30

// Bounds are those of all numbers but chain_id, min_gas_price and pin.
func Bounds() []Bound {
	return []Bound{
		{"gas_limit", params.TxGas, maxGasLimit},
		{"call_gas_limit", params.TxGas, params.MaxGasLimit},
		{"max_tx_bytes", 256, maxMaxTxBytes},
		{"gap_wait_ms", 0, uint64(maxGapWait.Milliseconds())},
		{"gap_per_sender", 0, 1 << 20},
		{"gap_total", 0, 1 << 20},
		{"gap_bytes", 0, 1 << 30},
		{"confirmation_blocks", 0, maxConfirmationBlocks},
		{"rpc.body_bytes", 1 << 10, maxNumber},
		{"rpc.batch_items", 1, maxNumber},
		{"rpc.reply_bytes", 4 << 10, 128 << 20}, // beyond it the budget for replies has no room for one caller's
		{"rpc.call_timeout_ms", 10, maxNumber},
		{"rpc.log_blocks", 1, maxNumber},
		{"rpc.log_results", 1, maxNumber},
		{"rpc.archive_blocks", 1, maxNumber},
		{"rpc.max_filters", 1, maxNumber},
		{"rpc.max_subscriptions", 1, maxNumber},
		{"rpc.connection_calls", 1, maxNumber},
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
	found := map[string]uint64{
		"gas_limit": s.GasLimit, "call_gas_limit": s.CallGasLimit, "max_tx_bytes": uint64(s.MaxTxBytes),
		"gap_wait_ms": uint64(s.GapWait.Milliseconds()), "gap_per_sender": uint64(s.GapPerSender),
		"gap_total": uint64(s.GapTotal), "gap_bytes": uint64(s.GapBytes),
		"confirmation_blocks": uint64(s.ConfirmationBlocks),
	}
	for _, f := range s.RPC.fields() {
		found["rpc."+f.name] = uint64(*f.value)
	}
	for _, b := range Bounds() {
		if n := found[b.Name]; n < b.Min || n > b.Max {
			return nil, fmt.Errorf("%w: ethereum settings: %s: expected %d to %d for a new network, found %d", coco.ErrInvalid, b.Name, b.Min, b.Max, n)
		}
	}
	return out, nil
}
