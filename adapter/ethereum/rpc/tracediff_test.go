package rpc

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/state"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/eth/tracers"
	"github.com/ethereum/go-ethereum/eth/tracers/logger"
)

// gethTrace traces the transactions of a block as go-ethereum does: on its own state, by its own steps.
func gethTrace(t *testing.T, bc *core.BlockChain, b *types.Block, name string, config string) []json.RawMessage {
	parent := bc.GetBlockByHash(b.ParentHash())
	s, err := bc.StateAt(parent.Root(), parent.Number(), parent.Time())
	must(t, err)
	block := core.NewEVMBlockContext(b.Header(), bc, nil)
	evm := vm.NewEVM(block, s, bc.Config(), vm.Config{})
	core.PreExecution(t.Context(), b.BeaconRoot(), parent.Header(), bc.Config(), evm, b.Number(), b.Time())
	var out []json.RawMessage
	for i, tx := range b.Transactions() {
		at := &tracers.Context{BlockHash: b.Hash(), BlockNumber: b.Number(), TxIndex: i, TxHash: tx.Hash()}
		var tracer *tracers.Tracer
		if name == "" {
			l := logger.NewStructLogger(&logger.Config{EnableMemory: true, EnableReturnData: true})
			tracer = &tracers.Tracer{Hooks: l.Hooks(), GetResult: l.GetResult, Stop: l.Stop}
		} else {
			tracer, err = tracers.DefaultDirectory.New(name, at, json.RawMessage(config), bc.Config())
			must(t, err)
		}
		traced := vm.NewEVM(block, state.NewHookedState(s, tracer.Hooks), bc.Config(), vm.Config{Tracer: tracer.Hooks, NoBaseFee: true})
		msg, err := core.TransactionToMessage(tx, types.MakeSigner(bc.Config(), b.Number(), b.Time()), b.BaseFee())
		must(t, err)
		s.SetTxContext(tx.Hash(), i, uint32(i+1))
		_, _, err = core.ApplyTransactionWithEVM(t.Context(), msg, core.NewGasPool(msg.GasLimit), s, b.Number(), b.Hash(), b.Time(), tx, traced)
		must(t, err)
		result, err := tracer.GetResult()
		must(t, err)
		out = append(out, result)
	}
	return out
}

// Traces of the blocks of the execution-apis' chain, since its rules are those of the newest fork, are the ones that go-ethereum
// makes on a state of its own.
func TestTracesAreThoseOfGoEthereum(t *testing.T) {
	n, bc := importedNode(t, conformance(t))
	config, traced := bc.Config(), 0
	for number := uint64(1); number <= bc.CurrentBlock().Number.Uint64(); number++ {
		b := bc.GetBlockByNumber(number)
		if config.OsakaTime == nil || b.Time() < *config.OsakaTime {
			continue
		}
		for _, c := range []struct{ name, config string }{
			{"", ""},
			{"callTracer", `{"withLog":true}`},
			{"flatCallTracer", `{}`},
			{"prestateTracer", `{}`},
			{"prestateTracer", `{"diffMode":true}`},
			{"4byteTracer", `{}`},
		} {
			var found []struct{ Result any }
			options := map[string]any{"enableMemory": true, "enableReturnData": true}
			if c.name != "" {
				options = map[string]any{"tracer": c.name, "tracerConfig": json.RawMessage(c.config)}
			}
			n.ask(&found, "debug_traceBlockByNumber", hexutil.Uint64(number), options)
			expected := gethTrace(t, bc, b, c.name, c.config)
			equal(t, "transactions", len(found), len(expected))
			for i := range expected {
				var want any
				must(t, json.Unmarshal(expected[i], &want))
				if fault := difference(want, found[i].Result, fmt.Sprintf("block %d, transaction %d, %s%s", number, i, c.name, c.config)); fault != "" {
					t.Error(fault)
				}
				traced++
			}
		}
	}
	if traced < 30 {
		t.Fatalf("only %d traces are compared", traced)
	}
}
