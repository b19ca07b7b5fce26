package node_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/internal/openapitest"
	"github.com/cocoframework/coco/sealed"
	"github.com/cocoframework/coco/wire"
)

func TestANodesAnswersAreAsItsOpenAPIDocumentSays(t *testing.T) {
	simulate(t, 1, func(t *testing.T, n *network) {
		n.open()
		client := n.client(0, 0)
		id, err := put(client, "a", "b")
		if err != nil {
			t.Fatal(err)
		}
		doc := openapitest.New(t, client, "https://node")
		for _, path := range []string{
			"/livez", "/readyz?verbose", "/version", "/metrics", "/openapi.json",
			"/node/status", "/node/constitution", "/node/service", "/node/evidence?nonce=00112233445566778899aabbccddeeff",
			"/node/sealed-key?nonce=00112233445566778899aabbccddeeff", "/node/nodes", "/node/tx/" + id.String(), "/node/receipt/" + id.String(), "/node/digest", "/node/snapshots",
			"/app/kv/a", "/app/kv/a?history", "/app/kv?keys",
		} {
			doc.Ask(client, 200, "GET", path, "")
		}
		doc.Ask(client, 200, "POST", "/app/kv", `[{"op":"delete","key":"YQ=="}]`, "Content-Type", "application/json")
		doc.Ask(client, 201, "PUT", "/app/kv/a", "c", "Content-Type", "text/plain")
		doc.Ask(client, 204, "DELETE", "/app/kv/a", "")
		doc.Ask(client, 404, "GET", "/app/kv/a", "")
		doc.Ask(client, 404, "GET", "/node/receipt/99.9999", "")
		doc.Ask(client, 403, "POST", "/sealed", "nobody has sealed this", "Content-Type", sealed.MediaType)
		// What is answered well there is of a caller with a token, whose issuer members have voted for.
		if rest := doc.Unanswered(); !slices.Equal(rest, []string{"POST /sealed"}) {
			t.Errorf("no request was answered well for %q", rest)
		}
	})
}

func TestGovernancesAnswersAreAsItsOpenAPIDocumentSays(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		decided := n.decide(action.Action{Kind: action.Set, Args: action.Args{Setting: "limits.queue", Value: "500"}})
		n.propose(n.Members[0], 0, time.Hour, action.Action{Kind: action.Set, Args: action.Args{Setting: "limits.queue", Value: "600"}})
		actions, err := action.Format([]action.Action{{Kind: action.Set, Args: action.Args{Setting: "limits.queue", Value: "700"}}})
		if err != nil {
			t.Fatal(err)
		}
		officer := n.officer(n.Members[0], 0)
		doc := openapitest.New(t, officer, "https://node")
		for _, path := range []string{
			"/livez", "/readyz", "/openapi.json", "/node/status", "/node/constitution", "/node/service", "/node/evidence?nonce=00112233445566778899aabbccddeeff",
			"/node/snapshots", "/gov/proposals", "/gov/proposals?state=open&limit=1", "/gov/proposals/" + decided.ID.String(), "/gov/proposals/2", "/gov/constitution",
			"/gov/constitution?version=1", "/gov/constitution/history", "/gov/nodes", "/gov/watch?after=0&wait=1",
		} {
			doc.Ask(officer, 200, "GET", path, "")
		}
		doc.Ask(officer, 200, "POST", "/gov/simulate", string(actions), "Content-Type", wire.MediaActions)
		doc.Ask(officer, 400, "POST", "/gov/simulate", "x", "Content-Type", wire.MediaActions)
		doc.Ask(officer, 400, "POST", "/gov/submit", "x", "Content-Type", wire.MediaEnvelope)
		doc.Ask(officer, 404, "GET", "/gov/proposals/9", "")
		doc.Ask(officer, 202, "POST", "/node/snapshots", "")
		doc.Ask(officer, 200, "POST", "/node/retire", "") // it ends with its answer
	})
}
