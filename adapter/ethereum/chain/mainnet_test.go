package chain

import (
	"compress/gzip"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/stateroot"
)

// mainnetBlock is a file of the mainnet folder.
type mainnetBlock struct {
	Block struct {
		types.Header
		Hash         common.Hash          `json:"hash"`
		Transactions []*types.Transaction `json:"transactions"`
	} `json:"block"`
	BlockHashes map[string]common.Hash `json:"blockHashes"`
	PreState    map[string]any         `json:"preState"`
}

func (b *mainnetBlock) UnmarshalJSON(data []byte) error {
	var raw struct {
		Block       json.RawMessage        `json:"block"`
		BlockHashes map[string]common.Hash `json:"blockHashes"`
		PreState    map[string]any         `json:"preState"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	b.BlockHashes, b.PreState = raw.BlockHashes, raw.PreState
	if err := json.Unmarshal(raw.Block, &b.Block.Header); err != nil {
		return err
	}
	var rest struct {
		Hash         common.Hash          `json:"hash"`
		Transactions []*types.Transaction `json:"transactions"`
	}
	if err := json.Unmarshal(raw.Block, &rest); err != nil {
		return err
	}
	b.Block.Hash, b.Block.Transactions = rest.Hash, rest.Transactions
	return nil
}

func (b *mainnetBlock) settings() map[string]any {
	h := &b.Block.Header
	pin := map[string]any{
		"number": h.Number.Uint64(), "timestamp": h.Time, "coinbase": h.Coinbase, "difficulty": h.Difficulty.String(),
		"mix_hash": h.MixDigest, "gas_limit": h.GasLimit, "parent_hash": h.ParentHash, "block_hashes": b.BlockHashes,
	}
	if h.BaseFee != nil {
		pin["base_fee"] = hexutil.EncodeBig(h.BaseFee)
	}
	if h.ExcessBlobGas != nil {
		pin["excess_blob_gas"] = *h.ExcessBlobGas
	}
	if h.ParentBeaconRoot != nil {
		pin["parent_beacon_root"] = h.ParentBeaconRoot
	}
	return map[string]any{"chain_id": 1, "alloc": b.PreState, "pin": pin}
}

func mainnetFiles(t testing.TB) []string {
	shared := os.Getenv("COCO_SHARED")
	if shared == "" { // beside the repository, or in it
		shared = filepath.Join("..", "..", "..", "..", "shared")
		if _, err := os.Stat(shared); err != nil {
			shared = filepath.Join("..", "..", "..", "shared")
		}
	}
	files, err := filepath.Glob(filepath.Join(shared, "mainnet", "*.json.gz"))
	must(t, err)
	if len(files) == 0 {
		t.Skipf("no mainnet blocks in %s: set COCO_SHARED to the folder that holds mainnet/", shared)
	}
	return files
}

func readMainnet(t testing.TB, file string) *mainnetBlock {
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	must(t, err)
	b := new(mainnetBlock)
	must(t, json.NewDecoder(z).Decode(b))
	return b
}

// Blocks of the mainnet have the receipts that their headers say, and leave the state whose root go-ethereum comes to from the same accounts. These are a part of
// the mainnet's, so the root is not the one in the block's header.
func TestMainnetBlocksGiveTheirReceipts(t *testing.T) {
	for _, file := range mainnetFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json.gz"), func(t *testing.T) {
			b := readMainnet(t, file)
			h := &b.Block.Header
			equal(t, "hash of the file's header", h.Hash(), b.Block.Hash)
			c := newTestChain(t, 0, b.settings())
			if n := c.Notices(); len(n) != 1 || !strings.Contains(n[0], "PINNED") {
				t.Fatalf("notices: %q", n)
			}
			c.exec.short = math.MaxUint64 // one block here is one block there
			calls := make([]*adapter.Call, len(b.Block.Transactions))
			for i, tx := range b.Block.Transactions {
				calls[i] = c.call(tx)
			}
			included_(t, c.execute(calls...), len(calls))
			got := c.Head().Header
			equal(t, "gas used", got.GasUsed, h.GasUsed)
			equal(t, "logs bloom", got.Bloom, h.Bloom)
			equal(t, "transactions root", got.TxHash, h.TxHash)
			if h.Number.Cmp(params.MainnetChainConfig.ByzantiumBlock) >= 0 {
				equal(t, "receipts root", got.ReceiptHash, h.ReceiptHash)
			}
			if h.BlobGasUsed != nil {
				equal(t, "blob gas used", *got.BlobGasUsed, *h.BlobGasUsed)
			}
			snap := c.env.State.Snapshot()
			defer snap.Release()
			root, err := stateroot.Recompute(snap, func() bool { return true })
			must(t, err)
			equal(t, "state root", root, gethRoot(t, b, c.Settings().Alloc, c.Signer()))
		})
	}
}
