package chain

import (
	"context"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// refused checks that the one outcome is a refusal with a text and of a kind.
func refused(t testing.TB, out []adapter.Outcome, text string, kind error) {
	t.Helper()
	if len(out) != 1 || out[0].Err == nil || out[0].Tx != nil {
		t.Fatalf("outcomes: %+v", out)
	}
	if err := out[0].Err; !strings.HasPrefix(err.Error(), text) || !errors.Is(err, kind) {
		t.Fatalf("got %q (%v), want %q", err, kind, text)
	}
}

func TestBatchIsABlock(t *testing.T) {
	c := newTestChain(t, 3, nil)
	genesis := c.Head()
	equal(t, "number of genesis", genesis.Number(), 0)
	c.now += 2500
	txs := []*types.Transaction{c.transfer(0, 0, 1), c.transfer(1, 0, 2), c.transfer(0, 1, 3)}
	out := c.execute(c.call(txs[0]), c.forwarded(txs[1]), c.call(txs[2]))
	included_(t, out, 3)
	b := c.Head()
	equal(t, "number", b.Number(), 1)
	equal(t, "parent", b.Header.ParentHash, genesis.Hash)
	equal(t, "hash", b.Hash, b.Header.Hash())
	equal(t, "time", b.Header.Time, c.now/1000)
	equal(t, "gas used", b.Header.GasUsed, 63000)
	equal(t, "base fee", b.Header.BaseFee.Sign(), 0)
	equal(t, "transactions", len(b.Txs), 3)
	v := c.Latest()
	defer v.Release()
	for i, tx := range txs {
		got, err := v.Transaction(c.t.Context(), tx.Hash())
		must(t, err)
		equal(t, "id", got.TxID, out[i].TxID)
		equal(t, "id", got.TxID, coco.TxID{View: c.view, Seqno: b.First + uint64(i)})
		equal(t, "index", got.Index, uint64(i))
		equal(t, "from", got.From, c.address([]int{0, 1, 0}[i]))
		equal(t, "cumulative gas", got.Receipt.CumulativeGasUsed, uint64(21000*(i+1)))
		sameBytes(t, "reply", out[i].Reply, tx.Hash().Bytes())
	}
	equal(t, "nonce", c.nonceIn(v, c.address(0)), 2)
	equal(t, "balance", c.balanceIn(v, common.BytesToAddress([]byte{0xaa, 0})), 4)
	again, err := v.BlockByHash(c.t.Context(), b.Hash)
	must(t, err)
	equal(t, "block by hash", again.Hash, b.Hash)

	if out := c.execute(); len(out) != 0 || c.Head() != b {
		t.Fatal("a batch without transactions made a block")
	}
}

func TestTimeOfBlocksNeverDecreases(t *testing.T) {
	c := newTestChain(t, 1, nil)
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	before := c.Head().Header.Time
	c.now -= 60_000
	included_(t, c.execute(c.call(c.transfer(0, 1, 1))), 1)
	equal(t, "time", c.Head().Header.Time, before)
}

func TestRefusalsHaveGethsTexts(t *testing.T) {
	c := newTestChain(t, 2, map[string]any{"gas_limit": 1_000_000, "max_tx_bytes": 2000, "min_gas_price": 0})
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	low := c.transfer(0, 0, 2)
	refused(t, c.execute(c.call(low)), "nonce too low: next nonce 1, tx nonce 0", coco.ErrInvalid)
	to := c.address(1)
	poor, err := types.SignNewTx(c.keys[0], c.Signer(), &types.LegacyTx{Nonce: 1, To: &to, Gas: 21000, Value: new(big.Int).Lsh(big.NewInt(1), 100), GasPrice: new(big.Int)})
	must(t, err)
	refused(t, c.execute(c.call(poor)), "insufficient funds for gas * price + value", coco.ErrInvalid)
	equal(t, "head", c.Head().Number(), 1)

	check := func(tx *types.Transaction, text string) {
		t.Helper()
		raw, err := tx.MarshalBinary()
		must(t, err)
		_, err = c.DecodeAndCheck(raw)
		if err == nil || !strings.HasPrefix(err.Error(), text) || !errors.Is(err, coco.ErrInvalid) {
			t.Fatalf("got %v, want %q", err, text)
		}
		if _, err := c.Decode(append(c.address(0).Bytes(), raw...)); err == nil && !strings.Contains(text, "sender") {
			t.Fatalf("%q: accepted from another node", text)
		}
	}
	check(c.sign(0, 1, &to, 20_000, 0, nil), "intrinsic gas too low: gas 20000, minimum needed 21000")
	check(c.sign(0, 1, &to, 22_000, 0, make([]byte, 200)), "insufficient gas for floor data gas cost")
	check(c.sign(0, 1, &to, 1_000_001, 0, nil), "exceeds block gas limit")
	check(c.sign(0, 1, &to, 500_000, 0, make([]byte, 3000)), "oversized data: transaction size")
	check(c.sign(0, 1, &to, params.MaxTxGas+1, 0, nil), "transaction gas limit too high (cap: 16777216, tx: 16777217)")
	check(c.sign(0, ^uint64(0), &to, 21000, 0, nil), "nonce has max value")
	wrong := types.MustSignNewTx(c.keys[0], types.LatestSignerForChainID(big.NewInt(7)), &types.DynamicFeeTx{ChainID: big.NewInt(7), To: &to, Gas: 21000})
	check(wrong, "invalid sender: invalid chain id for signer: have 7 want 4242")
	check(types.MustSignNewTx(c.keys[0], types.HomesteadSigner{}, &types.LegacyTx{To: &to, Gas: 21000}), "only replay-protected (EIP-155) transactions allowed over RPC")
	check(types.MustSignNewTx(c.keys[0], c.Signer(), &types.DynamicFeeTx{ChainID: big.NewInt(testChainID), To: &to, Gas: 21000, GasTipCap: big.NewInt(2), GasFeeCap: big.NewInt(1)}),
		"max priority fee per gas higher than max fee per gas")
	blob := types.MustSignNewTx(c.keys[0], c.Signer(), &types.BlobTx{
		ChainID: uint256.NewInt(testChainID), To: to, Gas: 21000,
		BlobFeeCap: uint256.NewInt(1), BlobHashes: []common.Hash{{1}},
	})
	check(blob, "transaction type not supported: blob transactions are not accepted here")
	// With a sidecar it is larger than any transaction may be, and refused for its type all the same.
	sidecar := append([]byte{types.BlobTxType}, make([]byte, 1<<20)...)
	if _, err := c.DecodeAndCheck(sidecar); !errors.Is(err, types.ErrTxTypeNotSupported) || !errors.Is(err, coco.ErrInvalid) {
		t.Fatalf("a blob transaction with its sidecar: %v", err)
	}
	if _, err := c.DecodeAndCheck([]byte{0xc0, 1}); err == nil || !errors.Is(err, coco.ErrInvalid) {
		t.Fatalf("garbage: %v", err)
	}
	signed := c.sign(0, 1, &to, 21000, 0, nil)
	v, r, _ := signed.RawSignatureValues()
	inner := &types.DynamicFeeTx{ChainID: signed.ChainId(), Nonce: 1, To: &to, Gas: 21000, GasTipCap: new(big.Int), GasFeeCap: new(big.Int), Value: new(big.Int), V: v, R: r, S: new(big.Int)}
	check(types.NewTx(inner), "invalid sender: invalid transaction v, r, s values")
}

func TestSameTransactionAgainGivesTheFirstOutcome(t *testing.T) {
	c := newTestChain(t, 1, nil)
	tx := c.transfer(0, 0, 1)
	out := c.execute(c.call(tx), c.call(tx))
	if len(out) != 2 || out[1].Err != nil || out[1].Tx != nil || out[1].TxID != out[0].TxID {
		t.Fatalf("within a batch: %+v", out)
	}
	again := c.execute(c.forwarded(tx))
	if len(again) != 1 || again[0].Err != nil || again[0].Tx != nil || again[0].TxID != out[0].TxID {
		t.Fatalf("in a later batch: %+v", again)
	}
	sameBytes(t, "reply", again[0].Reply, knownReply(tx.Hash(), 1))
	equal(t, "head", c.Head().Number(), 1)
}

// What a node has sent again itself, because an answer was lost, is told as sent. What a client sends again is not,
// unless it asks for that.
func TestTheSameBytesAgainAreNotTakenForAnotherPayment(t *testing.T) {
	c := newTestChain(t, 1, nil)
	raw, err := c.transfer(0, 0, 1).MarshalBinary()
	must(t, err)
	send := func(again bool, raw ...[]byte) []SendResult { return c.Send(t.Context(), coco.Caller{}, again, raw...) }
	first := send(false, raw)[0]
	must(t, first.Err)
	for range 3 {
		r := send(false, raw)[0]
		if r.Err == nil || r.Err.Error() != "nonce too low: next nonce 1, tx nonce 0" || !errors.Is(r.Err, coco.ErrInvalid) || r.Hash != first.Hash {
			t.Fatalf("sent again: %+v", r)
		}
		equal(t, "sent again by a client that asks for it", send(true, raw)[0], first)
	}
	equal(t, "blocks", c.Head().Number(), 1)

	// The leader executes the second attempt after it has executed the first, whose answer was lost.
	submit := c.env.Submit
	c.env.Submit = func(ctx context.Context, calls ...*adapter.Call) []adapter.Result {
		submit(ctx, calls...)
		out := submit(ctx, calls...)
		for i := range out {
			out[i].Again = true
		}
		return out
	}
	raw, err = c.transfer(0, 1, 1).MarshalBinary()
	must(t, err)
	lost := send(false, raw)[0]
	if lost.Err != nil || lost.TxID.Seqno != first.TxID.Seqno+1 {
		t.Fatalf("sent again by the node: %+v", lost)
	}

	// While the first copy is under way, a second one is known, whichever way they came.
	c.env.Submit = func(ctx context.Context, calls ...*adapter.Call) []adapter.Result {
		c.env.Submit = submit
		if r := send(false, raw)[0]; r.Err == nil || r.Err.Error() != "already known" {
			t.Errorf("sent twice at a time: %+v", r)
		}
		return submit(ctx, calls...)
	}
	raw, err = c.transfer(0, 2, 1).MarshalBinary()
	must(t, err)
	out := send(false, raw, raw)
	if out[0].Err != nil || out[1].Err == nil || out[1].Err.Error() != "nonce too low: next nonce 3, tx nonce 2" {
		t.Fatalf("twice in a batch: %+v", out)
	}
	if n := c.sending.Len(); n != 0 {
		t.Errorf("under way when nothing is: %d", n)
	}
}

func TestFailedExecutionIsATransaction(t *testing.T) {
	c := newTestChain(t, 1, nil)
	tx := c.sign(0, 0, nil, 60_000, 0, []byte{0xfe})
	included_(t, c.execute(c.call(tx)), 1)
	v := c.Latest()
	defer v.Release()
	got, err := v.Transaction(c.t.Context(), tx.Hash())
	must(t, err)
	equal(t, "status", got.Receipt.Status, types.ReceiptStatusFailed)
	equal(t, "gas", got.Receipt.GasUsed, 60_000)
	equal(t, "nonce", c.nonceIn(v, c.address(0)), 1)
}

func TestClaimsAreTheConsensusReceipt(t *testing.T) {
	c, token := newTokenChain(t, 2)
	set := c.store.Begin(c.view, c.now)
	to := common.BytesToAddress([]byte{9})
	tx := c.sign(1, 0, &token, 100_000, 0, transferData(to, 5))
	included_(t, c.run(set, c.call(tx)), 1)
	records := set.Records()
	equal(t, "records", len(records), 1)
	if len(records[0].Public) != 0 {
		t.Fatal("something is public")
	}
	c.commit(set)
	var claims struct {
		Hash         common.Hash
		Block, Index uint64
		Receipt      []byte
	}
	must(t, rlp.DecodeBytes(records[0].Claims, &claims))
	equal(t, "hash", claims.Hash, tx.Hash())
	equal(t, "block", claims.Block, c.Head().Number())
	v := c.Latest()
	defer v.Release()
	got, err := v.Transaction(c.t.Context(), tx.Hash())
	must(t, err)
	must(t, got.EachLog(c.Head(), func(l *types.Log) error {
		got.Receipt.Logs = append(got.Receipt.Logs, l)
		return nil
	}))
	equal(t, "logs", len(got.Receipt.Logs), 1)
	want, err := got.Receipt.MarshalBinary()
	must(t, err)
	sameBytes(t, "receipt", claims.Receipt, want)
}

func TestBlockThatIsNotCommittedLeavesNoTrace(t *testing.T) {
	c := newTestChain(t, 2, nil)
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	committed := c.store.Committed()
	head := c.Head().Hash
	// Two blocks are executed ahead of their commit, and the view is lost.
	for nonce := range uint64(2) {
		set := c.store.Begin(c.view, c.now)
		included_(t, c.run(set, c.call(c.transfer(0, nonce+1, 10)), c.call(c.transfer(1, nonce, 10))), 2)
		must(t, set.Install())
	}
	gap := c.call(c.transfer(1, 9, 1))
	set := c.store.Begin(c.view, c.now)
	if out := c.run(set, gap); len(out) != 0 {
		t.Fatalf("outcomes: %+v", out)
	}
	must(t, c.store.Rollback(committed))
	out := c.Rollback(committed)
	if len(out) != 1 || out[0].Call != gap || !errors.Is(out[0].Err, coco.ErrNotCommitted) {
		t.Fatalf("kept calls: %+v", out)
	}
	equal(t, "head", c.Head().Hash, head)
	// The same nonces are free again, on the same state.
	c.view++
	included_(t, c.execute(c.call(c.transfer(0, 1, 5)), c.call(c.transfer(1, 0, 5))), 2)
	equal(t, "number", c.Head().Number(), 2)
	equal(t, "parent", c.Head().Header.ParentHash, head)
	v := c.Latest()
	defer v.Release()
	equal(t, "balance", c.balanceIn(v, common.BytesToAddress([]byte{0xaa, 0})), 6)
	newAuditor(c).follow(c)
}

func TestFollowerBecomesLeader(t *testing.T) {
	c := newTestChain(t, 1, nil)
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	// Another node's ledger over the same committed state executes, then this one again.
	other := *c
	other.reopen(settingsOf(t, 1))
	equal(t, "head after opening", other.Head().Hash, c.Head().Hash)
	other.view++
	included_(t, other.execute(other.call(other.transfer(0, 1, 1))), 1)
	c.Committed(adapter.Commit{View: other.view, First: c.store.Committed(), Last: c.store.Committed()})
	equal(t, "head", c.Head().Hash, other.Head().Hash)
	c.view += 2
	included_(t, c.execute(c.call(c.transfer(0, 2, 1))), 1)
	equal(t, "number", c.Head().Number(), 3)
	newAuditor(c).follow(c)
}

func TestSystemContractsCannotBeReplaced(t *testing.T) {
	complete, err := settings.Complete([]byte(`{"chain_id": 5, "alloc": {"` + params.WithdrawalQueueAddress.Hex() + `": {"code": "0xfe"}}}`))
	must(t, err)
	s, err := settings.Parse(complete)
	must(t, err)
	err = newChain(s, nil).tryGenesis(t)
	if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "system contract") {
		t.Fatalf("got %v", err)
	}
}
