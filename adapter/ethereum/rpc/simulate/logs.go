package simulate

import (
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
)

// transferAddress and transferTopic are those of a log that stands for a transfer of ether: an ERC-20 transfer of a token
// without an address of its own.
var (
	transferAddress = common.HexToAddress("0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE")
	transferTopic   = crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)"))
)

// recorder collects the logs of a call, and its transfers of ether as logs if they are asked for. A frame that reverts
// takes its logs with it.
type recorder struct {
	transfers bool
	memory    *group.Memory
	frames    [][]*types.Log // of the open frames, the outermost first
	count     int            // of the block's logs so far
	at        types.Log      // where the logs are
}

func (r *recorder) hooks() *tracing.Hooks {
	return &tracing.Hooks{OnEnter: r.onEnter, OnExit: r.onExit, OnLog: r.onLog}
}

// begin prepares for a call.
func (r *recorder) begin(tx common.Hash, index int) {
	r.frames, r.at.TxHash, r.at.TxIndex = nil, tx, uint(index)
}

// logs returns those of the call.
func (r *recorder) logs() []*types.Log {
	if len(r.frames) == 0 || r.frames[0] == nil {
		return []*types.Log{}
	}
	return r.frames[0]
}

func (r *recorder) onEnter(_ int, typ byte, from, to common.Address, _ []byte, _ uint64, value *big.Int) {
	r.frames = append(r.frames, nil)
	op := vm.OpCode(typ)
	if r.transfers && op != vm.DELEGATECALL && op != vm.CALLCODE && value != nil && value.Sign() > 0 {
		topics := []common.Hash{transferTopic, common.BytesToHash(from[:]), common.BytesToHash(to[:])}
		r.add(transferAddress, topics, common.BigToHash(value).Bytes())
	}
}

func (r *recorder) onExit(depth int, _ []byte, _ uint64, _ error, reverted bool) {
	last := len(r.frames) - 1
	frame := r.frames[last]
	if reverted {
		r.count -= len(frame) // their indices are free again
		frame = nil
	}
	if depth == 0 || last == 0 {
		r.frames[0] = frame
		return
	}
	r.frames = r.frames[:last]
	r.frames[last-1] = append(r.frames[last-1], frame...)
}

func (r *recorder) onLog(l *types.Log) { r.add(l.Address, l.Topics, l.Data) }

func (r *recorder) add(addr common.Address, topics []common.Hash, data []byte) {
	if r.memory.Take(logBytes+2*len(data)) != nil {
		return // the call is refused
	}
	l := r.at
	l.Address, l.Topics, l.Data, l.Index = addr, topics, data, uint(r.count)
	r.frames[len(r.frames)-1] = append(r.frames[len(r.frames)-1], &l)
	r.count++
}
