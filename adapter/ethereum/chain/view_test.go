package chain

import (
	"context"
	"errors"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/logs"
	"github.com/cocoframework/coco/internal/contracts"
)

func TestOlderStatesStayReadable(t *testing.T) {
	c := newTestChain(t, 1, nil)
	to := common.BytesToAddress([]byte{0xaa, 0})
	const made = blocks.KeepStates + 50
	for i := range uint64(made) {
		included_(t, c.execute(c.call(c.transfer(0, i, 1))), 1)
	}
	for _, n := range []uint64{made, made - 1, made - 100, made - blocks.KeepStates + 10} {
		v, err := c.At(c.t.Context(), n)
		must(t, err)
		equal(t, "balance", c.balanceIn(v, to), n)
		equal(t, "head", v.Number(), n)
		v.Release()
	}
	c.env.Past = nil
	if _, err := c.At(c.t.Context(), 3); !errors.Is(err, coco.ErrMissing) {
		t.Fatalf("a state that only the ledger has: %v", err)
	}
	c.env.Past = c.past.read
	if _, err := c.At(c.t.Context(), made+1); !errors.Is(err, coco.ErrNotFound) {
		t.Fatalf("future state: %v", err)
	}
	v := c.Latest()
	defer v.Release()
	b, err := v.Block(c.t.Context(), 3)
	must(t, err)
	list, err := transactionsOf(v, b)
	must(t, err)
	equal(t, "transactions of an old block", len(list), 1)
}

func TestLogsAreFoundByAddressTopicAndRange(t *testing.T) {
	c, token := newTokenChain(t, 3)
	first := c.Head().Number() + 1
	for i := range uint64(5) {
		included_(t, c.execute(c.call(c.transfer(1, 2*i, 1)), c.call(c.sign(1, 2*i+1, &token, 100_000, 0, contracts.Transfer(c.address(2), big.NewInt(int64(i+1)))))), 2)
	}
	v := c.Latest()
	defer v.Release()
	ctx := context.Background()
	transfer := crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)"))
	to := common.BytesToHash(c.address(2).Bytes())
	count := func(f *logs.Filter, from, end uint64, want int) []*types.Log {
		t.Helper()
		found, err := logsIn(v, from, end, f)
		must(t, err)
		equal(t, "logs", len(found), want)
		return found
	}
	all := count(&logs.Filter{Addresses: []common.Address{token}, Topics: [][]common.Hash{{transfer}, nil, {to}}}, first, first+4, 5)
	for i, l := range all {
		b, err := v.Block(c.t.Context(), first+uint64(i))
		must(t, err)
		equal(t, "value", new(big.Int).SetBytes(l.Data).Uint64(), uint64(i+1))
		equal(t, "block", l.BlockHash, b.Hash)
		equal(t, "transaction", l.TxHash, b.Txs[1])
		equal(t, "index", l.TxIndex, 1)
		equal(t, "time", l.BlockTimestamp, b.Header.Time)
	}
	count(&logs.Filter{}, first+1, first+2, 2)
	count(&logs.Filter{Topics: [][]common.Hash{{to}}}, 0, ^uint64(0), 0)
	count(&logs.Filter{Addresses: []common.Address{c.address(0)}}, 0, 1000, 0)
	count(&logs.Filter{Topics: [][]common.Hash{nil, nil, nil, nil}}, 0, 1000, 0)
	enough := errors.New("enough")
	if err := v.Logs(ctx, 0, 1000, &logs.Filter{}, anyBlock, func(*types.Log) error { return enough }); !errors.Is(err, enough) {
		t.Fatalf("a caller that has enough: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := v.Logs(ended, 0, 1000, &logs.Filter{}, anyBlock, nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("ended context: %v", err)
	}
}

func TestSubscribersHearWhatIsCommitted(t *testing.T) {
	c, token := newTokenChain(t, 3)
	heads, slow, open := c.Subscribe(8), c.Subscribe(1), c.Subscribe(8)
	included_(t, c.execute(c.call(c.transfer(1, 0, 1))), 1)
	included_(t, c.execute(c.call(c.sign(1, 1, &token, 100_000, 0, contracts.Transfer(c.address(2), big.NewInt(7))))), 1)
	b1, b2 := <-heads.C, <-heads.C
	equal(t, "parent", b2.Header.ParentHash, b1.Hash)
	equal(t, "head", b2.Hash, c.Head().Hash)
	equal(t, "transactions that wait with a head", len(b2.Txs), 0)
	v := c.Latest()
	defer v.Release()
	got, err := logsIn(v, b2.Number(), b2.Number(), &logs.Filter{Addresses: []common.Address{token}})
	must(t, err)
	equal(t, "logs", len(got), 1)
	equal(t, "block of the log", got[0].BlockHash, b2.Hash)
	<-open.C
	<-open.C
	<-slow.C
	if _, ok := <-slow.C; ok || !errors.Is(slow.Err(), coco.ErrBusy) {
		t.Fatalf("the slow reader: %v", slow.Err())
	}
	slow.Close()
	heads.Close()
	heads.Close()
	if _, ok := <-heads.C; ok || heads.Err() == nil {
		t.Fatal("a closed subscription is open")
	}
	c.Close()
	if _, ok := <-open.C; ok || !errors.Is(open.Err(), coco.ErrUnreachable) {
		t.Fatalf("after the ledger's end: %v", open.Err())
	}
	if s := c.Subscribe(1); s.Err() == nil {
		t.Fatal("a closed ledger takes subscribers")
	}
}

func TestCallSeesOverridesAndChangesNothing(t *testing.T) {
	c, token := newTokenChain(t, 2)
	v := c.Latest()
	defer v.Release()
	ctx := context.Background()
	msg := &core.Message{From: c.address(1), To: &token, Data: contracts.Transfer(c.address(0), big.NewInt(5))}
	r, err := c.Call(ctx, v, msg, nil)
	must(t, err)
	if r.Err != nil || len(r.Logs) != 1 || r.GasUsed < 21000 {
		t.Fatalf("%+v", r)
	}
	balance := &core.Message{To: &token, Data: contracts.BalanceOf(c.address(1))}
	r, err = c.Call(ctx, v, balance, nil)
	must(t, err)
	equal(t, "balance", new(big.Int).SetBytes(r.Return).Uint64(), 1_000_000)

	// Code that returns NUMBER and the slot 1.
	code := []byte{byte(vm.NUMBER), byte(vm.PUSH0), byte(vm.MSTORE), byte(vm.PUSH1), 1, byte(vm.SLOAD), byte(vm.PUSH1), 32, byte(vm.MSTORE), byte(vm.PUSH1), 64, byte(vm.PUSH0), byte(vm.RETURN)}
	o := &CallOptions{
		Block: &BlockOverrides{Number: big.NewInt(77)},
		State: StateOverride{token: {Code: &code, State: map[common.Hash]common.Hash{common.BigToHash(big.NewInt(1)): {31: 9}}}},
	}
	r, err = c.Call(ctx, v, &core.Message{To: &token}, o)
	must(t, err)
	equal(t, "length", len(r.Return), 64)
	equal(t, "number", new(big.Int).SetBytes(r.Return[:32]).Uint64(), 77)
	equal(t, "slot", new(big.Int).SetBytes(r.Return[32:]).Uint64(), 9)

	moved := common.BytesToAddress([]byte{0xbb})
	o = &CallOptions{State: StateOverride{common.BytesToAddress([]byte{4}): {MovePrecompileTo: &moved}}}
	r, err = c.Call(ctx, v, &core.Message{To: &moved, Data: []byte("same")}, o)
	must(t, err)
	sameBytes(t, "identity", r.Return, []byte("same"))

	if _, err := c.Call(ctx, v, &core.Message{From: moved, To: &token, Value: uint256.NewInt(1)}, nil); !errors.Is(err, core.ErrInsufficientFundsForTransfer) && !errors.Is(err, core.ErrInsufficientFunds) {
		t.Fatalf("a call without funds: %v", err)
	}
	loop := []byte{byte(vm.JUMPDEST), byte(vm.PUSH0), byte(vm.JUMP)}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	o = &CallOptions{State: StateOverride{moved: {Code: &loop}}, GasCap: 1 << 60}
	if _, err := c.Call(ended, v, &core.Message{To: &moved}, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("an ended context: %v", err)
	}
}

func TestEstimateIsEnoughAndNotTooMuch(t *testing.T) {
	c, token := newTokenChain(t, 2)
	v := c.Latest()
	defer v.Release()
	ctx := context.Background()
	to := common.BytesToAddress([]byte{0xcc})
	gas, r, err := c.EstimateGas(ctx, v, &core.Message{From: c.address(1), To: &to, Value: uint256.NewInt(1)}, nil)
	must(t, err)
	if r != nil || gas != 21000 {
		t.Fatalf("plain transfer: %d, %+v", gas, r)
	}
	data := contracts.Transfer(to, big.NewInt(5))
	gas, r, err = c.EstimateGas(ctx, v, &core.Message{From: c.address(1), To: &token, Data: data}, nil)
	must(t, err)
	if r != nil {
		t.Fatalf("%+v", r)
	}
	tx := c.sign(1, 0, &token, gas, 0, data)
	included_(t, c.execute(c.call(tx)), 1)
	now := c.Latest()
	defer now.Release()
	got, err := now.Transaction(c.t.Context(), tx.Hash())
	must(t, err)
	equal(t, "status", got.Receipt.Status, types.ReceiptStatusSuccessful)
	if gas > got.Receipt.GasUsed*103/100 {
		t.Fatalf("estimated %d, used %d", gas, got.Receipt.GasUsed)
	}
	gas, r, err = c.EstimateGas(ctx, v, &core.Message{From: c.address(1), To: &token, Data: contracts.Transfer(to, big.NewInt(1<<40))}, nil)
	must(t, err)
	if gas != 0 || r == nil || !errors.Is(r.Err, vm.ErrExecutionReverted) || len(r.Return) == 0 {
		t.Fatalf("a transfer that reverts: %d, %+v", gas, r)
	}
}

func TestSendKeepsOrderAndTellsPendingNonces(t *testing.T) {
	c := newTestChain(t, 1, nil)
	var raw [][]byte
	for i := range uint64(3) {
		b, err := c.transfer(0, i, 1).MarshalBinary()
		must(t, err)
		raw = append(raw, b)
	}
	raw = append(raw[:1], append([][]byte{{1, 2, 3}}, raw[1:]...)...)
	out := c.Send(context.Background(), coco.Caller{}, false, raw...)
	equal(t, "results", len(out), 4)
	for i, r := range out {
		if (r.Err != nil) != (i == 1) {
			t.Fatalf("result %d: %v", i, r.Err)
		}
	}
	if out[0].TxID.Seqno >= out[2].TxID.Seqno || out[2].TxID.Seqno >= out[3].TxID.Seqno {
		t.Fatalf("order: %+v", out)
	}
	equal(t, "pending nonce", c.pendingNonce(c.address(0)), 3)

	raw = nil
	for i := range uint64(100) {
		b, err := c.transfer(0, 3+i, 1).MarshalBinary()
		must(t, err)
		raw = append(raw, b)
	}
	raw[50] = raw[50][1:]
	raw = raw[:60]
	for i, r := range c.Send(context.Background(), coco.Caller{}, false, raw...) {
		// Those behind the damaged one wait for it, and this chain has nobody who waits for them.
		if bad := i == 50; (r.Err != nil) != bad || i < 50 && r.TxID.Seqno != out[3].TxID.Seqno+uint64(i)+1 {
			t.Fatalf("result %d: %+v", i, r)
		}
	}
}

// Tools look for go-ethereum's texts, which differ between the two methods.
func TestAMessageThatCannotBeExecutedIsRefusedInTheWordsOfGeth(t *testing.T) {
	c, _ := newTokenChain(t, 2)
	v := c.Latest()
	defer v.Release()
	ctx := context.Background()
	nobody, to := common.BytesToAddress([]byte{0xdd}), common.BytesToAddress([]byte{0xcc})
	m := core.Message{From: nobody, To: &to, Value: uint256.NewInt(1), GasLimit: 30000}
	why := "insufficient funds for gas * price + value: address " + nobody.Hex() + " have 0 want 1"
	_, err := c.Call(ctx, v, &m, nil)
	if want := "err: " + why + " (supplied gas 30000)"; err == nil || err.Error() != want {
		t.Errorf("call: %v, want %s", err, want)
	}
	_, _, err = c.EstimateGas(ctx, v, &m, nil)
	if want := "failed with 30000 gas: " + why; err == nil || err.Error() != want || !errors.Is(err, core.ErrInsufficientFunds) {
		t.Errorf("estimate: %v, want %s", err, want)
	}
	m.GasPrice, m.GasFeeCap, m.GasTipCap = uint256.NewInt(1), uint256.NewInt(1), uint256.NewInt(1)
	m.Value = new(uint256.Int)
	if _, _, err = c.EstimateGas(ctx, v, &m, nil); err == nil || err.Error() != core.ErrInsufficientFundsForTransfer.Error() {
		t.Errorf("estimate with a price and no balance: %v", err)
	}
}

// logsIn collects what View.Logs finds.
func logsIn(v *blocks.View, from, to uint64, f *logs.Filter) (found []*types.Log, err error) {
	err = v.Logs(context.Background(), from, to, f, anyBlock, func(l *types.Log) error {
		found = append(found, l)
		return nil
	})
	return found, err
}

// transactionsOf reads all transactions of a block.
func transactionsOf(v *blocks.View, b *blocks.Block) ([]*blocks.Transaction, error) {
	out := make([]*blocks.Transaction, len(b.Txs))
	for i := range b.Txs {
		var err error
		if out[i], err = v.TransactionOf(context.Background(), b, i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func anyBlock(uint64, bool) error { return nil }
