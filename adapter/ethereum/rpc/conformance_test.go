package rpc

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

var listConformance = flag.Bool("conformance", false, "print the result of each test of the execution-apis")

// exceptions are the tests of the execution-apis that are not passed, by their reasons. The list may only get shorter: a
// test in it that passes fails TestTheExecutionAPIsAreAnswered, too. A name that ends with a slash stands for all tests of a method.
var exceptions = map[string][]string{
	"blocks are built by the ledger, and there is no engine to hand one to":            {"testing_buildBlockV1/"},
	"the rules of a network hold from its first block on":                              {"eth_config/get-config"},
	"the base fee of a network never moves, so that of the next block is not computed": {"eth_baseFee/get-current-basefee"},
	"a receipt of before Byzantium has the state root after its transaction, which no row holds": {
		"debug_getRawReceipts/get-block-n", "eth_getBlockReceipts/get-block-receipts-by-hash", "eth_getBlockReceipts/get-block-receipts-n", "eth_getTransactionReceipt/get-legacy-input",
	},
	"the test was made before go-ethereum 1.17.10, by which a call that fails leaves the indices of its logs free": {
		"eth_simulateV1/ethSimulate-use-as-many-features-as-possible",
	},
	"there is no blob network": {"eth_sendRawTransaction/send-blob-tx"},
}

// notOffered are the methods of the specification that a node does not have, by their reasons. A method in it that is offered fails
// TestTheMethodsOfTheSpecificationAreOffered, too.
var notOffered = map[string]string{
	"testing_buildBlockV1": "blocks are built by the ledger, and there is no engine to hand one to",
	"eth_sign":             "a node keeps no users' keys", "eth_signTransaction": "a node keeps no users' keys", "eth_sendTransaction": "a node keeps no users' keys",
}

// Every method of the execution-apis is offered, but for the engine's, which a consensus client asks for, and those that are listed.
func TestTheMethodsOfTheSpecificationAreOffered(t *testing.T) {
	schemas := resultSchemas(t, conformance(t))
	n := newTestNode(t, nil)
	offered, all := n.methods(), 0
	for name := range schemas {
		if strings.HasPrefix(name, "engine_") {
			continue
		}
		all++
		if has := slices.Contains(offered, name); has == (notOffered[name] != "") {
			t.Errorf("%s: offered %v, and not offered because %q", name, has, notOffered[name])
		}
	}
	t.Logf("%d of %d methods", all-len(notOffered), all)
}

// excepted returns why a test is not passed, or nothing.
func excepted(name string) string {
	method, _, _ := strings.Cut(name, "/")
	for why, names := range exceptions {
		if slices.Contains(names, name) || slices.Contains(names, method+"/") {
			return why
		}
	}
	return ""
}

// TestTheExecutionAPIsAreAnswered puts the chain of the execution-apis' conformance tests into the tables, and answers
// their requests. Where a test compares the shape only, the answer must be as the OpenRPC document says.
func TestTheExecutionAPIsAreAnswered(t *testing.T) {
	dir := conformance(t)
	schemas := resultSchemas(t, dir)
	n, _ := importedNode(t, dir)
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.io"))
	must(t, err)
	// What sends changes the chain that the others ask about.
	slices.SortStableFunc(files, func(a, b string) int { return strings.Count(a, "eth_sendRaw") - strings.Count(b, "eth_sendRaw") })
	passed, known := 0, 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(filepath.Dir(file))+"/"+filepath.Base(file), ".io")
		fault := conforms(t, n, file, schemas)
		why := excepted(name)
		if *listConformance {
			t.Logf("%-80s %s", name, fault)
		}
		switch {
		case fault != "" && why == "":
			t.Errorf("%s: %s", name, fault)
		case fault == "" && why != "":
			t.Errorf("%s passes, and is excepted because %q: delete it from the list", name, why)
		case fault == "":
			passed++
		default:
			known++
		}
	}
	t.Logf("%d of %d tests pass, %d are excepted", passed, len(files), known)
}

// conforms replays the exchanges of a file and returns what is wrong with the answers, or nothing.
func conforms(t *testing.T, n *testNode, file string, schemas map[string]schema) string {
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	var request string
	shape := false
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		line := lines.Text()
		shape = shape || strings.HasPrefix(line, "// speconly:")
		if after, ok := strings.CutPrefix(line, ">> "); ok {
			request = after
		}
		after, ok := strings.CutPrefix(line, "<< ")
		if !ok {
			continue
		}
		var asked struct{ Method string }
		must(t, json.Unmarshal([]byte(request), &asked))
		if fault := matches([]byte(after), n.post(request).Body.Bytes(), shape, schemas[asked.Method]); fault != "" {
			return fault
		}
	}
	must(t, lines.Err())
	return ""
}

// matches compares an answer with the expected one. Messages of errors are free.
func matches(expected, found []byte, shape bool, s schema) string {
	var want, got struct {
		Result any
		Error  *struct{ Code int }
	}
	if err := errors.Join(json.Unmarshal(expected, &want), json.Unmarshal(found, &got)); err != nil {
		return err.Error()
	}
	clip := func(b []byte) string { return fmt.Sprintf("%.300s", bytes.TrimSpace(b)) }
	switch {
	case (want.Error == nil) != (got.Error == nil):
		return fmt.Sprintf("found %s, expected %s", clip(found), clip(expected))
	case want.Error != nil && want.Error.Code != got.Error.Code:
		return fmt.Sprintf("error %d, expected %d", got.Error.Code, want.Error.Code)
	case want.Error != nil:
		return ""
	case shape:
		return s.check(got.Result, "result")
	}
	return difference(want.Result, got.Result, "result")
}

// difference returns the first difference of two JSON values, or nothing.
func difference(want, got any, at string) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("%s is %v, expected an object", at, got)
		}
		for k := range w {
			if _, ok := g[k]; !ok {
				return fmt.Sprintf("%s lacks %s", at, k)
			}
			if fault := difference(w[k], g[k], at+"."+k); fault != "" {
				return fault
			}
		}
		for k := range g {
			if _, ok := w[k]; !ok {
				return fmt.Sprintf("%s has %s, which is not expected", at, k)
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s is %.200v, expected a list of %d", at, got, len(w))
		}
		for i := range w {
			if fault := difference(w[i], g[i], fmt.Sprintf("%s[%d]", at, i)); fault != "" {
				return fault
			}
		}
		return ""
	}
	if !reflect.DeepEqual(want, got) {
		return fmt.Sprintf("%s is %.200v, expected %.200v", at, got, want)
	}
	return ""
}

// importedNode serves the chain of the conformance tests: go-ethereum executes its blocks, and what it comes to is written
// as rows. The rules that calls obey are those of the newest block.
func importedNode(t *testing.T, dir string) (*testNode, *core.BlockChain) {
	var genesis core.Genesis
	enc, err := os.ReadFile(filepath.Join(dir, "genesis.json"))
	must(t, err)
	must(t, json.Unmarshal(enc, &genesis))
	config := core.DefaultConfig().WithStateScheme(rawdb.HashScheme).WithArchive(true)
	config.Preimages, config.SnapshotLimit = true, 0
	bc, err := core.NewBlockChain(rawdb.NewMemoryDatabase(), &genesis, beacon.New(ethash.NewFaker()), config)
	must(t, err)
	t.Cleanup(bc.Stop)
	file, err := os.Open(filepath.Join(dir, "chain.rlp"))
	must(t, err)
	defer file.Close()
	blocks := []*types.Block{bc.Genesis()}
	for s := rlp.NewStream(file, 0); ; {
		b := new(types.Block)
		if err := s.Decode(b); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if b.NumberU64() > 0 {
			blocks = append(blocks, b)
		}
	}
	_, err = bc.InsertChain(blocks[1:])
	must(t, err)

	c := &testChain{t: t, store: store.New(), view: 2, now: 1_700_000_000_000, past: new(recording), clock: new(testClock)}
	page, err := json.Marshal(map[string]any{"chain_id": genesis.Config.ChainID, "gas_limit": genesis.GasLimit, "confirmation_blocks": 0, "visibility": "network"})
	must(t, err)
	c.open(page)
	c.clock.now.Store(int64(1000 * (blocks[len(blocks)-1].Time() + 12)))
	c.now = uint64(c.clock.now.Load())
	states := importer{chain: c, signerOf: func(b *types.Block) types.Signer { return types.MakeSigner(genesis.Config, b.Number(), b.Time()) }}
	for _, b := range blocks {
		state, err := bc.StateAt(b.Root(), b.Number(), b.Time())
		must(t, err)
		accounts := map[common.Address]genesisAccount{}
		for addr, a := range state.RawDump(nil).Accounts {
			balance, err := uint256.FromDecimal(a.Balance)
			must(t, err)
			accounts[common.HexToAddress(addr)] = genesisAccount{balance, a.Nonce, a.Code, a.Storage}
		}
		states.add(b, bc.GetReceiptsByHash(b.Hash()), accounts)
	}
	n := &testNode{testChain: c}
	n.env.Submit = c.submit
	return n, bc
}

type genesisAccount struct {
	balance *uint256.Int
	nonce   uint64
	code    []byte
	storage map[common.Hash]string
}

// importer writes blocks and states that were made elsewhere.
type importer struct {
	chain    *testChain
	signerOf func(*types.Block) types.Signer
	before   map[common.Address]genesisAccount
}

func (m *importer) add(b *types.Block, receipts types.Receipts, after map[common.Address]genesisAccount) {
	c := m.chain
	set := c.store.Begin(c.view, c.now)
	part := set.Part(c.scope)
	var hashes []byte
	first, firstLog := uint64(0), 0
	for i := range max(1, len(b.Transactions())) {
		tx := part.Begin()
		if i == 0 {
			first = tx.Seqno()
			m.diff(tx, after)
		}
		if i < len(b.Transactions()) {
			signed, r := b.Transactions()[i], receipts[i]
			raw, err := signed.MarshalBinary()
			must(c.t, err)
			sender, err := types.Sender(m.signerOf(b), signed)
			must(c.t, err)
			row := rows.Tx{
				Sender: sender, View: c.view, Seqno: tx.Seqno(), Block: b.NumberU64(), Index: uint64(i), FirstLog: uint64(firstLog),
				GasUsed: r.GasUsed, Cumulative: r.CumulativeGasUsed, Status: r.Status, Logs: rows.EncodeLogs(r.Logs), Raw: raw,
			}
			firstLog += len(r.Logs)
			hash := signed.Hash()
			tx.Put(rows.Txs, hash[:], row.Encode())
			hashes = append(hashes, hash[:]...)
		}
		if i == max(0, len(b.Transactions())-1) {
			m.head(tx, b, first, hashes)
		}
		tx.Commit()
	}
	part.End()
	c.commit(set)
}

func (m *importer) head(tx *store.Tx, b *types.Block, first uint64, hashes []byte) {
	h, hash, key := b.Header(), b.Hash(), rows.BlockKey(b.NumberU64())
	enc, err := rlp.EncodeToBytes(h)
	must(m.chain.t, err)
	row := rows.Block{Hash: hash, View: m.chain.view, First: first, Size: b.Size(), Header: enc, Txs: hashes}
	at := rows.Head{Number: b.NumberU64(), Time: b.Time(), Hash: hash, Mix: h.MixDigest, Carried: rows.KnownRoot{Number: b.NumberU64(), Root: h.Root}}
	tx.Put(rows.Blocks, key, row.Encode())
	tx.Put(rows.BlockHashes, hash[:], key)
	tx.Put(rows.Recent, binary.BigEndian.AppendUint16(nil, uint16(b.NumberU64()%512)), hash[:])
	tx.Put(rows.Meta, rows.KeyHead, at.Encode())
	tx.Put(rows.Meta, rows.KeyTerms, rows.EncodeTerms(h))
}

// diff writes what a block has changed.
func (m *importer) diff(tx *store.Tx, after map[common.Address]genesisAccount) {
	for addr, a := range after {
		was := m.before[addr]
		row := rows.Account{Exists: true, Stored: len(a.storage) > 0, Nonce: a.nonce, Balance: a.balance, CodeHash: types.EmptyCodeHash}
		if len(a.code) > 0 {
			row.CodeHash = crypto.Keccak256Hash(a.code)
			tx.Put(rows.Code, row.CodeHash[:], a.code)
		}
		tx.Put(rows.Accounts, addr[:], row.Encode())
		for slot, value := range a.storage {
			if was.storage[slot] != value {
				tx.Put(rows.Storage, rows.AppendStorageKey(nil, &addr, &slot, 0), common.TrimLeftZeroes(common.FromHex(value)))
			}
		}
		for slot := range was.storage {
			if _, ok := a.storage[slot]; !ok {
				tx.Delete(rows.Storage, rows.AppendStorageKey(nil, &addr, &slot, 0))
			}
		}
	}
	for addr, was := range m.before {
		if _, ok := after[addr]; ok {
			continue
		}
		tx.Delete(rows.Accounts, addr[:])
		for slot := range was.storage {
			tx.Delete(rows.Storage, rows.AppendStorageKey(nil, &addr, &slot, 0))
		}
	}
	m.before = after
}
