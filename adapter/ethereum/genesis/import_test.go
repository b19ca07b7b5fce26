package genesis

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

const upToLondon = `"homesteadBlock":0,"eip150Block":0,"eip155Block":0,"eip158Block":0,"byzantiumBlock":0,"constantinopleBlock":0,"petersburgBlock":0,"istanbulBlock":0,"berlinBlock":0,"londonBlock":0`

func parsed(t *testing.T, config string) *core.Genesis {
	t.Helper()
	g := new(core.Genesis)
	if err := json.Unmarshal([]byte(`{"config":{"chainId":77,`+config+`},"gasLimit":"0x1c9c380","difficulty":"0x0","coinbase":"0x00000000000000000000000000000000000000c0",
		"alloc":{"00000000000000000000000000000000000000aa":{"balance":"0x10","nonce":"0x2","code":"0x6001","storage":{"0x01":"0x02"}}}}`), g); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestAGenesisMakesSettings(t *testing.T) {
	for name, tc := range map[string]struct {
		config, fork, upgrades string
		later                  bool
	}{
		"osaka from block 0":      {config: upToLondon + `,"terminalTotalDifficulty":0,"shanghaiTime":0,"cancunTime":0,"pragueTime":0,"osakaTime":0`, fork: "osaka"},
		"a fork that is past":     {config: upToLondon + `,"terminalTotalDifficulty":0,"shanghaiTime":0,"cancunTime":0,"pragueTime":900,"osakaTime":1000`, fork: "osaka"},
		"osaka in the future":     {config: upToLondon + `,"terminalTotalDifficulty":0,"shanghaiTime":0,"cancunTime":0,"pragueTime":0,"osakaTime":2000`, fork: "prague", upgrades: `{"osaka":2000}`},
		"a proof-of-work chain":   {config: upToLondon, fork: "london"},
		"nothing":                 {config: `"ethash":{}`, fork: "frontier"},
		"the mainnet's schedule":  {config: strings.ReplaceAll(upToLondon, ":0", ":5") + `,"terminalTotalDifficulty":58750000000000000000000,"shanghaiTime":10`, fork: "shanghai", later: true},
		"two forks in the future": {config: upToLondon + `,"terminalTotalDifficulty":0,"shanghaiTime":0,"cancunTime":0,"pragueTime":1500,"osakaTime":2000`, fork: "cancun", upgrades: `{"osaka":2000,"prague":1500}`},
	} {
		t.Run(name, func(t *testing.T) {
			section, err := Section(parsed(t, tc.config), 1000, tc.later)
			if err != nil {
				t.Fatal(err)
			}
			text, err := json.Marshal(section["upgrades"])
			if err != nil {
				t.Fatal(err)
			}
			if section["fork"] != tc.fork || strings.Trim(string(text), "nul") != tc.upgrades {
				t.Fatalf("fork %v, upgrades %s, expected %s, %s", section["fork"], text, tc.fork, tc.upgrades)
			}
			delete(section, "upgrades")
			page, err := TextOf(section)
			if err != nil {
				t.Fatal(err)
			}
			complete, err := settings.CompleteNew(page)
			if err != nil {
				t.Fatal(err)
			}
			s, err := settings.Parse(complete)
			if err != nil {
				t.Fatal(err)
			}
			a := s.Alloc[common.HexToAddress("0xaa")]
			if s.ChainID != 77 || s.GasLimit != 30_000_000 || s.Coinbase != common.HexToAddress("0xc0") || a.Balance.Cmp(big.NewInt(16)) != 0 || a.Nonce != 2 || len(a.Code) != 2 || a.Storage[common.HexToHash("0x01")] != common.HexToHash("0x02") {
				t.Fatalf("%+v", s)
			}
		})
	}
}

func TestAGenesisThatNoNetworkCanFollowIsRefused(t *testing.T) {
	for want, config := range map[string]string{
		"config.londonBlock: expected 0, found 7":                                    strings.Replace(upToLondon, `"londonBlock":0`, `"londonBlock":7`, 1),
		"config.terminalTotalDifficulty: expected 0, found 131072":                   upToLondon + `,"terminalTotalDifficulty":131072,"shanghaiTime":0`,
		"config.daoForkBlock: expected none, found 0":                                upToLondon + `,"daoForkBlock":0,"daoForkSupport":true`,
		"config.amsterdamTime: expected none, found 5":                               upToLondon + `,"terminalTotalDifficulty":0,"shanghaiTime":0,"cancunTime":0,"pragueTime":0,"osakaTime":0,"amsterdamTime":5`,
		"config.berlinBlock: berlin holds in block 0, and a fork before it does not": `"homesteadBlock":0,"eip150Block":0,"eip158Block":0,"byzantiumBlock":0,"constantinopleBlock":0,"petersburgBlock":0,"berlinBlock":0`,
	} {
		if _, err := Section(parsed(t, config), 1000, false); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, expected %q", err, want)
		}
	}
}

func TestADumpIsCheckedLineByLineAndAsAWhole(t *testing.T) {
	const empty = `"codeHash":"0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"`
	account := func(address, balance, more string) string {
		return `{"balance":"` + balance + `","nonce":0,"root":"0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",` + more + `"address":"0x00000000000000000000000000000000000000` + address + `"}` + "\n"
	}
	whole := account("aa", "16", empty+",") + account("bb", "5", `"codeHash":"0x`+strings.Repeat("0", 0)+`","code":"0x6001","storage":{"0x0000000000000000000000000000000000000000000000000000000000000001":"02"},`)
	root := func() string {
		_, err := ReadDump("d", strings.NewReader(`{"root":"0x`+strings.Repeat("11", 32)+`"}`+"\n"+whole))
		if !errors.Is(err, coco.ErrVerify) {
			t.Fatalf("error %v", err)
		}
		text := err.Error()
		at := strings.Index(text, "state root ") + len("state root ")
		return text[at : at+66]
	}()
	head := `{"root":"` + root + `"}` + "\n"
	d, err := ReadDump("d", strings.NewReader(head+whole))
	if err != nil || d.Accounts != 2 || d.Root.Hex() != root {
		t.Fatalf("%+v, %v", d, err)
	}
	if d.Alloc[common.HexToAddress("0xbb")].Storage[common.BigToHash(big.NewInt(1))] != common.BigToHash(big.NewInt(2)) {
		t.Errorf("%+v", d.Alloc)
	}
	for want, text := range map[string]string{
		`d: line 1: expected {"root":"0x…"}`:                                                                                             whole,
		"d: line 0: expected a dump of geth dump --iterative, found nothing":                                                             "",
		"d: line 3: expected an account of geth dump":                                                                                    head + account("aa", "16", empty+",") + "x\n",
		"d: line 2: account 0x00000000000000000000000000000000000000AA: bala":                                                            head + account("aa", "-1", empty+","),
		"d: line 3: account 0x00000000000000000000000000000000000000AA is li":                                                            head + account("aa", "16", empty+",") + account("aa", "16", empty+","),
		"code: expected bytes with the hash 0xc5d2":                                                                                      head + account("aa", "16", empty+`,"code":"0x6001",`),
		"storage.0x0000000000000000000000000000000000000000000000000000000000000001: expected up to 64 hexadecimal digits, found \"zz\"": head + account("aa", "16", empty+`,"storage":{"0x0000000000000000000000000000000000000000000000000000000000000001":"zz"},`),
		"expected the address of the account, found its hash alone":                                                                      head + `{"balance":"1","nonce":0,"key":"0x01"}`,
		"a part of the state is missing":                                                                                                 head + account("aa", "16", empty+","),
	} {
		if _, err := ReadDump("d", strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, expected %q", err, want)
		}
	}
}
