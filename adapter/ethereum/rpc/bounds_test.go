package rpc

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

// TestANetworkWorksWithEachSettingAtItsBounds sends a payment, and reads it by call, block and receipt.
func TestANetworkWorksWithEachSettingAtItsBounds(t *testing.T) {
	for _, b := range settings.Bounds() {
		for _, value := range []uint64{b.Min, b.Max} {
			t.Run(fmt.Sprintf("%s=%d", b.Name, value), func(t *testing.T) {
				page := map[string]any{}
				name, nested := strings.CutPrefix(b.Name, "rpc.")
				if nested {
					page["rpc"] = map[string]any{name: value}
				} else {
					page[name] = value
				}
				text, err := json.Marshal(map[string]any{"chain_id": testChainID, name: value})
				if nested {
					text, err = json.Marshal(map[string]any{"chain_id": testChainID, "rpc": page["rpc"]})
				}
				must(t, err)
				_, err = settings.CompleteNew(text)
				must(t, err)
				n := &testNode{testChain: newTestChain(t, 1, page)}
				n.env.Submit = n.submit
				to := common.Address{0xaa}
				raw := n.raw(&to, 21_000, nil)
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
				if got := n.Head().Number(); got != 1 {
					t.Errorf("the newest block is %d", got)
				}
			})
		}
		for _, value := range []uint64{b.Min - 1, b.Max + 1} {
			if value == math.MaxUint64 {
				continue
			}
			name, nested := strings.CutPrefix(b.Name, "rpc.")
			text := fmt.Sprintf(`{"chain_id": 1, "%s": %d}`, name, value)
			if nested {
				text = fmt.Sprintf(`{"chain_id": 1, "rpc": {"%s": %d}}`, name, value)
			}
			if _, err := settings.CompleteNew([]byte(text)); (err == nil) != (nested && value == 0) { // 0 is the default
				t.Errorf("%s = %d: %v", b.Name, value, err)
			}
		}
	}
}
