// Package mainnet reads blocks of Ethereum's mainnet, with the state that they were executed on, and compares
// receipts with a block's header.
//
//	NUMBER.json.gz ──Load──▶ Block ──Settings──▶ genesis of a network ──Raws──▶ receipts ──Compare──▶ differences
//
// Trust: host
package mainnet

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/cocoframework/coco"
)

// Block is a block of Ethereum's mainnet with the state that it was executed on.
type Block struct {
	Number       uint64
	Header       *types.Header
	Transactions types.Transactions

	preState    map[string]any    // by address, in the form of go-ethereum's genesis files
	blockHashes map[string]string // that the block reads, by decimal number
}

// maxBlockFile bounds a block file, uncompressed.
const maxBlockFile = 256 << 20

// Files returns a folder's block files in the order of their numbers.
func Files(dir string) ([]string, error) {
	const suffix = ".json.gz"
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	numbers := make(map[string]uint64)
	for _, name := range names {
		n, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(name), suffix), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: expected a file named NUMBER%s", coco.ErrInvalid, name, suffix)
		}
		numbers[name] = n
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no block files NUMBER%s in %s", coco.ErrNotFound, suffix, dir)
	}
	slices.SortFunc(names, func(a, b string) int {
		if numbers[a] < numbers[b] {
			return -1
		}
		return 1
	})
	return names, nil
}

// Load reads a block file: gzipped JSON with the members block (as eth_getBlockByNumber
// answers it, with full transactions), blockHashes and preState. It checks the header against the
// block's hash and the transactions against the header.
func Load(file string) (*Block, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrNotFound, err)
	}
	defer f.Close()
	b, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return b, nil
}

func read(r io.Reader) (*Block, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrCorrupt, err)
	}
	data, err := io.ReadAll(io.LimitReader(z, maxBlockFile+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrCorrupt, err)
	}
	if len(data) > maxBlockFile {
		return nil, fmt.Errorf("%w: more than %d bytes of JSON", coco.ErrCorrupt, maxBlockFile)
	}
	var in struct {
		Block       json.RawMessage   `json:"block"`
		BlockHashes map[string]string `json:"blockHashes"`
		PreState    map[string]any    `json:"preState"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrCorrupt, err)
	}
	b := &Block{preState: in.PreState, blockHashes: in.BlockHashes}
	var body struct {
		Hash         common.Hash        `json:"hash"`
		Transactions types.Transactions `json:"transactions"`
	}
	if err := json.Unmarshal(in.Block, &b.Header); err != nil {
		return nil, fmt.Errorf("%w: block header: %w", coco.ErrCorrupt, err)
	}
	if err := json.Unmarshal(in.Block, &body); err != nil {
		return nil, fmt.Errorf("%w: block: %w", coco.ErrCorrupt, err)
	}
	if b.Header == nil || b.Header.Number == nil || !b.Header.Number.IsUint64() || b.preState == nil {
		return nil, fmt.Errorf("%w: expected the members block and preState (which may be empty)", coco.ErrCorrupt)
	}
	b.Number, b.Transactions = b.Header.Number.Uint64(), body.Transactions
	if hash := b.Header.Hash(); hash != body.Hash {
		return nil, fmt.Errorf("%w: block %d: expected the hash %v, the header gives %v", coco.ErrVerify, b.Number, body.Hash, hash)
	}
	if root := types.DeriveSha(b.Transactions, trie.NewStackTrie(nil)); root != b.Header.TxHash {
		return nil, fmt.Errorf("%w: block %d: expected the transactions root %v, its %d transactions give %v",
			coco.ErrVerify, b.Number, b.Header.TxHash, len(b.Transactions), root)
	}
	return b, nil
}

// Settings returns the Ethereum adapter's section of a constitution whose network begins with the
// state before the block, and executes every transaction in the block's own context.
func (b *Block) Settings() map[string]any {
	h := b.Header
	pin := map[string]any{
		"number":      strconv.FormatUint(b.Number, 10),
		"timestamp":   strconv.FormatUint(h.Time, 10),
		"coinbase":    h.Coinbase.Hex(),
		"difficulty":  quantity(h.Difficulty),
		"mix_hash":    h.MixDigest.Hex(),
		"gas_limit":   strconv.FormatUint(h.GasLimit, 10),
		"parent_hash": h.ParentHash.Hex(),
	}
	if h.BaseFee != nil {
		pin["base_fee"] = quantity(h.BaseFee)
	}
	if h.ExcessBlobGas != nil {
		pin["excess_blob_gas"] = strconv.FormatUint(*h.ExcessBlobGas, 10)
	}
	if h.ParentBeaconRoot != nil {
		pin["parent_beacon_root"] = h.ParentBeaconRoot.Hex()
	}
	if len(b.blockHashes) > 0 {
		hashes := make(map[string]any, len(b.blockHashes))
		for n, hash := range b.blockHashes {
			hashes[n] = hash
		}
		pin["block_hashes"] = hashes
	}
	return map[string]any{
		"chain_id": strconv.FormatUint(params.MainnetChainConfig.ChainID.Uint64(), 10),
		"alloc":    b.preState,
		"pin":      pin,
	}
}

func quantity(v *big.Int) string { return hexutil.EncodeBig(v) }

// Raws returns the signed transactions as they are sent.
func (b *Block) Raws() ([][]byte, error) {
	raws := make([][]byte, len(b.Transactions))
	for i, tx := range b.Transactions {
		var err error
		if raws[i], err = tx.MarshalBinary(); err != nil {
			return nil, fmt.Errorf("%w: block %d, transaction %d: %w", coco.ErrCorrupt, b.Number, i, err)
		}
	}
	return raws, nil
}

// Compare computes what a block's header says about its receipts and returns the differences.
func (b *Block) Compare(receipts []*Receipt) []string {
	var differences []string
	var list types.Receipts
	var gas uint64
	var bloom types.Bloom
	var last [2]uint64
	for i, r := range receipts {
		if r == nil {
			return append(differences, fmt.Sprintf("transaction %d (%v): no receipt", i, b.Transactions[i].Hash()))
		}
		if r.Hash != b.Transactions[i].Hash() || uint8(r.Type) != b.Transactions[i].Type() {
			return append(differences, fmt.Sprintf("transaction %d (%v): the receipt is that of %v of type %d", i, b.Transactions[i].Hash(), r.Hash, r.Type))
		}
		at := [2]uint64{uint64(r.BlockNumber), uint64(r.Index)}
		if i > 0 && (at[0] < last[0] || at[0] == last[0] && at[1] <= last[1]) {
			differences = append(differences, fmt.Sprintf("transaction %d (%v): executed out of order, at %d.%d after %d.%d",
				i, r.Hash, at[0], at[1], last[0], last[1]))
		}
		last = at
		gas += uint64(r.GasUsed)
		receipt := &types.Receipt{Type: uint8(r.Type), Status: uint64(r.Status), CumulativeGasUsed: gas, Logs: r.Logs}
		receipt.Bloom = types.CreateBloom(receipt)
		for k := range bloom {
			bloom[k] |= receipt.Bloom[k]
		}
		list = append(list, receipt)
	}
	differ := func(what string, expected, found any) {
		differences = append(differences, fmt.Sprintf("%s: the header says %v, the receipts give %v", what, expected, found))
	}
	if gas != b.Header.GasUsed {
		differ("gas used", b.Header.GasUsed, gas)
	}
	if bloom != b.Header.Bloom {
		differ("logs bloom", hexutil.Encode(b.Header.Bloom[:]), hexutil.Encode(bloom[:]))
	}
	// Earlier receipts contain state roots within the block, which nothing but a full state gives.
	if params.MainnetChainConfig.IsByzantium(b.Header.Number) {
		if root := types.DeriveSha(list, trie.NewStackTrie(nil)); root != b.Header.ReceiptHash {
			differ("receipts root", b.Header.ReceiptHash, root)
		}
	}
	return differences
}

// Receipt is what Compare needs of eth_getTransactionReceipt's result.
type Receipt struct {
	Hash        common.Hash    `json:"transactionHash"`
	Type        hexutil.Uint64 `json:"type"`
	Status      hexutil.Uint64 `json:"status"`
	GasUsed     hexutil.Uint64 `json:"gasUsed"`
	BlockNumber hexutil.Uint64 `json:"blockNumber"`
	Index       hexutil.Uint64 `json:"transactionIndex"`
	Logs        []*types.Log   `json:"logs"`
}
