package chain

import (
	"context"
	"errors"
	"io"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/archive"
	"github.com/cocoframework/coco/adapter/ethereum/archiving"
	"github.com/cocoframework/coco/adapter/ethereum/genesis"
	"github.com/cocoframework/coco/adapter/ethereum/reexecute"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/internal/contracts"
	"github.com/cocoframework/coco/store"
)

// ledgerOf makes random traffic and returns the writes of each transaction of the ledger, the genesis first.
func ledgerOf(t *testing.T, c *testChain, batches int) (ledger [][]store.Write, token common.Address) {
	f := &traffic{c: c, r: rand.New(rand.NewPCG(3, 4)), nonces: make([]uint64, len(c.keys)), token: crypto.CreateAddress(c.address(0), 0)}
	f.nonces[0]++
	included_(t, c.execute(c.call(c.sign(0, 0, nil, 5_000_000, 0, contracts.DeployToken("Token", "TOK", big.NewInt(10_000))))), 1)
	for range batches {
		c.now += 400
		var calls []*adapter.Call
		for range 1 + f.r.IntN(12) {
			calls = append(calls, c.call(f.next()))
		}
		included_(t, c.execute(calls...), len(calls))
	}
	for i := range c.records {
		writes, err := store.DecodeWrites(c.records[i].Private)
		must(t, err)
		ledger = append(ledger, writes)
	}
	return ledger, f.token
}

// folder is an archive's.
type folder string

func (d folder) Create(name string) (io.WriteCloser, error) {
	return os.Create(filepath.Join(string(d), name))
}

func (d folder) Open(name string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(d), name))
}

func (d folder) Remove() error  { return os.RemoveAll(string(d)) }
func (d folder) String() string { return string(d) }

// archived writes an archive of a ledger, and reads it.
func archived(t *testing.T, c *testChain, ledger [][]store.Write) *archive.Reader {
	t.Helper()
	dir := folder(t.TempDir())
	var w *archive.Writer
	collector := &archiving.Collector{Block: func(it *archive.Item) error {
		if it.Block.NumberU64() > 0 {
			return w.Add(it)
		}
		spec, err := genesis.Spec(c.Settings(), it.Block.Header())
		must(t, err)
		w, err = archive.Create(dir, "", spec, archive.Delayed, true)
		return err
	}}
	for i, writes := range ledger {
		must(t, collector.Add(coco.TxID{View: 2, Seqno: uint64(i + 1)}, writes))
	}
	_, err := w.Close()
	must(t, err)
	r, err := archive.Open(t.Context(), dir)
	must(t, err)
	t.Cleanup(r.Close)
	return r
}

// replayed executes an archive again, and returns the first difference.
func replayed(t *testing.T, r *archive.Reader) (*reexecute.Chain, error) {
	t.Helper()
	again, err := reexecute.New(r.Genesis)
	must(t, err)
	for {
		it, err := r.Next()
		if errors.Is(err, io.EOF) {
			return again, nil
		}
		must(t, err)
		if err := again.Check(context.Background(), it, r.Manifest.StateRoot); err != nil {
			return again, err
		}
	}
}

func TestAnArchiveOfALedgerIsExecutedAgainWriteByWrite(t *testing.T) {
	for _, fork := range []string{"osaka", "cancun", "shanghai", "paris", "osaka closed"} {
		t.Run(fork, func(t *testing.T) {
			of, closed := strings.CutSuffix(fork, " closed")
			visibility := "network"
			if closed {
				visibility = "closed"
			}
			c := newTestChain(t, 6, map[string]any{"fork": of, "visibility": visibility, "confirmation_blocks": 3})
			ledger, _ := ledgerOf(t, c, 30)
			again, err := replayed(t, archived(t, c, ledger))
			must(t, err)
			newest, _ := again.Newest()
			equal(t, "newest block", newest.Hash(), c.Head().Hash)
		})
	}
}

// A leader that lies seals a ledger whose rows are not what the transactions come to.
func TestAForgedWriteSetIsNamed(t *testing.T) {
	c := newTestChain(t, 4, nil)
	ledger, token := ledgerOf(t, c, 8)
	bob := common.HexToAddress("0xb0b0000000000000000000000000000000000b0b")
	c.now += 400
	v := c.Latest()
	first, second := c.nonceIn(v, c.address(1)), c.nonceIn(v, c.address(2))
	v.Release()
	included_(t, c.execute(c.call(c.sign(1, first, &bob, 21000, 5, nil)), c.call(c.sign(2, second, &token, 100_000, 0, contracts.Transfer(bob, big.NewInt(0))))), 2)
	number := c.Head().Number()
	for _, r := range c.records[len(ledger):] {
		writes, err := store.DecodeWrites(r.Private)
		must(t, err)
		ledger = append(ledger, writes)
	}
	forge := func(at int, change func([]store.Write) []store.Write) [][]store.Write {
		out := append([][]store.Write{}, ledger...)
		out[at] = change(append([]store.Write{}, out[at]...))
		return out
	}
	balance := func(writes []store.Write, addr common.Address, to uint64) []store.Write {
		for i, w := range writes {
			if w.Table == rows.Accounts && common.BytesToAddress(w.Key) == addr {
				a, err := rows.DecodeAccount(w.Value)
				must(t, err)
				a.Balance = uint256.NewInt(to)
				writes[i].Value = a.Encode()
			}
		}
		return writes
	}
	without := func(writes []store.Write, addr common.Address) []store.Write {
		var out []store.Write
		for _, w := range writes {
			if w.Table != rows.Accounts || common.BytesToAddress(w.Key) != addr {
				out = append(out, w)
			}
		}
		return out
	}
	rich := rows.Account{Exists: true, Balance: uint256.NewInt(1e18), CodeHash: rows.NoAccount.CodeHash}
	mallory := common.HexToAddress("0x3a110000000000000000000000000000000000ff")
	gift := store.Write{Table: rows.Accounts, Key: mallory[:], Value: rich.Encode()}
	last := len(ledger)
	for name, tc := range map[string]struct {
		ledger [][]store.Write
		tx     int
		field  string
		found  string
	}{
		"another balance":     {forge(last-2, func(w []store.Write) []store.Write { return balance(w, bob, 6) }), 0, "balance of " + bob.Hex(), "6"},
		"a payment not noted": {forge(last-2, func(w []store.Write) []store.Write { return without(w, bob) }), 0, "balance of " + bob.Hex(), "no write: it stays 0"},
		"a gift beside":       {forge(last-1, func(w []store.Write) []store.Write { return append(w, gift) }), 1, "account " + mallory.Hex(), "it exists"},
		"a gift of its own":   {append(append(append([][]store.Write{}, ledger[:last-2]...), []store.Write{gift}), ledger[last-2:]...), -1, "state before the block", ""},
		"the honest ledger":   {ledger, 0, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := replayed(t, archived(t, c, tc.ledger))
			var d *reexecute.Difference
			switch {
			case tc.field == "":
				must(t, err)
			case !errors.As(err, &d) || !errors.Is(err, coco.ErrVerify):
				t.Fatalf("error %v", err)
			case d.Block != number || d.Transaction != tc.tx || d.Field != tc.field || tc.found != "" && d.Found != tc.found:
				t.Fatalf("found %+v, expected block %d, transaction %d, %s", d, number, tc.tx, tc.field)
			}
		})
	}
}
