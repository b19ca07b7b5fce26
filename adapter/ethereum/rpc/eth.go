package rpc

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/callargs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
)

// web3Methods is the namespace web3.
type web3Methods struct{ s *Server }

// ClientVersion names the program, and says what every user must know.
func (m *web3Methods) ClientVersion() string {
	version := "v0.0.0"
	if info, ok := debug.ReadBuildInfo(); ok && strings.HasPrefix(info.Main.Version, "v") {
		version = info.Main.Version
	}
	name := "Coco/" + version
	if m.s.ledger.Settings().Development {
		name = "HardhatNetwork/" + name // without it, Hardhat's helpers of tests refuse to work
	}
	for _, notice := range slices.Concat(m.s.env.Notices, m.s.ledger.Notices()) {
		word, _, _ := strings.Cut(notice, ":")
		name += "/" + word
	}
	return name + "/" + runtime.GOOS + "-" + runtime.GOARCH + "/" + runtime.Version()
}

// Sha3 is the Keccak-256 of the input.
func (m *web3Methods) Sha3(input hexutil.Bytes) hexutil.Bytes { return crypto.Keccak256(input) }

// netMethods is the namespace net.
type netMethods struct{ s *Server }

// Version is the chain id in decimal.
func (m *netMethods) Version() string { return m.s.ledger.ChainID().String() }

// Listening says that the node accepts connections, which a reply proves.
func (m *netMethods) Listening() bool { return true }

// ethMethods is the namespace eth. Methods that return json.RawMessage share their encoding with
// the direct way.
type ethMethods struct{ s *Server }

// ChainId is what transactions must be signed for.
func (m *ethMethods) ChainId() json.RawMessage { return m.s.chain }

// BlockNumber is the number of the newest block.
func (m *ethMethods) BlockNumber(ctx context.Context) (hexutil.Uint64, error) {
	n, err := m.s.height(exchangeOf(ctx))
	return rpcResult(hexutil.Uint64(n), err)
}

// height is the number of the newest block.
func (s *Server) height(x *exchange) (uint64, error) {
	if err := s.may(x, readCommits); err != nil {
		return 0, err
	}
	if b := s.ledger.Head(); b != nil {
		return b.Number(), nil
	}
	return 0, nil // the network begins
}

// syncingLag is how many committed transactions a node may lack before it says so.
const syncingLag = 1000

// Syncing is false, or how far a node has come that catches up, or that does not know how far the network is. It is answered also if reads are refused.
func (m *ethMethods) Syncing(ctx context.Context) (any, error) {
	if err := m.s.authorize(exchangeOf(ctx).caller, readCommits); err != nil {
		return nil, rpcErrorOf(err)
	}
	if at := m.s.progress(); at != nil {
		return at, nil
	}
	return false, nil
}

// progress is how far this node has come; nil if it knows all that it should.
func (s *Server) progress() map[string]hexutil.Uint64 {
	head := uint64(0)
	if b := s.ledger.Head(); b != nil {
		head = b.Number()
	}
	st := s.env.Status()
	if !st.Stale && (st.Known <= st.Committed || (st.Role != "joining" && st.Known-st.Committed <= syncingLag)) {
		return nil
	}
	return map[string]hexutil.Uint64{
		"startingBlock": hexutil.Uint64(head),
		"currentBlock":  hexutil.Uint64(head),
		// Every block is at least one transaction of the ledger, so there cannot be more blocks than this.
		"highestBlock": hexutil.Uint64(head + max(st.Known, st.Committed) - st.Committed),
	}
}

// Accounts is empty: a node keeps no users' keys.
func (m *ethMethods) Accounts() []common.Address { return []common.Address{} }

// GetBalance is what an account holds, in wei.
func (m *ethMethods) GetBalance(ctx context.Context, addr common.Address, at *rpc.BlockNumberOrHash) (json.RawMessage, error) {
	v, err := m.s.viewAt(ctx, exchangeOf(ctx), at, readAccount(&addr))
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	defer v.Release()
	balance, err := v.Balance(ctx, addr)
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	return encode.AppendBig(nil, balance.ToBig()), nil
}

// GetCode is a contract's code.
func (m *ethMethods) GetCode(ctx context.Context, addr common.Address, at *rpc.BlockNumberOrHash) (hexutil.Bytes, error) {
	v, err := m.s.viewAt(ctx, exchangeOf(ctx), at, readAccount(&addr))
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	defer v.Release()
	code, err := v.Code(ctx, addr)
	return rpcResult(append(hexutil.Bytes{}, code...), err)
}

// GetStorageAt is a slot of a contract's storage.
func (m *ethMethods) GetStorageAt(ctx context.Context, addr common.Address, slot string, at *rpc.BlockNumberOrHash) (hexutil.Bytes, error) {
	v, err := m.s.viewAt(ctx, exchangeOf(ctx), at, readAccount(&addr))
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	defer v.Release()
	key, err := storageKey(slot)
	if err != nil {
		return nil, group.Errorf(codeInvalidParams, "%v: %q", err, slot)
	}
	value, err := v.Storage(ctx, addr, key)
	return rpcResult(hexutil.Bytes(value[:]), err)
}

// storageKey reads a slot leniently: the prefix and leading zeros may be missing.
func storageKey(s string) (common.Hash, error) {
	if strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X") {
		s = s[2:]
	}
	if len(s)&1 > 0 {
		s = "0" + s
	}
	if len(s) > 64 {
		return common.Hash{}, errors.New("storage key too long (want at most 32 bytes)")
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return common.Hash{}, errors.New("invalid hex in storage key")
	}
	return common.BytesToHash(b), nil
}

// GetTransactionCount is an account's nonce. Pending counts what this node is about to commit.
func (m *ethMethods) GetTransactionCount(ctx context.Context, addr common.Address, at *rpc.BlockNumberOrHash) (hexutil.Uint64, error) {
	if at != nil {
		if n, ok := at.Number(); ok && n == rpc.PendingBlockNumber {
			v, err := m.s.view(exchangeOf(ctx), readAccount(&addr))
			if err != nil {
				return 0, rpcErrorOf(err)
			}
			defer v.Release()
			nonce, err := v.PendingNonce(ctx, m.s.ledger, addr)
			return rpcResult(hexutil.Uint64(nonce), err)
		}
	}
	v, err := m.s.viewAt(ctx, exchangeOf(ctx), at, readAccount(&addr))
	if err != nil {
		return 0, rpcErrorOf(err)
	}
	defer v.Release()
	nonce, err := v.Nonce(ctx, addr)
	return rpcResult(hexutil.Uint64(nonce), err)
}

// Call executes a message without keeping its effects.
func (m *ethMethods) Call(ctx context.Context, args callargs.Args, at *rpc.BlockNumberOrHash, state *callargs.StateOverride, block *callargs.BlockOverride) (json.RawMessage, error) {
	o, err := callargs.Options(state, block)
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	x := exchangeOf(ctx)
	out, err := m.s.callMessage(ctx, x, at, &args, o)
	if err != nil {
		return nil, rpcErrorOf(err)
	}
	return m.s.data(x, out)
}

// EstimateGas is the smallest gas limit with which a message succeeds.
func (m *ethMethods) EstimateGas(ctx context.Context, args callargs.Args, at *rpc.BlockNumberOrHash, state *callargs.StateOverride, block *callargs.BlockOverride) (hexutil.Uint64, error) {
	o, err := callargs.Options(state, block)
	if err != nil {
		return 0, rpcErrorOf(err)
	}
	gas, err := m.s.estimate(ctx, exchangeOf(ctx), at, &args, o)
	return rpcResult(hexutil.Uint64(gas), err)
}

// The methods that send a transaction.
const (
	sendOnce  = "eth_sendRawTransaction"
	sendAgain = "coco_sendRawTransaction"
)

// isSend tells whether a method sends a transaction, and whether one that was sent before is answered as the first time.
func isSend(method []byte) (again, ok bool) {
	switch string(method) {
	case sendOnce:
		return false, true
	case sendAgain:
		return true, true
	}
	return false, false
}

// SendRawTransaction returns once the transaction is committed.
func (m *ethMethods) SendRawTransaction(ctx context.Context, raw hexutil.Bytes) (json.RawMessage, error) {
	return m.s.sendOne(ctx, false, raw)
}

// SendRawTransactionSync is SendRawTransaction with the receipt as its result (EIP-7966). How long it waits is the network's choice.
func (m *ethMethods) SendRawTransactionSync(ctx context.Context, raw hexutil.Bytes, _ *uint64) (json.RawMessage, error) {
	x := exchangeOf(ctx)
	res := m.s.send(ctx, x, false, raw)[0]
	if res.Err != nil {
		return nil, x.failed(res.Err)
	}
	return m.s.receiptOf(ctx, x, res.Hash)
}

// cocoMethods is the namespace coco.
type cocoMethods struct{ s *Server }

// SendRawTransaction is eth_sendRawTransaction for clients that repeat what they did not hear the answer of: a transaction
// that is committed already is answered by its hash.
func (m *cocoMethods) SendRawTransaction(ctx context.Context, raw hexutil.Bytes) (json.RawMessage, error) {
	return m.s.sendOne(ctx, true, raw)
}

func (s *Server) sendOne(ctx context.Context, again bool, raw []byte) (json.RawMessage, error) {
	x := exchangeOf(ctx)
	res := s.send(ctx, x, again, raw)[0]
	if res.Err != nil {
		return nil, x.failed(res.Err)
	}
	return encode.AppendData(nil, res.Hash[:]), nil
}

// send submits transactions and notes in x what became of them.
func (s *Server) send(ctx context.Context, x *exchange, again bool, raw ...[]byte) []chain.SendResult {
	results := s.submit(ctx, x.caller, again, raw...)
	for i := range results {
		if r := &results[i]; r.Err != nil {
			r.Err = s.sights.Refusal(&x.caller, raw[i], r.Err)
		} else {
			x.commits(r.TxID)
		}
	}
	return results
}

// commits notes a transaction in x that is committed.
func (x *exchange) commits(id coco.TxID) {
	if id.Seqno > x.committed.Seqno {
		x.committed = id
	}
}

// failed notes a refusal in x and returns it as a JSON-RPC error.
func (x *exchange) failed(err error) *group.Error {
	x.busy = x.busy || errors.Is(err, coco.ErrBusy)
	return rpcErrorOf(err)
}
