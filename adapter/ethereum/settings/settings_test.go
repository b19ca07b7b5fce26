package settings

import (
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco"
)

func TestSettingsHaveDefaults(t *testing.T) {
	s, err := parsePage([]byte(`{"chain_id": "0x1092", "alloc": {
		"0x00000000000000000000000000000000000000aa": {"balance": "0x10", "nonce": 3, "code": "0x6001", "storage": {"0x1": "0x0203"}}}}`))
	must(t, err)
	equal(t, "chain id", s.ChainID, 4242)
	equal(t, "fork", s.Fork, "osaka")
	equal(t, "gas limit", s.GasLimit, defaultGasLimit)
	equal(t, "wait", s.GapWait, defaultGapWait)
	a := s.Alloc[common.BytesToAddress([]byte{0xaa})]
	equal(t, "balance", a.Balance.Int64(), 16)
	equal(t, "nonce", a.Nonce, 3)
	equal(t, "slot", a.Storage[common.BigToHash(big.NewInt(1))], common.BytesToHash([]byte{2, 3}))
	r := s.ChainConfig().Rules(new(big.Int), true, 0)
	if !r.IsOsaka || r.IsAmsterdam {
		t.Fatalf("rules: %+v", r)
	}
}

func TestSettingsAreStrict(t *testing.T) {
	for in, want := range map[string]string{
		``:                                       "EOF",
		`{}`:                                     "chain_id: expected 1 to",
		`{"chain_id": 1, "gaslimit": 3}`:         `unknown field "gaslimit"`,
		`{"chain_id": 1} {}`:                     "something follows",
		`{"chain_id": -1}`:                       "expected a number of 64 bits, found -1",
		`{"chain_id": 1, "fork": "amsterdam"}`:   `fork: expected one of`,
		`{"chain_id": 1, "gas_limit": 10}`:       "gas_limit: expected 5000 to",
		`{"chain_id": 1, "timestamps": "early"}`: `timestamps: expected "real" or "increasing", found "early"`,
		`{"chain_id": 1, "confirmation_blocks": 257}`:                                                                                    "confirmation_blocks: expected 0 to 256, found 257",
		`{"chain_id": 1, "max_tx_bytes": 99999999}`:                                                                                      "max_tx_bytes: expected 256 to",
		`{"chain_id": 1, "min_gas_price": "0x1` + strings.Repeat("0", 64) + `"}`:                                                         "expected a number of 256 bits",
		`{"chain_id": 1, "alloc": {"0x12": {}}}`:                                                                                         "alloc.0x12: expected an address",
		`{"chain_id": 1, "alloc": {"0x00000000000000000000000000000000000000aa": {"x": 1}}}`:                                             "unknown field",
		`{"chain_id": 1, "alloc": {"0x00000000000000000000000000000000000000aa": {"storage": {"1": "0x1"}}}}`:                            "storage.1: expected 0x and up to 64",
		`{"chain_id": 1, "alloc": {"0x00000000000000000000000000000000000000aa": {"storage": {"0x1": "0x1", "0x01": "0x1"}}}}`:           "the slot is listed twice",
		`{"chain_id": 1, "alloc": {"0x00000000000000000000000000000000000000aa": {}, "0x00000000000000000000000000000000000000AA": {}}}`: "the address is listed twice",
		`{"chain_id": 1, "pin": {}}`: "one is missing",
		`{"chain_id": 1, "fork": "cancun", "pin": {"number": 1, "timestamp": 1, "difficulty": 1, "gas_limit": 9000}}`:              "must be left out",
		`{"chain_id": 1, "pin": {"number": 1, "timestamp": 1, "difficulty": 1, "gas_limit": 9000, "base_fee": 1}}`:                 "base_fee: is there from",
		`{"chain_id": 1, "pin": {"number": 19929064, "timestamp": 1716487000, "difficulty": 0, "gas_limit": 9000, "base_fee": 1}}`: "excess_blob_gas: is there from",
		`{"chain_id": 1, "pin": {"number": 9, "timestamp": 1, "difficulty": 1, "gas_limit": 9000, "block_hashes": {"9": "0x00"}}}`: "block_hashes.9: expected an earlier",
		`{"chain_id": 1, "rpc": {"batch_items": -1}}`:     "rpc.batch_items",
		`{"chain_id": 1, "rpc": {"batch_items": "many"}}`: "rpc",
		`{"chain_id": 1, "rpc": {"Batch_items": 7}}`:      `unknown field "rpc.Batch_items"`,
		`{"chain_id": 1, "rpc": 7}`:                       "rpc",
		`{"chain_id": 1, "Fork": "london"}`:               `unknown field "Fork"`,
		`null`:                                            "expected an object",
	} {
		if _, err := Complete([]byte(in)); err == nil || !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", in, err, want)
		}
	}
}

func TestForksAreThoseOfTheMainnet(t *testing.T) {
	// A moment of the mainnet under each fork, as number and time.
	for _, at := range []struct {
		fork   string
		number int64
		time   uint64
	}{
		{"frontier", 1, 0},
		{"homestead", 1_150_000, 0},
		{"tangerine-whistle", 2_463_000, 0},
		{"spurious-dragon", 2_675_000, 0},
		{"byzantium", 4_370_000, 0},
		{"constantinople", 7_280_000, 0},
		{"istanbul", 9_069_000, 0},
		{"berlin", 12_244_000, 0},
		{"london", 12_965_000, 0},
		{"paris", 15_537_394, 1663224179},
		{"shanghai", 17_034_870, 1681338455},
		{"cancun", 19_426_587, 1710338135},
		{"prague", 22_431_084, 1746612311},
		{"osaka", 23_935_694, 1764798551},
	} {
		merged := ForkIndex(at.fork) >= ForkIndex("paris")
		c := (&Settings{ChainID: 1, Fork: at.fork}).ChainConfig()
		got := c.Rules(new(big.Int), merged, 0)
		want := params.MainnetChainConfig.Rules(big.NewInt(at.number), merged, at.time)
		equal(t, at.fork, got, want)
		must(t, c.CheckConfigForkOrder())
	}
	equal(t, "forks", len(Forks), 14)
}

func FuzzSettings(f *testing.F) {
	f.Add([]byte(`{"chain_id": 1, "alloc": {"0x00000000000000000000000000000000000000aa": {"balance": 1, "storage": {"0x1": "0x2"}}}}`))
	f.Add([]byte(`{"chain_id": 1, "pin": {"number": 9, "timestamp": 1, "difficulty": 1, "gas_limit": 9000, "block_hashes": {"8": "0x00"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parsePage(b)
		if err != nil {
			if !errors.Is(err, coco.ErrInvalid) {
				t.Fatalf("%q: %v", b, err)
			}
			return
		}
		s.ChainConfig()
	})
}

// A vote changes what neither the state nor its re-execution depends on, one of the values that a new network may have.
func TestAVoteChangesWhatTheStateSoFarDoesNotDependOn(t *testing.T) {
	complete := func(page string) []byte {
		t.Helper()
		b, err := Complete([]byte(page))
		must(t, err)
		return b
	}
	old := complete(`{"chain_id":7,"gas_limit":30000000}`)
	for page, want := range map[string]string{
		`{"chain_id":7,"gas_limit":30000000}`:                                                           "",
		`{"chain_id":7,"gas_limit":40000000}`:                                                           "",
		`{"chain_id":7,"gas_limit":30000000,"allow_unprotected":true}`:                                  "",
		`{"chain_id":7,"gas_limit":30000000,"rpc":{"log_blocks":5}}`:                                    "",
		`{"chain_id":8,"gas_limit":30000000}`:                                                           "no vote can change chain_id: all transactions so far are signed for it",
		`{"alloc":{"0x00000000000000000000000000000000000000aa":{}},"chain_id":7,"gas_limit":30000000}`: "no vote can change alloc: it is block 0",
		`{"chain_id":7,"fork":"london","gas_limit":30000000}`:                                           "no vote can change fork: the blocks so far",
		// It opens, as an older network may have it, and is not given to one that runs.
		`{"chain_id":7,"gas_limit":5000}`: "gas_limit: expected a whole number from 21000 to 500000000, found 5000",
	} {
		next := complete(page)
		err := errors.Join(Table().CheckChange(2, old, next), Check(next))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: error %v, expected %q", page, err, want)
		}
	}
	change := func(from, to string) []byte { return []byte(strings.Replace(string(old), from, to, 1)) }
	for want, found := range map[string][]byte{
		"gas_limit: expected a whole number":         change(`"gas_limit":30000000`, `"gas_limit":"40000000"`),
		"there is no setting genesis":                change(`"gas_limit"`, `"genesis":{},"gas_limit"`),
		"there is no setting rpc.items":              change(`"batch_items"`, `"items":1,"batch_items"`),
		"rpc.batch_items would be left out":          change(`"batch_items":5000,`, ``),
		"rpc: expected a table, found 7":             change(string(old[strings.Index(string(old), `"rpc":`):len(old)-1]), `"rpc":7`),
		"no vote can change pin":                     change(`"rpc"`, `"pin":{},"rpc"`),
		"timestamps: expected one of real":           change(`"timestamps":"real"`, `"timestamps":"early"`),
		"allow_unprotected: expected true or false":  change(`"allow_unprotected":false`, `"allow_unprotected":1`),
		"coinbase: expected an address":              change(`"coinbase":"0x0000`, `"coinbase":"0x00`),
		"min_gas_price: expected a whole number":     change(`"min_gas_price":0`, `"min_gas_price":2000000000000000000`),
		"confirmation_blocks: expected a whole numb": change(`"confirmation_blocks":12`, `"confirmation_blocks":-1`),
	} {
		if err := Table().CheckChange(2, old, found); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, expected %q", found, err, want)
		}
	}
	// Programs that know rules 1 only would not put it in force.
	if err := Table().CheckChange(1, old, complete(`{"chain_id":7,"gas_limit":40000000}`)); err == nil || !strings.Contains(err.Error(), "from rules 2 on, and this network has rules 1") {
		t.Errorf("by rules 1: %v", err)
	}
	// A ledger of before these settings may get them.
	older := change(`"timestamps":"real"`, `"min_gas_price":0`)
	older = []byte(strings.Replace(string(older), `"min_gas_price":0,`, ``, 1))
	if _, err := Parse(older); err != nil {
		t.Fatal(err)
	}
	must(t, Table().CheckChange(2, older, old))
	// The block of a pinned network says its settings.
	if err := Check(complete(`{"chain_id":1,"pin":{"difficulty":1,"gas_limit":9000,"number":1,"timestamp":1}}`)); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "pinned") {
		t.Errorf("of a pinned network: %v", err)
	}
}

// Each setting of the section is in the table, with the default that a page is completed with.
func TestTheTableListsEverySetting(t *testing.T) {
	listed := map[string]bool{"predeploys": true}
	for _, s := range Table() {
		listed[s.Name] = true
		if s.Meaning == "" || s.Fixed == "" && (s.Values == nil || s.Takes == "") {
			t.Errorf("%s: not all is said: %+v", s.Name, s)
		}
		if s.Values != nil && s.Default != "" {
			must(t, s.Values.Check([]byte(s.Default)))
		}
	}
	for prefix, section := range map[string]any{"": settingsJSON{}, "rpc.": RPC{}} {
		for f := range reflect.TypeOf(section).Fields() {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if !listed[prefix+name] && name != "rpc" {
				t.Errorf("the table does not list %s", prefix+name)
			}
		}
	}
}

// What is stored is complete. Whatever setting it lacks, the program's default does not stand in for it.
func TestSettingsThatAreNotCompleteAreRefused(t *testing.T) {
	for _, page := range []string{
		`{"chain_id":7}`,
		`{"chain_id":1,"pin":{"difficulty":1,"gas_limit":9000,"number":1,"timestamp":1}}`,
	} {
		complete, err := Complete([]byte(page))
		must(t, err)
		again, err := Complete(complete)
		must(t, err)
		equal(t, "completed twice", string(again), string(complete))
		s, err := Parse(complete)
		must(t, err)
		if s.Pin == nil && s.Fork != "osaka" || s.Pin != nil && (s.Fork != "" || !s.AllowUnprotected || s.GasLimit != 9000) {
			t.Errorf("%s: %+v", page, s)
		}
		if _, err := Parse([]byte(page)); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "missing") {
			t.Errorf("%s: error %v, expected that settings are missing", page, err)
		}
		var all, rpc map[string]json.RawMessage
		must(t, json.Unmarshal(complete, &all))
		must(t, json.Unmarshal(all["rpc"], &rpc))
		refused := func(name string) {
			t.Helper()
			text, err := json.Marshal(all)
			must(t, err)
			if _, err := Parse(text); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), name) {
				t.Errorf("without %s: error %v", name, err)
			}
		}
		for name, v := range all {
			if name == "pin" || slices.Contains(added, name) {
				continue
			}
			delete(all, name)
			refused(name)
			if name != "chain_id" { // which is no number then
				all[name] = json.RawMessage("null")
				refused(name)
			}
			all[name] = v
		}
		for name, v := range rpc {
			delete(rpc, name)
			all["rpc"], err = json.Marshal(rpc)
			must(t, err)
			refused(name)
			rpc[name] = json.RawMessage("0")
			all["rpc"], err = json.Marshal(rpc)
			must(t, err)
			refused(name)
			rpc[name] = v
		}
	}
}

// A section that was stored before a setting was added means what the program did then.
func TestASettingThatIsMissingInAnOlderLedgerMeansWhatTheProgramDid(t *testing.T) {
	complete, err := Complete([]byte(`{"chain_id":7}`))
	must(t, err)
	var all map[string]json.RawMessage
	must(t, json.Unmarshal(complete, &all))
	for _, name := range added {
		if all[name] == nil {
			t.Errorf("%s: a new network's section does not name it", name)
		}
		delete(all, name)
	}
	older, err := json.Marshal(all)
	must(t, err)
	s, err := Parse(older)
	must(t, err)
	equal(t, "timestamps", s.Timestamps, Real)
	equal(t, "blocks without transactions", s.ConfirmationBlocks, 0)
}

// A ledger of an earlier release may have nodes of that release, which know no table of policies.
func TestPoliciesAreAttachedWhereTheConstitutionKnowsThem(t *testing.T) {
	complete, err := Complete([]byte(`{"chain_id":7,"visibility":"network"}`))
	must(t, err)
	older := map[string]json.RawMessage{}
	must(t, json.Unmarshal(complete, &older))
	for _, name := range added {
		delete(older, name)
	}
	for _, c := range []struct {
		what, name, value string
		may               bool
	}{
		{what: "an older section"},
		{"one that states them", "policies", "{}", true},
		{"a closed network", "visibility", `"closed"`, true},
	} {
		section := maps.Clone(older)
		if c.name != "" {
			section[c.name] = json.RawMessage(c.value)
		}
		text, err := json.Marshal(section)
		must(t, err)
		s, err := Parse(text)
		must(t, err)
		if err := s.MayAttach(); (err == nil) != c.may || err != nil && !errors.Is(err, coco.ErrDenied) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

// An empty policy ends the deployer's. One with an ABI is a mistake, in the page of a new network as in a vote.
func TestAnEmptyPolicyHasNoABI(t *testing.T) {
	const address = `"0x0000000000000000000000000000000000000001"`
	for value, ok := range map[string]bool{
		`{` + address + `:{"policy":""}}`:          true,
		`{` + address + `:{"policy":"","abi":[]}}`: false,
		`{` + address + `:{"policy":"true"}}`:      true,
		`{` + address + `:{"policy":"maybe"}}`:     false,
	} {
		_, page := Complete([]byte(`{"chain_id":7,"visibility":"closed","policies":` + value + `}`))
		vote := policies{}.Check([]byte(value))
		if (page == nil) != ok || (vote == nil) != ok {
			t.Errorf("%s: a page: %v; a vote: %v; expected both to be accepted: %v", value, page, vote, ok)
		}
		for _, err := range []error{page, vote} {
			if err != nil && !errors.Is(err, coco.ErrInvalid) {
				t.Errorf("%s: %v, expected coco.ErrInvalid", value, err)
			}
		}
	}
}

func TestPredeploysAreStoredAsAccounts(t *testing.T) {
	complete, err := Complete([]byte(`{"chain_id":7,"predeploys":["create2-deployer","multicall3"],"alloc":{"ca11bde05977b3631167028862be2a173976ca11":{"balance":"1"}}}`))
	must(t, err)
	if strings.Contains(string(complete), "predeploys") {
		t.Errorf("stored: %.300s", complete)
	}
	s, err := Parse(complete)
	must(t, err)
	equal(t, "accounts", len(s.Alloc), 2)
	equal(t, "code of the account that the page gives itself", len(s.Alloc[common.HexToAddress("0xcA11bde05977b3631167028862bE2a173976CA11")].Code), 0)
	proxy := s.Alloc[common.HexToAddress("0x4e59b44847b379578588920cA78FbF26c0B4956C")]
	equal(t, "size of the deployer", len(proxy.Code), 69)
	equal(t, "nonce of the deployer", proxy.Nonce, 1)
	for _, page := range []string{`{"chain_id":7,"predeploys":["create3"]}`, `{"chain_id":7,"predeploys":"multicall3"}`} {
		if _, err := Complete([]byte(page)); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "predeploys: expected") {
			t.Errorf("%s: %v", page, err)
		}
	}
}

func TestLimitsOfRPCAreCompleted(t *testing.T) {
	s, err := parsePage([]byte(`{"chain_id":7,"rpc":{"batch_items":7,"log_blocks":0}}`))
	must(t, err)
	want := defaultRPC
	want.BatchItems = 7
	equal(t, "rpc", s.RPC, want)
}

// parsePage reads settings as the page of a new network has them.
func parsePage(page []byte) (*Settings, error) {
	complete, err := Complete(page)
	if err != nil {
		return nil, err
	}
	return Parse(complete)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}
