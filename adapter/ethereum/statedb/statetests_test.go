package statedb_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/common/math"
	"github.com/ethereum/go-ethereum/consensus/misc/eip4844"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/rawdb"
	"github.com/ethereum/go-ethereum/core/tracing"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/core/vm"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	gethtests "github.com/ethereum/go-ethereum/tests"
	"github.com/holiman/uint256"
)

var (
	stateTests = flag.String("statetests", "", "execute the state tests in this folder, in the format of GeneralStateTests of github.com/ethereum/tests")
	fill       = flag.Bool("fill", false, "have go-ethereum write what the state tests in testdata/statetests come to")
)

// fixture is one test of GeneralStateTests: accounts, a transaction with choices, and what each choice comes to by the rules of each fork.
// https://ethereum-tests.readthedocs.io/en/latest/test_types/gstate_tests.html
type fixture struct {
	Env struct {
		Coinbase      common.UnprefixedAddress `json:"currentCoinbase"`
		Difficulty    *math.HexOrDecimal256    `json:"currentDifficulty"`
		Random        *math.HexOrDecimal256    `json:"currentRandom"`
		GasLimit      math.HexOrDecimal64      `json:"currentGasLimit"`
		Number        math.HexOrDecimal64      `json:"currentNumber"`
		Timestamp     math.HexOrDecimal64      `json:"currentTimestamp"`
		BaseFee       *math.HexOrDecimal256    `json:"currentBaseFee"`
		ExcessBlobGas *math.HexOrDecimal64     `json:"currentExcessBlobGas"`
	} `json:"env"`
	Pre         types.GenesisAlloc         `json:"pre"`
	Transaction transaction                `json:"transaction"`
	Post        map[string][]expectedState `json:"post"`
}

type transaction struct {
	GasPrice    *math.HexOrDecimal256 `json:"gasPrice"`
	FeeCap      *math.HexOrDecimal256 `json:"maxFeePerGas"`
	TipCap      *math.HexOrDecimal256 `json:"maxPriorityFeePerGas"`
	Nonce       *math.HexOrDecimal256 `json:"nonce"`
	To          string                `json:"to"`
	Data        []string              `json:"data"`
	AccessLists []*types.AccessList   `json:"accessLists"`
	GasLimit    []math.HexOrDecimal64 `json:"gasLimit"`
	Value       []string              `json:"value"`
	Key         string                `json:"secretKey"`
	Sender      *common.Address       `json:"sender"`
	BlobHashes  []common.Hash         `json:"blobVersionedHashes"`
	BlobFeeCap  *math.HexOrDecimal256 `json:"maxFeePerBlobGas"`
	AuthList    []struct {
		ChainID *math.HexOrDecimal256 `json:"chainId"`
		Address common.Address        `json:"address"`
		Nonce   math.HexOrDecimal64   `json:"nonce"`
		V       math.HexOrDecimal64   `json:"v"`
		R       *math.HexOrDecimal256 `json:"r"`
		S       *math.HexOrDecimal256 `json:"s"`
	} `json:"authorizationList"`
}

// expectedState is what one choice comes to. Of a transaction that must be refused, the state must be as it was.
type expectedState struct {
	Root            common.UnprefixedHash  `json:"hash"`
	Logs            *common.UnprefixedHash `json:"logs"` // older files have none
	TxBytes         hexutil.Bytes          `json:"txbytes"`
	ExpectException string                 `json:"expectException"`
	Indexes         struct{ Data, Gas, Value int }
}

func number(v *math.HexOrDecimal256) *big.Int { return (*big.Int)(v) }

// word is nil for nil.
func word(v *big.Int) *uint256.Int { return uint256.MustFromBig(v) }

// errFixture is a fixture that cannot be read, or that names rules that do not exist.
var errFixture = errors.New("the fixture cannot be executed")

// message is the transaction with the choices of an expectation.
func (tx *transaction) message(e *expectedState, baseFee *big.Int) (*core.Message, error) {
	if e.Indexes.Data >= len(tx.Data) || e.Indexes.Gas >= len(tx.GasLimit) || e.Indexes.Value >= len(tx.Value) {
		return nil, fmt.Errorf("%w: indexes %+v", errFixture, e.Indexes)
	}
	msg := &core.Message{GasLimit: uint64(tx.GasLimit[e.Indexes.Gas]), Data: common.FromHex(tx.Data[e.Indexes.Data]), BlobHashes: tx.BlobHashes}
	if n := number(tx.Nonce); n != nil {
		if !n.IsUint64() {
			return nil, fmt.Errorf("nonce %v exceeds 2^64-1 (EIP-2681)", n)
		}
		msg.Nonce = n.Uint64()
	}
	switch {
	case tx.Sender != nil:
		msg.From = *tx.Sender
	case tx.Key != "":
		key, err := crypto.ToECDSA(common.FromHex(tx.Key))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errFixture, err)
		}
		msg.From = crypto.PubkeyToAddress(key.PublicKey)
	}
	if tx.To != "" {
		to := common.HexToAddress(tx.To)
		msg.To = &to
	}
	value := tx.Value[e.Indexes.Value]
	if v, ok := math.ParseBig256(value); ok {
		msg.Value = word(v)
	} else if value == "0x" {
		msg.Value = new(uint256.Int)
	} else {
		return nil, fmt.Errorf("%w: value %q", errFixture, value)
	}
	if e.Indexes.Data < len(tx.AccessLists) && tx.AccessLists[e.Indexes.Data] != nil {
		msg.AccessList = *tx.AccessLists[e.Indexes.Data]
	}
	price, feeCap, tipCap := number(tx.GasPrice), number(tx.FeeCap), number(tx.TipCap)
	if baseFee != nil {
		if feeCap == nil {
			feeCap = price
		}
		if feeCap == nil {
			feeCap = new(big.Int)
		}
		if tipCap == nil {
			tipCap = feeCap
		}
		if price = new(big.Int).Add(tipCap, baseFee); price.Cmp(feeCap) > 0 {
			price = feeCap
		}
	}
	if price == nil {
		return nil, errors.New("no gas price provided")
	}
	msg.GasPrice, msg.GasFeeCap, msg.GasTipCap, msg.BlobGasFeeCap = word(price), word(feeCap), word(tipCap), word(number(tx.BlobFeeCap))
	for _, a := range tx.AuthList {
		msg.SetCodeAuthorizations = append(msg.SetCodeAuthorizations, types.SetCodeAuthorization{
			ChainID: *word(number(a.ChainID)), Address: a.Address, Nonce: uint64(a.Nonce), V: uint8(a.V), R: *word(number(a.R)), S: *word(number(a.S)),
		})
	}
	return msg, nil
}

// execute executes the transaction of an expectation on our state.
func (f *fixture) execute(t testing.TB, o *our, config *params.ChainConfig, eips []int, e *expectedState) (logs []*types.Log, err error) {
	zero := new(big.Int)
	at := uint64(f.Env.Timestamp)
	merged := config.IsLondon(zero) && f.Env.Random != nil
	block := vm.BlockContext{
		CanTransfer: core.CanTransfer, Transfer: core.Transfer, Coinbase: common.Address(f.Env.Coinbase), BlockNumber: new(big.Int).SetUint64(uint64(f.Env.Number)),
		Time: at, GasLimit: uint64(f.Env.GasLimit), Difficulty: zero,
		GetHash: func(n uint64) common.Hash { return crypto.Keccak256Hash([]byte(new(big.Int).SetUint64(n).String())) },
	}
	if d := number(f.Env.Difficulty); d != nil {
		block.Difficulty = d
	}
	if merged {
		random := common.BigToHash(number(f.Env.Random))
		block.Random, block.Difficulty = &random, zero
	}
	if config.IsLondon(zero) {
		if block.BaseFee = number(f.Env.BaseFee); block.BaseFee == nil {
			block.BaseFee = big.NewInt(10) // of the tool that has filled the tests
		}
	}
	if config.IsCancun(zero, at) && f.Env.ExcessBlobGas != nil {
		block.BlobBaseFee = eip4844.CalcBlobFee(config, &types.Header{Time: at, ExcessBlobGas: (*uint64)(f.Env.ExcessBlobGas)})
	}
	msg, err := f.Transaction.message(e, block.BaseFee)
	if err != nil {
		return nil, err
	}
	if config.IsCancun(zero, at) && len(msg.BlobHashes) > eip4844.MaxBlobsPerBlock(config, at) {
		return nil, errors.New("blob gas exceeds maximum")
	}
	if len(e.TxBytes) > 0 {
		var tx types.Transaction
		if err := tx.UnmarshalBinary(e.TxBytes); err != nil {
			return nil, err
		}
		if _, err := types.Sender(types.LatestSigner(config), &tx); err != nil {
			return nil, err
		}
	}
	evm := vm.NewEVM(block, o.db, config, vm.Config{ExtraEips: eips})
	out := apply(evm, msg, block.GasLimit)
	if out.err != "" {
		o.db.Discard()
		return nil, errors.New(out.err)
	}
	logs = o.db.TakeLogs()
	o.db.AddBalance(block.Coinbase, new(uint256.Int), tracing.BalanceChangeUnspecified) // a reward of nothing touches it
	o.db.Finish(evm.GetRules().IsEIP158)
	return logs, nil
}

// check executes one expectation of a fixture, and says what is wrong, or nothing.
func (f *fixture) check(t testing.TB, fork string, e *expectedState) error {
	config, eips, err := gethtests.GetChainConfig(fork)
	if err != nil {
		return fmt.Errorf("%w: %w", errFixture, err)
	}
	o := newOur(f.Pre)
	before := o.root(t)
	logs, err := f.execute(t, o, config, eips, e)
	root := o.root(t)
	switch {
	case errors.Is(err, errFixture):
		return err
	case err != nil && e.ExpectException == "":
		return fmt.Errorf("the transaction is refused: %w", err)
	case err == nil && e.ExpectException != "":
		return fmt.Errorf("the transaction is executed, expected %s", e.ExpectException)
	case err != nil && root != before:
		return fmt.Errorf("the transaction is refused, and the state root is %v, expected %v as before", root, before)
	case err != nil:
		return nil
	case root != common.Hash(e.Root):
		return fmt.Errorf("the state root is %v, expected %v", root, common.Hash(e.Root))
	}
	if enc, err := rlp.EncodeToBytes(logs); e.Logs != nil && (err != nil || crypto.Keccak256Hash(enc) != common.Hash(*e.Logs)) {
		return fmt.Errorf("the hash of the logs is %v, expected %v: %w", crypto.Keccak256Hash(enc), common.Hash(*e.Logs), err)
	}
	return nil
}

// runs counts what was executed in a folder, by forks, and what is wrong.
type runs struct {
	passed  map[string]int
	skipped map[string]int // rules that go-ethereum does not have
	faults  []string
}

// runFolder executes all fixtures below a folder.
func runFolder(t testing.TB, dir string) *runs {
	r := &runs{passed: map[string]int{}, skipped: map[string]int{}}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var all map[string]fixture
		if err := json.Unmarshal(text, &all); err != nil {
			r.faults = append(r.faults, fmt.Sprintf("%s: %v", path, err))
			return nil
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			f := all[name]
			if len(f.Post) == 0 {
				r.faults = append(r.faults, fmt.Sprintf("%s, %s: nothing is expected: is this a state test?", path, name))
			}
			for _, fork := range slices.Sorted(maps.Keys(f.Post)) {
				for i := range f.Post[fork] {
					switch err := f.check(t, fork, &f.Post[fork][i]); {
					case errors.As(err, new(gethtests.UnsupportedForkError)):
						r.skipped[fork]++
					case err != nil:
						r.faults = append(r.faults, fmt.Sprintf("%s, %s, %s/%d: %v", path, name, fork, i, err))
					default:
						r.passed[fork]++
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestStateTests executes the state tests of a folder that -statetests names, on our state, by the rules of every fork that they name.
func TestStateTests(t *testing.T) {
	if *stateTests == "" {
		t.Skip("-statetests DIR names a folder of GeneralStateTests")
	}
	r := runFolder(t, *stateTests)
	for _, fault := range r.faults {
		t.Error(fault)
	}
	if len(r.passed) == 0 {
		t.Errorf("no state test in %s", *stateTests)
	}
	t.Logf("passed, by forks: %v; by rules that go-ethereum does not have: %v; failed: %d", r.passed, r.skipped, len(r.faults))
}

const ownStateTests = "testdata/statetests"

// The expectations of our own fixtures are those that go-ethereum comes to on its own state, by the rules of every fork.
func TestOurStateTestsAreExecutedAsByGoEthereum(t *testing.T) {
	if *fill {
		fillAll(t, ownStateTests)
	}
	r := runFolder(t, ownStateTests)
	for _, fault := range r.faults {
		t.Error(fault)
	}
	for _, fork := range forks {
		if r.passed[fork] < 5 {
			t.Errorf("only %d state tests by the rules of %s", r.passed[fork], fork)
		}
	}
}

// A runner that finds no fault finds none in these either: they are told.
func TestAStateTestThatIsWrongFails(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(ownStateTests, "storage.json"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for what, change := range map[string]func(f map[string]any, post map[string]any){
		"the state root is":           func(_, post map[string]any) { post["hash"] = common.Hash{1}.Hex() },
		"the hash of the logs is":     func(_, post map[string]any) { post["logs"] = common.Hash{1}.Hex() },
		"the transaction is executed": func(_, post map[string]any) { post["expectException"] = "TransactionException.ANY" },
		"the transaction is refused":  func(f, _ map[string]any) { f["transaction"].(map[string]any)["nonce"] = "0x7" },
		"nothing is expected":         func(f, _ map[string]any) { f["post"] = map[string]any{} },
		"indexes":                     func(_, post map[string]any) { post["indexes"] = map[string]any{"data": 99} },
	} {
		var all map[string]map[string]any
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			post := f["post"].(map[string]any)["Cancun"].([]any)[0].(map[string]any)
			f["post"] = map[string]any{"Cancun": []any{post}}
			change(f, post)
		}
		wrong, err := json.Marshal(all)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "wrong.json"), wrong, 0o600); err != nil {
			t.Fatal(err)
		}
		r := runFolder(t, dir)
		if len(r.faults) == 0 || !strings.Contains(r.faults[0], what) {
			t.Errorf("expected %q, found %v", what, r.faults)
		}
	}
}

// forks are the names of the rules in state tests, of those that networks can have.
var forks = []string{
	"Frontier", "Homestead", "EIP150", "EIP158", "Byzantium", "ConstantinopleFix", "Istanbul", "Berlin", "London", "Merge", "Shanghai", "Cancun", "Prague", "Osaka",
}

// fillAll has go-ethereum execute the fixtures of a folder by the rules of all forks, and writes what they come to into them.
func fillAll(t *testing.T, dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]map[string]any
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		for name, f := range all {
			choices := f["transaction"].(map[string]any)["data"].([]any)
			post := map[string]any{}
			for _, fork := range forks {
				for i := range choices {
					post[fork] = append(asList(post[fork]), map[string]any{"hash": common.Hash{}.Hex(), "logs": common.Hash{}.Hex(), "indexes": map[string]any{"data": i, "gas": 0, "value": 0}})
				}
			}
			f["post"] = post
			enc, err := json.Marshal(f)
			if err != nil {
				t.Fatal(err)
			}
			var test gethtests.StateTest
			if err := test.UnmarshalJSON(enc); err != nil {
				t.Fatalf("%s, %s: %v", file, name, err)
			}
			for _, sub := range test.Subtests() {
				st, root, _, err := test.RunNoVerify(sub, vm.Config{}, false, rawdb.HashScheme)
				e := post[sub.Fork].([]any)[sub.Index].(map[string]any)
				if err != nil {
					e["expectException"] = err.Error()
				} else {
					enc, err := rlp.EncodeToBytes(st.StateDB.Logs())
					if err != nil {
						t.Fatal(err)
					}
					e["hash"], e["logs"] = root.Hex(), crypto.Keccak256Hash(enc).Hex()
				}
				st.Close()
			}
		}
		out, err := json.MarshalIndent(all, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(out, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func asList(v any) []any {
	list, _ := v.([]any)
	return list
}
