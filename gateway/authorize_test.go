package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// tellNothing are the routes with callers whose answers say nothing of the ledgers: facts about nodes and the
// network, and governance, whose tables are public. A new route is here, with a reason, or it has a read.
var tellNothing = map[string]bool{
	"GET /node/nodes": true, "POST /node/snapshots": true, "POST /node/retire": true, "PUT /node/log-level": true, "/gov/": true,
	"POST /gov/submit": true, "GET /gov/proposals": true, "GET /gov/proposals/{id}": true, "GET /gov/constitution": true,
	"GET /gov/constitution/history": true, "POST /gov/simulate": true, "GET /gov/nodes": true, "GET /gov/watch": true,
}

func TestEveryRouteAsksWhetherTheCallerMaySee(t *testing.T) {
	a := startAdmin(t)
	a.app.node.denial = fmt.Errorf("%w: by the test", coco.ErrDenied)
	subjects := map[string]adapter.Subject{
		"GET /node/tx/{txid}": adapter.Transaction, "GET /node/receipt/{txid}": adapter.Receipt,
		"GET /node/digest": adapter.Digest, "GET /node/snapshots": adapter.Measures, "GET /metrics": adapter.Measures,
	}
	for _, w := range []*world{a.app, a.world} {
		c := w.client("Alpha")
		if w == a.world {
			c = a.governor("Alpha")
		}
		for _, f := range w.g.facts() {
			switch {
			case f.handler == nil || tellNothing[f.pattern]:
				if f.reads != nil {
					t.Errorf("%s is said to tell nothing, but reads", f.pattern)
				}
				continue
			case f.reads == nil:
				t.Errorf("%s neither asks the ledgers nor is listed as one that tells nothing of them", f.pattern)
				continue
			}
			method, path, _ := strings.Cut(strings.ReplaceAll(f.pattern, "{txid}", "3.20"), " ")
			w.node.asked = nil
			if got := w.do(c, method, path, nil); got.status != 403 || code(t, got) != "denied" {
				t.Errorf("%s: %d %s, expected 403", f.pattern, got.status, got.body)
			}
			if asked := w.node.asked; len(asked) != 1 || asked[0].Subject != subjects[f.pattern] || w.node.asker.Name != "Alpha" {
				t.Errorf("%s: asked %+v for %v", f.pattern, asked, w.node.asker)
			}
		}
	}
}
