package reexecute

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/archive"
)

// foreign is a chain that go-ethereum has made, with a payment in each block.
func foreign(t *testing.T, n int) (*core.Genesis, []*types.Block, []types.Receipts) {
	t.Helper()
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("key")))
	if err != nil {
		t.Fatal(err)
	}
	from := crypto.PubkeyToAddress(key.PublicKey)
	config := *params.MergedTestChainConfig
	g := &core.Genesis{Config: &config, Difficulty: new(big.Int), GasLimit: 30_000_000, BaseFee: big.NewInt(params.InitialBaseFee), Alloc: types.GenesisAlloc{
		from:                             {Balance: big.NewInt(params.Ether)},
		params.BeaconRootsAddress:        {Nonce: 1, Code: params.BeaconRootsCode, Balance: new(big.Int)},
		params.HistoryStorageAddress:     {Nonce: 1, Code: params.HistoryStorageCode, Balance: new(big.Int)},
		params.WithdrawalQueueAddress:    {Nonce: 1, Code: params.WithdrawalQueueCode, Balance: new(big.Int)},
		params.ConsolidationQueueAddress: {Nonce: 1, Code: params.ConsolidationQueueCode, Balance: new(big.Int)},
	}}
	signer := types.LatestSigner(g.Config)
	_, blocks, receipts := core.GenerateChainWithGenesis(g, beacon.New(ethash.NewFaker()), n, func(i int, b *core.BlockGen) {
		tx := types.MustSignNewTx(key, signer, &types.DynamicFeeTx{ChainID: g.Config.ChainID, Nonce: uint64(i), To: &common.Address{9}, Gas: 21_000, GasFeeCap: b.BaseFee(), Value: big.NewInt(int64(i))})
		b.AddTx(tx)
	})
	return g, blocks, receipts
}

func check(c *Chain, b *types.Block, r types.Receipts) error {
	return c.Check(context.Background(), &archive.Item{Block: b, Receipts: r}, archive.Own)
}

func TestAChainOfAnotherProgramIsExecutedAgain(t *testing.T) {
	g, blocks, receipts := foreign(t, 6)
	dir := filepath.Join(t.TempDir(), "state")
	c, err := Open(g, dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range blocks[:3] {
		if err := check(c, blocks[i], receipts[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	// It goes on where it ended, and in no folder of another chain.
	other := *g
	other.GasLimit++
	if _, err := Open(&other, dir); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "holds the state of a chain with the genesis") {
		t.Fatalf("error %v", err)
	}
	if c, err = Open(g, dir); err != nil || c.Next() != 4 {
		t.Fatalf("next %d, %v", c.Next(), err)
	}
	defer c.Close()
	if c.Executed(2) != blocks[1].Hash() || c.Executed(4) != (common.Hash{}) {
		t.Fatalf("executed %v, %v", c.Executed(2), c.Executed(4))
	}
	for i := 3; i < len(blocks); i++ {
		if err := check(c, blocks[i], receipts[i]); err != nil {
			t.Fatal(err)
		}
	}
	if _, root := c.Newest(); root != blocks[5].Root() {
		t.Fatalf("root %v, expected %v", root, blocks[5].Root())
	}
	var dump bytes.Buffer
	if err := c.Dump(&dump); err != nil || !strings.HasPrefix(dump.String(), `{"root":"`+blocks[5].Root().Hex()+`"}`) || strings.Count(dump.String(), `"address"`) != len(g.Alloc)+1 {
		t.Fatalf("%v: %s", err, dump.String())
	}
	if err := c.Dump(failed{}); !errors.Is(err, io.ErrShortWrite) {
		t.Fatalf("error %v", err)
	}
}

type failed struct{}

func (failed) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestTheFirstDifferenceIsNamed(t *testing.T) {
	g, blocks, receipts := foreign(t, 2)
	copied := func(r types.Receipts) types.Receipts {
		one := *r[0]
		return types.Receipts{&one}
	}
	header := func(change func(*types.Header)) *types.Block {
		h := blocks[1].Header()
		change(h)
		return blocks[1].WithSeal(h)
	}
	for field, tc := range map[string]struct {
		block    *types.Block
		receipts types.Receipts
		tx       int
	}{
		"cumulative gas used": {blocks[1], func() types.Receipts { r := copied(receipts[1]); r[0].CumulativeGasUsed++; return r }(), 0},
		"status":              {blocks[1], func() types.Receipts { r := copied(receipts[1]); r[0].Status = 0; return r }(), 0},
		"logs":                {blocks[1], func() types.Receipts { r := copied(receipts[1]); r[0].Logs = []*types.Log{{}}; return r }(), 0},
		"type":                {blocks[1], func() types.Receipts { r := copied(receipts[1]); r[0].Type = 0; return r }(), 0},
		"receipts":            {blocks[1], types.Receipts{}, -1},
		"state root":          {header(func(h *types.Header) { h.Root[0]++ }), nil, -1},
		"receipts root":       {header(func(h *types.Header) { h.ReceiptHash[0]++ }), nil, -1},
		"gas used":            {header(func(h *types.Header) { h.GasUsed++ }), nil, -1},
		"bloom":               {header(func(h *types.Header) { h.Bloom[3]++ }), nil, -1},
		"transactions root":   {header(func(h *types.Header) { h.TxHash[0]++ }), nil, -1},
		"parent":              {header(func(h *types.Header) { h.ParentHash[0]++ }), nil, -1},
		"header":              {header(func(h *types.Header) { h.BaseFee = big.NewInt(1) }), nil, -1},
	} {
		c, err := New(g)
		if err != nil {
			t.Fatal(err)
		}
		if err := check(c, blocks[0], receipts[0]); err != nil {
			t.Fatal(err)
		}
		var d *Difference
		if err := check(c, tc.block, tc.receipts); !errors.As(err, &d) || !errors.Is(err, coco.ErrVerify) || d.Block != 2 || d.Field != field || d.Transaction != tc.tx {
			t.Errorf("%s: %v", field, err)
		} else if field == "bloom" && !strings.HasPrefix(d.Found, "0x") {
			t.Errorf("a bloom is written as %s, expected it as JSON-RPC has it", d.Found)
		}
	}
}

// The chain of the execution-apis' conformance tests passes through every fork from Frontier on.
func TestTheChainOfTheConformanceTestsIsExecutedAgain(t *testing.T) {
	shared := os.Getenv("COCO_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "..", "shared")
		if _, err := os.Stat(shared); err != nil {
			shared = filepath.Join("..", "..", "..", "shared")
		}
	}
	text, err := os.ReadFile(filepath.Join(shared, "rpc-compat", "genesis.json"))
	if err != nil {
		t.Skipf("set COCO_SHARED to the folder that holds rpc-compat/: %v", err)
	}
	g, err := archive.ParseGenesis("genesis.json", text)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(shared, "rpc-compat", "chain.rlp"))
	if err != nil {
		t.Fatal(err)
	}
	r := archive.Foreign(g, "chain.rlp", f)
	defer r.Close()
	c, err := New(g)
	if err != nil {
		t.Fatal(err)
	}
	for {
		it, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && it.Block.NumberU64() >= c.Next() {
			err = c.Check(t.Context(), it, archive.Own)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if c.Next() < 50 {
		t.Fatalf("%d blocks", c.Next()-1)
	}
}
