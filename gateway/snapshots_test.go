package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

func (n *fakeNode) Snapshots() ([]wire.Snapshot, error) {
	if n.joining {
		return nil, fmt.Errorf("%w: no state yet", coco.ErrBusy)
	}
	return n.snapshots, nil
}

func (n *fakeNode) RequestSnapshot(_ context.Context, caller coco.Caller) (uint64, error) {
	if n.refusal != nil {
		return 0, n.refusal
	}
	if caller.Name != "Alpha" {
		return 0, fmt.Errorf("%w: a snapshot is being written", coco.ErrBusy)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.requested++
	return 21, nil
}

func TestSnapshotsAreListedForCallers(t *testing.T) {
	w := start(t, nil)
	if got := w.get(w.client(""), "/node/snapshots"); got.status != 401 {
		t.Errorf("without certificate: %d %s", got.status, got.body)
	}
	c := w.client("Alpha")
	if got := w.get(c, "/node/snapshots"); got.status != 200 || got.body != "[]\n" {
		t.Errorf("none: %d %q", got.status, got.body)
	}
	w.node.snapshots = []wire.Snapshot{{ID: coco.TxID{View: 3, Seqno: 17}, Index: 9, Digest: coco.Digest{5}, Bytes: 1000, Since: 18, Held: true}}
	want := `[{"transaction_id":"3.17","index":9,"digest":"05` + strings.Repeat("00", 31) + `","bytes":1000,"since":18,"held":true}]` + "\n"
	if got := w.get(c, "/node/snapshots"); got.status != 200 || got.body != want || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("one: %d %s %q, expected %q", got.status, got.header.Get("Content-Type"), got.body, want)
	}
}

func TestMembersAskForASnapshot(t *testing.T) {
	w := startAdmin(t)
	for _, tc := range []struct {
		caller, body string
		status       int
	}{
		{"Alpha", `{"seqno":21}` + "\n", http.StatusAccepted},
		{"Beta", "busy", http.StatusServiceUnavailable},
		{"Guest", "denied", http.StatusForbidden},
		{"", "unauthenticated", http.StatusUnauthorized},
	} {
		c := w.client("")
		if tc.caller != "" {
			c = w.governor(tc.caller)
		}
		got := w.do(c, "POST", "/node/snapshots", nil)
		if got.status != tc.status || !strings.Contains(got.body, tc.body) {
			t.Errorf("%s: %d %q, expected %d %q", tc.caller, got.status, got.body, tc.status, tc.body)
		}
	}
	if got := w.do(w.governor("Alpha"), "POST", "/node/snapshots", strings.NewReader("x")); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("with a body: %d %q", got.status, got.body)
	}
}
