package node_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// A transaction that nobody has sent is the same on every node: not known, and without a receipt.
func TestNodesAgreeOnATransactionBeyondTheEnd(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		id, err := put(n.client(0, 0), "a", "1")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		beyond := coco.TxID{View: id.View, Seqno: id.Seqno + 9000}
		for i := range 3 {
			c := n.client(0, i)
			text, err := get(c, "/node/tx/"+beyond.String())
			var tx wire.Tx
			if err != nil || json.Unmarshal([]byte(text), &tx) != nil || tx.Status != wire.TxUnknown {
				t.Errorf("node %d: %s %v, want status %s", i, text, err, wire.TxUnknown)
			}
			resp, err := c.Get("https://node/node/receipt/" + beyond.String())
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusNotFound {
				t.Errorf("node %d: the receipt of what was never sent: %d, want 404", i, resp.StatusCode)
			}
			if text, err := get(c, fmt.Sprintf("/node/tx/%s", id)); err != nil || json.Unmarshal([]byte(text), &tx) != nil || tx.Status != wire.TxCommitted {
				t.Errorf("node %d: %s %v", i, text, err)
			}
		}
	})
}
