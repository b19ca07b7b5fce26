package chain

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/development"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

func developmentChain(t *testing.T) *testChain {
	return newTestChain(t, 3, map[string]any{"development": true, "confirmation_blocks": 0, "timestamps": "increasing"})
}

// do executes a call that is no transaction of the chain, as the adapter does.
func (c *testChain) do(call development.Call, room int) (development.Reply, error) {
	set := c.store.Begin(c.view, c.now)
	part := set.Part(c.scope)
	tx := part.Begin()
	r, err := call.Execute(tx, development.Context{Now: c.now, Room: room, GasLimit: c.Settings().GasLimit})
	if err != nil {
		tx.Abort()
		return 0, err
	}
	tx.Commit()
	part.End()
	c.commit(set)
	return r, nil
}

func (c *testChain) must(call development.Call) development.Reply {
	c.t.Helper()
	r, err := c.do(call, 1<<24)
	must(c.t, err)
	return r
}

func (c *testChain) mine(n uint64) {
	c.t.Helper()
	out := c.execute(&adapter.Call{Decoded: &development.Call{Kind: development.Mine, Number: n}})
	if len(out) != 1 || out[0].Err != nil || out[0].Tx == nil {
		c.t.Fatalf("mining: %+v", out)
	}
}

// dump is all rows that a revert must restore, among those that a chain can have had.
func (c *testChain) dump(hashes map[common.Hash]bool) map[string]string {
	state := c.scope.Snapshot()
	defer state.Release()
	out := map[string]string{}
	get := func(table string, key []byte) {
		if value, ok := state.Get(table, key); ok {
			out[table+string(key)] = string(value)
		}
	}
	for _, table := range []string{rows.Accounts, rows.Storage, rows.Development} {
		state.Range(table, nil, nil, func(key, value []byte) bool {
			if table != rows.Development || bytes.HasPrefix(key, []byte("waiting ")) {
				out[table+string(key)] = string(value)
			}
			return true
		})
	}
	for n := range uint64(recentHashes) {
		get(rows.Recent, recentKey(n))
		get(rows.DevBlocks, rows.BlockKey(n))
	}
	for hash := range hashes {
		get(rows.DevBlockHashes, hash[:])
		get(rows.DevTxs, hash[:])
	}
	for _, key := range [][]byte{rows.KeyHead, rows.KeyTerms, rows.KeyEmpty, []byte("milestone \x00\x00\x00\x00\x00\x00\x00\x00"), []byte("milestone \x00\x00\x00\x00\x00\x00\x00\x01")} {
		get(rows.Meta, key)
	}
	return out
}

// A revert puts every row back: the state, the blocks with what is read by hashes, and what waits. Blocks are mined, and accounts changed, in any order.
func TestARevertRestoresEveryRow(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			c, r := developmentChain(t), rand.New(rand.NewPCG(seed, 1))
			hashes := map[common.Hash]bool{}
			type taken struct {
				id   development.Reply
				rows map[string]string
				head common.Hash
			}
			var snapshots []taken
			step := func() {
				c.now += 100
				switch who := r.IntN(3); r.IntN(9) {
				case 0, 1, 2:
					v := c.Latest()
					nonce := c.nonceIn(v, c.address(who))
					v.Release()
					tx := c.sign(who, nonce, nil, 100_000, 0, common.FromHex("0x6001600155600a8060145f395ff3602a5f5260205ff3"))
					hashes[tx.Hash()] = true
					c.execute(c.call(tx)) // while mining is held, one of a nonce is refused as underpriced
				case 3:
					c.must(development.Call{Kind: development.Balance, Address: c.address(who), Data: big.NewInt(r.Int64N(1 << 60)).Bytes()})
				case 4:
					c.must(development.Call{Kind: development.Slot, Address: common.BytesToAddress([]byte{0xcc, byte(who)}), Word: common.Hash{31: byte(r.IntN(3))}, Data: []byte{byte(r.IntN(3))}})
				case 5:
					c.must(development.Call{Kind: development.Code, Address: common.BytesToAddress([]byte{0xcc, byte(who)}), Data: []byte{byte(r.IntN(3))}})
				case 6:
					c.mine(uint64(1 + r.IntN(40)))
				case 7:
					c.must(development.Call{Kind: development.Automine, Number: uint64(r.IntN(2))})
				case 8:
					c.must(development.Call{Kind: development.Increase, Number: uint64(r.IntN(1000))})
				}
				hashes[c.Head().Hash] = true
			}
			for range 60 {
				step()
				if r.IntN(6) == 0 {
					id := c.must(development.Call{Kind: development.Take})
					snapshots = append(snapshots, taken{id, c.dump(hashes), c.Head().Hash})
				}
				if r.IntN(8) > 0 || len(snapshots) == 0 {
					continue
				}
				at := r.IntN(len(snapshots))
				s := snapshots[at]
				if c.must(development.Call{Kind: development.Revert, Number: uint64(s.id)}) != 1 {
					t.Fatalf("snapshot %d is unknown", s.id)
				}
				if got := c.dump(hashes); !maps.Equal(got, s.rows) {
					for k, v := range got {
						if s.rows[k] != v {
							t.Errorf("row %q is %x, was %x", k, v, s.rows[k])
						}
					}
					t.Fatalf("%d rows after the revert, %d before", len(got), len(s.rows))
				}
				equal(t, "head", c.Head().Hash, s.head)
				for _, old := range snapshots[at:] { // each can be used once, and with it the later ones
					if c.must(development.Call{Kind: development.Revert, Number: uint64(old.id)}) != 0 {
						t.Fatalf("snapshot %d counts after it was used", old.id)
					}
				}
				snapshots = snapshots[:at]
			}
			c.must(development.Call{Kind: development.Revert})
			equal(t, "number after going back to the beginning", c.Head().Number(), 0)
			c.mine(3)
			equal(t, "number", c.Head().Number(), 3)
		})
	}
}

// What was taken back is found neither by its number nor by its hash, and the same transaction is executed again.
func TestWhatIsTakenBackCanHappenAgain(t *testing.T) {
	c := developmentChain(t)
	c.mine(2)
	sub := c.Subscribe(16)
	defer sub.Close()
	id := c.must(development.Call{Kind: development.Take})
	tx := c.transfer(0, 0, 5)
	included_(t, c.execute(c.call(tx)), 1)
	lost := c.Head()
	c.mine(1)
	c.must(development.Call{Kind: development.Revert, Number: uint64(id)})
	equal(t, "number", c.Head().Number(), 2)
	v := c.Latest()
	defer v.Release()
	if _, err := v.Transaction(t.Context(), tx.Hash()); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("a transaction that was taken back: %v", err)
	}
	if _, err := v.BlockByHash(t.Context(), lost.Hash); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("a block that was taken back: %v", err)
	}
	if _, err := v.Block(t.Context(), 3); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("the number of a block that was taken back: %v", err)
	}
	equal(t, "how often blocks were taken back", len(c.TakenBack(0)), 1)
	c.now += 5000
	included_(t, c.execute(c.call(tx)), 1)
	equal(t, "number", c.Head().Number(), 3)
	if c.Head().Hash == lost.Hash {
		t.Error("the block is the same, though its time is another one")
	}
	for _, want := range []uint64{3, 4, 3} { // the newest block is not told again
		equal(t, "news of a block", (<-sub.C).Number(), want)
	}
}

// What is changed between two blocks belongs to the state after the first one, however old.
func TestChangesBetweenBlocksAreInTheStateOfTheBlockBefore(t *testing.T) {
	c := developmentChain(t)
	c.mine(1)
	c.must(development.Call{Kind: development.Balance, Address: c.address(0), Data: []byte{7}})
	for i := range 300 {
		c.mine(1)
		if i > 0 && i < 290 {
			continue
		}
		v, err := c.At(t.Context(), 1)
		must(t, err)
		balance, err := v.Balance(t.Context(), c.address(0))
		must(t, err)
		equal(t, "balance after block 1", balance.Uint64(), 7)
		v.Release()
	}
	v, err := c.At(t.Context(), 0)
	must(t, err)
	defer v.Release()
	balance, err := v.Balance(t.Context(), c.address(0))
	must(t, err)
	equal(t, "balance after block 0", balance.String(), "1000000000000000000000")
}

// Several blocks of one call follow one another in everything, and subscribers are told of each.
func TestACallMinesBlocksOneAfterTheOther(t *testing.T) {
	c := developmentChain(t)
	sub := c.Subscribe(16)
	defer sub.Close()
	c.execute(&adapter.Call{Decoded: &development.Call{Kind: development.Mine, Number: 5, Word: common.Hash{31: 60}}})
	var before *types.Header
	v := c.Latest()
	defer v.Release()
	for n := uint64(1); n <= 5; n++ {
		equal(t, "news", (<-sub.C).Number(), n)
		b, err := v.Block(t.Context(), n)
		must(t, err)
		if before != nil {
			equal(t, "parent", b.Header.ParentHash, before.Hash())
			equal(t, "time", b.Header.Time, before.Time+60)
		}
		before = b.Header
	}
}

// Transactions that wait are executed by what they offer, those of one sender in the order of their nonces, and one may replace another of its nonce.
func TestWhatWaitsIsExecutedByWhatItOffers(t *testing.T) {
	c := developmentChain(t)
	c.must(development.Call{Kind: development.Automine})
	pay := func(from int, nonce uint64, price int64) *types.Transaction {
		tx, err := types.SignNewTx(c.keys[from], c.Signer(), &types.LegacyTx{Nonce: nonce, To: &common.Address{1}, Gas: 21000, GasPrice: big.NewInt(price)})
		must(t, err)
		return tx
	}
	cheap, first, second, replaced, gap := pay(0, 0, 1), pay(1, 0, 2), pay(1, 1, 9), pay(2, 0, 3), pay(2, 2, 50)
	for _, tx := range []*types.Transaction{cheap, second, first, replaced, gap} {
		included_(t, c.execute(c.call(tx)), 1)
	}
	refused(t, c.execute(c.call(cheap)), "already known", coco.ErrInvalid)
	refused(t, c.execute(c.call(c.transfer(2, 0, 1))), "replacement transaction underpriced", coco.ErrInvalid)
	better := pay(2, 0, 4)
	included_(t, c.execute(c.call(better)), 1)
	equal(t, "blocks", c.Head().Number(), 0)
	equal(t, "next nonce", c.Sending().Next(c.address(1), 0), 2)
	c.mine(1)
	want := []common.Hash{better.Hash(), first.Hash(), second.Hash(), cheap.Hash()}
	if got := c.Head().Txs; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("executed %v, want %v", got, want)
	}
	if _, waits := c.Sending().Get(gap.Hash()); !waits || c.Sending().Len() != 1 {
		t.Errorf("%d transactions wait; the one behind a gap: %v", c.Sending().Len(), waits)
	}
}

// A block is made when its time has come, with what waits and at the time, the limit and the address that the mode says.
func TestBlocksAreMadeByTheMode(t *testing.T) {
	c := developmentChain(t)
	c.now += 500
	c.must(development.Call{Kind: development.Interval, Number: 2000})
	c.now += 1999
	if c.execute(); c.Head().Number() != 0 {
		t.Fatal("a block was made before its time")
	}
	c.now++
	c.execute()
	equal(t, "number", c.Head().Number(), 1)
	c.execute()
	equal(t, "number until the next one is due", c.Head().Number(), 1)
	c.must(development.Call{Kind: development.Interval})
	c.now += 10_000
	c.execute()
	equal(t, "number after the end of it", c.Head().Number(), 1)

	at := c.Head().Header.Time
	c.must(development.Call{Kind: development.GasLimit, Number: 50_000})
	c.must(development.Call{Kind: development.Coinbase, Address: c.address(2)})
	c.must(development.Call{Kind: development.Random, Word: common.Hash{7}})
	c.must(development.Call{Kind: development.Next, Number: at + 5000})
	refused(t, c.execute(c.call(c.sign(0, 0, &common.Address{1}, 50_001, 0, nil))), "exceeds block gas limit", coco.ErrInvalid)
	included_(t, c.execute(c.call(c.transfer(0, 0, 1))), 1)
	h := c.Head().Header
	equal(t, "time", h.Time, at+5000)
	equal(t, "gas limit", h.GasLimit, 50_000)
	equal(t, "address", h.Coinbase, c.address(2))
	equal(t, "randomness", h.MixDigest, common.Hash{7})
	c.now += 3000
	c.mine(1)
	equal(t, "time goes on from there", c.Head().Header.Time, at+5003)
	if c.Head().Header.MixDigest == (common.Hash{7}) {
		t.Error("the randomness of one block is that of the next one, too")
	}
	for _, bad := range []development.Call{
		{Kind: development.Next, Number: at},
		{Kind: development.GasLimit},
		{Kind: development.GasLimit, Number: c.Settings().GasLimit + 1},
		{Kind: "other"},
		{Kind: development.Nonce, Address: c.address(0)},
	} {
		if _, err := c.do(bad, 1<<20); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%+v: error %v", bad, err)
		}
	}
}

// A revert that a transaction of the ledger cannot hold is refused, and changes nothing.
func TestARevertThatIsTooLargeIsRefused(t *testing.T) {
	c := developmentChain(t)
	id := c.must(development.Call{Kind: development.Take})
	c.mine(20)
	head := c.Head().Hash
	if _, err := c.do(development.Call{Kind: development.Revert, Number: uint64(id)}, 1000); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("error %v", err)
	}
	c.mine(1)
	equal(t, "parent", c.Head().Header.ParentHash, head)
	equal(t, "reply", c.must(development.Call{Kind: development.Revert, Number: uint64(id)}), 1)
}

// A transaction of an address that is impersonated names its sender, and nobody's signature looks like its own.
func TestAnUnsignedTransactionIsItsSenders(t *testing.T) {
	c := developmentChain(t)
	from := common.HexToAddress("0x00000000000000000000000000000000000000aa")
	c.must(development.Call{Kind: development.Balance, Address: from, Data: []byte{10}})
	c.must(development.Call{Kind: development.Code, Address: from, Data: []byte{0}})
	for i, inner := range []types.TxData{
		&types.LegacyTx{To: &common.Address{1}, Gas: 21000, GasPrice: new(big.Int), Value: big.NewInt(1)},
		&types.DynamicFeeTx{ChainID: c.ChainID(), Nonce: 1, To: &common.Address{1}, Gas: 21000, Value: big.NewInt(1)},
	} {
		tx, err := development.Unsigned(types.NewTx(inner), from, c.Signer())
		must(t, err)
		included_(t, c.execute(c.forwarded(tx)), 1)
		v := c.Latest()
		got, err := v.Transaction(t.Context(), tx.Hash())
		v.Release()
		must(t, err)
		equal(t, fmt.Sprintf("sender %d", i), got.From, from)
		equal(t, "status", got.Receipt.Status, 1)
	}
	plain := newTestChain(t, 1, nil)
	tx, err := development.Unsigned(types.NewTx(&types.LegacyTx{To: &common.Address{1}, Gas: 21000, GasPrice: new(big.Int)}), plain.address(0), plain.Signer())
	must(t, err)
	raw, err := tx.MarshalBinary()
	must(t, err)
	if d, err := plain.DecodeAndCheck(raw); err == nil && d.msg.From == plain.address(0) {
		t.Error("a network that is not in development mode takes an unsigned transaction")
	}
}

// Only an insecure network opens in development mode.
func TestADevelopmentModeNeedsAnInsecureNetwork(t *testing.T) {
	page, err := settings.Complete([]byte(`{"chain_id": 1, "visibility": "network", "development": true}`))
	must(t, err)
	if _, err := Open(&adapter.Env{Settings: page, Insecure: false}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("error %v", err)
	}
	for _, bad := range []string{`"visibility": "closed"`, `"visibility": "network", "pin": {"number": 1}`} {
		if _, err := settings.Complete([]byte(`{"chain_id": 1, "development": true, ` + bad + `}`)); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v", bad, err)
		}
	}
}
