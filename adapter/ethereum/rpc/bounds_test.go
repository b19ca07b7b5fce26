package rpc

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/adapter/setting"
)

// works sends a payment, and reads it by call, block and receipt.
func (n *testNode) works(t *testing.T, nonce uint64) {
	t.Helper()
	if n.Settings().Closed() {
		n.link(0, testCaller)
	}
	to, price := common.Address{0xaa}, n.Settings().MinGasPrice
	tx, err := types.SignNewTx(n.keys[0], n.Signer(), &types.LegacyTx{Nonce: nonce, GasPrice: price, Gas: 21_000, To: &to})
	must(t, err)
	enc, err := tx.MarshalBinary()
	must(t, err)
	raw := hexutil.Encode(enc)
	for _, call := range []string{
		fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["%s"]}`, raw),
		fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"%s","gas":"0x5208"},"latest"]}`, to),
		fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"eth_estimateGas","params":[{"to":"%s"}]}`, to),
		`{"jsonrpc":"2.0","id":1,"method":"eth_getBlockByNumber","params":["latest",true]}`,
		`{"jsonrpc":"2.0","id":1,"method":"eth_getBlockReceipts","params":["latest"]}`,
		`{"jsonrpc":"2.0","id":1,"method":"eth_getLogs","params":[{}]}`,
	} {
		var reply struct{ Result, Error json.RawMessage }
		must(t, json.Unmarshal(n.post(call).Body.Bytes(), &reply))
		if reply.Error != nil || len(reply.Result) == 0 || string(reply.Result) == "null" {
			t.Errorf("%.60s: %s %s", call, reply.Error, reply.Result)
		}
	}
	if got := n.Head().Number(); got != nonce+1 {
		t.Errorf("the newest block is %d", got)
	}
}

// richChain is a chain whose first account pays whatever a transaction may cost.
func richChain(t *testing.T, page map[string]any) *testNode {
	t.Helper()
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("account 0")))
	must(t, err)
	all := maps.Clone(page)
	if all == nil {
		all = map[string]any{}
	}
	all["alloc"] = map[string]any{crypto.PubkeyToAddress(key.PublicKey).Hex(): map[string]any{"balance": "1000000000000000000000000"}}
	n := &testNode{testChain: newTestChain(t, 1, all)}
	n.env.Submit = n.submit
	return n
}

// A network works with each of its settings at its ends, whether it was founded so or a vote has changed it.
func TestANetworkWorksWithEachSettingAtItsBounds(t *testing.T) {
	for _, s := range settings.Table() {
		if s.Values == nil || s.Name == "chain_id" {
			continue
		}
		for _, value := range s.Values.Ends() {
			name, nested := strings.CutPrefix(s.Name, "rpc.")
			page := map[string]any{name: json.RawMessage(value)}
			if nested {
				page = map[string]any{"rpc": page}
			}
			if s.Name == "fork" && settings.ForkIndex(strings.Trim(value, `"`)) < settings.ForkIndex("spurious-dragon") {
				page["allow_unprotected"] = true // its transactions name no chain
			}
			if s.Name == "development" {
				page["visibility"] = "network" // no other one is taken with it
			}
			t.Run(fmt.Sprintf("%s=%s", s.Name, value), func(t *testing.T) {
				text, err := json.Marshal(page)
				must(t, err)
				_, err = settings.CompleteNew([]byte(`{"chain_id":1,` + string(text)[1:]))
				must(t, err)
				richChain(t, page).works(t, 0)
			})
			if s.Fixed != "" {
				continue
			}
			t.Run(fmt.Sprintf("%s is set to %s", s.Name, value), func(t *testing.T) {
				n := richChain(t, nil)
				n.works(t, 0)
				was := n.env.Settings
				next := with(t, was, s.Name, value)
				must(t, settings.Table().CheckChange(3, was, next))
				must(t, settings.Check(next))
				must(t, n.Configure(next))
				n.works(t, 1)
				must(t, n.Configure(was))
				n.works(t, 2)
			})
		}
		r, ok := s.Values.(setting.Range)
		if !ok {
			continue
		}
		one := big.NewInt(1)
		for _, value := range []*big.Int{new(big.Int).Sub(new(big.Int).SetUint64(r.Min), one), new(big.Int).Add(new(big.Int).SetUint64(r.Max), one)} {
			name, nested := strings.CutPrefix(s.Name, "rpc.")
			text := fmt.Sprintf(`{"chain_id": 1, "%s": %d}`, name, value)
			if nested {
				text = fmt.Sprintf(`{"chain_id": 1, "rpc": {"%s": %d}}`, name, value)
			}
			if _, err := settings.CompleteNew([]byte(text)); (err == nil) != (nested && value.Sign() == 0) { // 0 is the default
				t.Errorf("%s = %d: %v", s.Name, value, err)
			}
		}
	}
}

// with returns a section of settings with another value of one of them.
func with(t *testing.T, section []byte, name, value string) []byte {
	t.Helper()
	var all map[string]json.RawMessage
	must(t, json.Unmarshal(section, &all))
	table, rest, nested := strings.Cut(name, ".")
	if nested {
		value = string(with(t, all[table], rest, value))
	}
	all[table] = json.RawMessage(value)
	out, err := json.Marshal(all)
	must(t, err)
	return out
}
