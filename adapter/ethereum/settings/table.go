package settings

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// meanings says of each setting what it is and what it may be, by its name on a page.
var meanings = map[string]string{
	"chain_id":            "what transactions are signed for, 1 to 2^63 − 37; required",
	"fork":                "the rules from block 0 on, one of " + quoted(forkNames()),
	"alloc":               "the state of block 0, by address: `balance`, `nonce`, `code`, `storage`; what an account does not mention is zero",
	"predeploys":          "contracts in block 0 that tools expect at the same address on every chain: `create2-deployer` (0x4e59b44847b379578588920cA78FbF26c0B4956C, of salted `forge script`), `multicall3` (0xcA11bde05977b3631167028862bE2a173976CA11). On a page only: they are stored as accounts of `alloc`. `coco up` has both",
	"gas_limit":           fmt.Sprintf("of a block, %d to %d", minGasLimit, maxGasLimit),
	"call_gas_limit":      "of `eth_call` and `eth_estimateGas`",
	"max_tx_bytes":        fmt.Sprintf("of one transaction, 256 to %d", maxMaxTxBytes),
	"min_gas_price":       "the least tip that a transaction offers, in wei",
	"coinbase":            "receives the fees of those who offer any",
	"allow_unprotected":   "admits transactions without a chain id (before EIP-155), which could be replayed from other chains; with `pin` true",
	"gap_wait_ms":         fmt.Sprintf("how long a transaction waits for lower nonces, 0 to %d", maxGapWait.Milliseconds()),
	"gap_per_sender":      "transactions of one sender that wait so",
	"gap_total":           "of all senders",
	"gap_bytes":           "their size together",
	"timestamps":          "`real` or `increasing`, see [Blocks and states](#blocks-and-states); absent in older ledgers: `real`",
	"confirmation_blocks": fmt.Sprintf("blocks without transactions after the last one with some, 0 to %d; with `pin` 0; absent in older ledgers: 0", maxConfirmationBlocks),
	"pin":                 "executes everything in the context of one block of the mainnet, as `coco bench mainnet` does",
	"rpc":                 "a table: its settings follow, each 1 to 2^30 (0 on a page is the default); [Limits](#limits) says what each bounds",
}

// Table returns the table of all settings in docs/json-rpc.md, in the order of their names, those of rpc last.
func Table() string {
	var b strings.Builder
	b.WriteString("| setting | default | |\n|---|---|---|\n")
	all := defaults(false)
	for _, name := range slices.Sorted(maps.Keys(meanings)) {
		value := "–"
		if v := all[name]; v != nil && name != "rpc" {
			value = "`" + strings.Trim(string(v), `"`) + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, value, meanings[name])
	}
	for _, f := range new(RPC).fields() {
		fmt.Fprintf(&b, "| `rpc.%s` | `%d` | |\n", f.name, f.standard)
	}
	return b.String()
}

func quoted(names []string) string { return "`" + strings.Join(names, "`, `") + "`" }
