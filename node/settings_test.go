package node_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/node"
)

// A constitution is what is stored. A setting that it lacks would mean the default of whichever program reads it, which
// then executes, or opens, an old ledger by rules of its own.
func TestANodeFillsNoSettingsIntoAConstitution(t *testing.T) {
	for missing, settings := range map[string]map[string]map[string]any{
		"fork": {"ethereum": {
			"chain_id": 7, "alloc": map[string]any{}, "allow_unprotected": false, "call_gas_limit": 50_000_000, "gap_bytes": 1, "gap_per_sender": 1,
			"gap_total": 1, "gap_wait_ms": 1, "gas_limit": 100_000_000, "max_tx_bytes": 131072, "min_gas_price": 0,
			"coinbase": "0x0000000000000000000000000000000000000000",
		}},
		"max_key_bytes": {"kv": {"max_value_bytes": 100}},
	} {
		t.Run(missing, func(t *testing.T) {
			simulate(t, 1, func(t *testing.T, n *network) {
				adapters := []adapter.Adapter{kv.Adapter{}, ethereum.New()}
				n.Alter = func(c *node.Config) { c.Adapters = adapters }
				c := n.Constitution.Draft()
				c.Adapters = settings
				if err := c.Complete(); err != nil {
					t.Fatal(err)
				}
				r := n.Start(0, func(cfg *node.Config) { cfg.Genesis = c })
				select {
				case <-r.Done():
				case <-time.After(time.Minute):
					t.Fatal("the node runs")
				}
				if err := r.Err(); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), missing+" is missing") {
					t.Errorf("%v: error %v, expected that %s is missing", settings, err, missing)
				}
				n.Forget(0)

				page, err := constitution.ParseNew(c.TOML(), adapter.Completer(adapters))
				if err != nil {
					t.Fatal(err)
				}
				again, err := constitution.Parse(page.TOML())
				if err != nil || again.Digest() != page.Digest() || page.Digest() == c.Digest() {
					t.Errorf("%v: completed, its page has digest %s, and read again %s (%v)", settings, page.Digest(), again.Digest(), err)
				}
			})
		})
	}
}
