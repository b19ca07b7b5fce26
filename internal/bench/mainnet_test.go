package bench

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/trie"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/internal/bench/link"
	"github.com/cocoframework/coco/internal/bench/mainnet"
)

// blockFile makes a block of transactions of all kinds, whose header fits the receipts that fakeMainnet
// answers, and writes it in the form of a block file.
func blockFile(t *testing.T, dir string, number, n int) {
	t.Helper()
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer := types.LatestSignerForChainID(one)
	to := common.HexToAddress("0x01")
	var txs types.Transactions
	var receipts types.Receipts
	var gas uint64
	for i := range n {
		var data types.TxData
		switch i % 3 {
		case 0:
			data = &types.LegacyTx{Nonce: uint64(i), GasPrice: one, Gas: 30_000, To: &to, Value: one}
		case 1:
			data = &types.AccessListTx{ChainID: one, Nonce: uint64(i), GasPrice: one, Gas: 30_000, To: &to, Value: one}
		default:
			data = &types.DynamicFeeTx{ChainID: one, Nonce: uint64(i), GasTipCap: one, GasFeeCap: one, Gas: 30_000, To: &to, Value: one}
		}
		tx := types.MustSignNewTx(key, signer, data)
		txs = append(txs, tx)
		r := fakeReceipt(tx, i)
		gas += uint64(r.GasUsed)
		receipt := &types.Receipt{Type: tx.Type(), Status: uint64(r.Status), CumulativeGasUsed: gas, Logs: r.Logs}
		receipt.Bloom = types.CreateBloom(receipt)
		receipts = append(receipts, receipt)
	}
	header := &types.Header{
		Number: big.NewInt(int64(number)), Difficulty: new(big.Int), BaseFee: one, GasLimit: 30_000_000, GasUsed: gas, Time: 1_700_000_000,
		UncleHash: types.EmptyUncleHash, TxHash: types.DeriveSha(txs, trie.NewStackTrie(nil)),
		ReceiptHash: types.DeriveSha(receipts, trie.NewStackTrie(nil)), Bloom: types.MergeBloom(receipts),
	}
	block := make(map[string]any)
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &block); err != nil {
		t.Fatal(err)
	}
	block["transactions"] = txs
	writeBlock(t, filepath.Join(dir, fmt.Sprintf("%d.json.gz", number)), map[string]any{
		"block":       block,
		"blockHashes": map[string]string{fmt.Sprint(number - 1): common.Hash{}.Hex()},
		"preState":    map[string]any{crypto.PubkeyToAddress(key.PublicKey).Hex(): map[string]string{"balance": "0x1"}},
	})
}

func writeBlock(t *testing.T, file string, v any) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := json.NewEncoder(z).Encode(v); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func fakeReceipt(tx *types.Transaction, i int) *mainnet.Receipt {
	r := &mainnet.Receipt{
		Hash: tx.Hash(), Type: hexutil.Uint64(tx.Type()), Status: hexutil.Uint64(i % 2), GasUsed: hexutil.Uint64(21_000 + i),
		BlockNumber: hexutil.Uint64(i / 10), Index: hexutil.Uint64(i % 10), Logs: []*types.Log{},
	}
	if i%2 == 1 {
		r.Logs = append(r.Logs, &types.Log{Address: *tx.To(), Topics: []common.Hash{tx.Hash()}, Data: []byte{byte(i)}, TxHash: tx.Hash()})
	}
	return r
}

// fakeMainnet is a network of several nodes that execute transactions in the order in which they
// come, and refuse a first batch.
type fakeMainnet struct {
	mu       sync.Mutex
	receipts map[common.Hash]*mainnet.Receipt
	uses     []int // requests with transactions by node
	busy     int
	refuse   int // the transaction that is refused; -1: none
	change   func(i int, r *mainnet.Receipt)
}

func (f *fakeMainnet) start(t *testing.T) Start {
	return func(context.Context, *mainnet.Block) ([]link.Target, func() error, error) {
		f.receipts = make(map[common.Hash]*mainnet.Receipt)
		f.uses = make([]int, 3)
		f.busy = 0
		var targets []link.Target
		var servers []*httptest.Server
		for node := range f.uses {
			s := httptest.NewServer(f.handler(t, node))
			servers = append(servers, s)
			targets = append(targets, link.Target{URL: s.URL})
		}
		return targets, func() error {
			for _, s := range servers {
				s.Close()
			}
			return nil
		}, nil
	}
}

func (f *fakeMainnet) handler(t *testing.T, node int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if body[0] != '[' {
			body = []byte("[" + string(body) + "]")
			defer func() { t.Error("a single request") }()
		}
		var batch []struct {
			ID     int
			Method string
			Params []string
		}
		if err := json.Unmarshal(body, &batch); err != nil {
			t.Error(err)
		}
		var answers []map[string]any
		for k, q := range batch {
			a := map[string]any{"jsonrpc": "2.0", "id": q.ID}
			if q.Method == "eth_getTransactionReceipt" {
				a["result"] = f.receipts[common.HexToHash(q.Params[0])]
			} else {
				if k == 0 {
					f.uses[node]++
				}
				if hash, err := f.execute(q.Params[0]); err != nil {
					a["error"] = err
				} else {
					a["result"] = hash
				}
			}
			answers = append(answers, a)
		}
		slices.Reverse(answers) // the order of a batch's answers is free
		if err := json.NewEncoder(w).Encode(answers); err != nil {
			t.Error(err)
		}
	}
}

func (f *fakeMainnet) execute(text string) (string, *rpcError) {
	if f.busy++; f.busy == 1 {
		return "", &rpcError{Code: codeBusy, Message: "busy"}
	}
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(hexutil.MustDecode(text)); err != nil {
		return "", &rpcError{Code: -32000, Message: err.Error()}
	}
	if f.receipts[tx.Hash()] != nil {
		return tx.Hash().Hex(), nil
	}
	i := int(tx.Nonce())
	if i == f.refuse {
		return "", &rpcError{Code: -32000, Message: "intrinsic gas too low"}
	}
	r := fakeReceipt(tx, i)
	if f.change != nil {
		f.change(i, r)
	}
	f.receipts[tx.Hash()] = r
	return tx.Hash().Hex(), nil
}

func replayed(t *testing.T, dir string, f *fakeMainnet) (MainnetReport, error) {
	t.Helper()
	return Mainnet(t.Context(), MainnetOptions{Dir: dir, Batch: 10}, f.start(t), nil, nil)
}

func TestMainnetFindsNoMismatchInWhatFitsTheHeader(t *testing.T) {
	dir := t.TempDir()
	blockFile(t, dir, 17_000_000, 35)
	blockFile(t, dir, 9_500_000, 3) // sorts behind it as text
	var order []uint64
	f := &fakeMainnet{refuse: -1}
	r, err := Mainnet(t.Context(), MainnetOptions{Dir: dir, Batch: 10}, f.start(t), nil, func(b BlockResult) { order = append(order, b.Number) })
	if err != nil {
		t.Fatal(err)
	}
	if r.Blocks != 2 || r.Transactions != 38 || r.Mismatches != 0 || r.TPS <= 0 || r.Latency.P50 <= 0 || !slices.Equal(order, []uint64{9_500_000, 17_000_000}) {
		t.Errorf("%+v, order %v", r, order)
	}
	if slices.Contains(f.uses, 0) {
		t.Errorf("batches by node: %v: expected some through each", f.uses)
	}
	text, err := json.Marshal(r)
	if err != nil || !strings.HasPrefix(string(text), `{"blocks":2,"transactions":38,"mismatches":0,"tps":`) || !strings.Contains(string(text), `"latency_ms":{"p50":`) {
		t.Errorf("%v, %s", err, text)
	}
}

func TestMainnetFindsEveryMismatch(t *testing.T) {
	dir := t.TempDir()
	blockFile(t, dir, 17_000_000, 25)
	for want, change := range map[string]func(i int, r *mainnet.Receipt){
		"gas used":      func(_ int, r *mainnet.Receipt) { r.GasUsed++ },
		"receipts root": func(_ int, r *mainnet.Receipt) { r.Status ^= 1 },
		"logs bloom":    func(_ int, r *mainnet.Receipt) { r.Logs[0].Address[0]++ },
		"out of order":  func(_ int, r *mainnet.Receipt) { r.BlockNumber = 0 },
		"of type":       func(_ int, r *mainnet.Receipt) { r.Type++ },
	} {
		f := &fakeMainnet{refuse: -1, change: func(i int, r *mainnet.Receipt) {
			if i == 21 {
				change(i, r)
			}
		}}
		r, err := replayed(t, dir, f)
		if !errors.Is(err, coco.ErrVerify) || r.Mismatches < 3 || !strings.Contains(strings.Join(r.Results[0].Mismatches, "\n"), want) {
			t.Errorf("%s: %v, %+v: expected a mismatch for each of three nodes", want, err, r)
		}
	}
	r, err := replayed(t, dir, &fakeMainnet{refuse: 17})
	if !errors.Is(err, coco.ErrVerify) || r.Mismatches != 1 || !strings.Contains(r.Results[0].Mismatches[0], "transaction 17 ") {
		t.Errorf("%v, %+v: expected the refused transaction", err, r)
	}
}

func TestMainnetSettingsPinTheBlock(t *testing.T) {
	dir := t.TempDir()
	blockFile(t, dir, 17_000_000, 2)
	b, err := mainnet.Load(filepath.Join(dir, "17000000.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(b.Settings())
	if err != nil {
		t.Fatal(err)
	}
	complete, err := settings.Complete(text)
	if err != nil {
		t.Fatal(err)
	}
	s, err := settings.Parse(complete)
	if err != nil {
		t.Fatal(err)
	}
	if s.ChainID != 1 || len(s.Alloc) != 1 || s.Pin == nil || s.Pin.Number != 17_000_000 || s.Pin.Timestamp != b.Header.Time ||
		s.Pin.BaseFee.Cmp(one) != 0 || s.GasLimit != b.Header.GasLimit || len(s.Pin.BlockHashes) != 1 {
		t.Errorf("%+v", s)
	}
}

// Some blocks of the mainnet, 19910734 among them, have no transactions, and so nothing that they read.
func TestABlockWithoutTransactionsIsReplayed(t *testing.T) {
	dir := t.TempDir()
	blockFile(t, dir, 17_000_000, 4)
	blockFile(t, dir, 17_000_001, 0)
	file := filepath.Join(dir, "17000001.json.gz")
	v := read(t, file)
	v["preState"] = map[string]any{}
	writeBlock(t, file, v)
	report, err := replayed(t, dir, &fakeMainnet{refuse: -1})
	if err != nil || report.Blocks != 2 || report.Transactions != 4 || report.Mismatches != 0 {
		t.Fatalf("%+v, %v", report, err)
	}
	b, err := mainnet.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(b.Settings())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := settings.Complete(text); err != nil {
		t.Errorf("a network that begins before the block: %v", err)
	}
}

func TestMainnetBlockIsCheckedAgainstItself(t *testing.T) {
	dir := t.TempDir()
	blockFile(t, dir, 17_000_000, 4)
	file := filepath.Join(dir, "17000000.json.gz")
	good := read(t, file)
	for name, change := range map[string]func(v map[string]any){
		"hash":         func(v map[string]any) { v["block"].(map[string]any)["gasUsed"] = "0x1" },
		"transactions": func(v map[string]any) { v["block"].(map[string]any)["transactions"] = []any{} },
		"no block":     func(v map[string]any) { delete(v, "block") },
		"null block":   func(v map[string]any) { v["block"] = nil },
		"no state":     func(v map[string]any) { delete(v, "preState") },
	} {
		v := maps.Clone(good)
		v["block"] = maps.Clone(good["block"].(map[string]any))
		change(v)
		writeBlock(t, file, v)
		if _, err := mainnet.Load(file); !errors.Is(err, coco.ErrVerify) && !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(file, []byte("plain"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := mainnet.Load(file); !errors.Is(err, coco.ErrCorrupt) {
		t.Errorf("not gzip: %v", err)
	}
	if _, err := replayed(t, t.TempDir(), &fakeMainnet{}); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.json.gz"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := replayed(t, dir, &fakeMainnet{}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a foreign file: %v", err)
	}
}

func read(t *testing.T, file string) map[string]any {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.NewDecoder(z).Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
