package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/cocoframework/coco"
)

// SnapshotInfo is one snapshot in the answer of GET /node/snapshots.
type SnapshotInfo struct {
	ID     coco.TxID   `json:"transaction_id"` // the last transaction in it
	Index  uint64      `json:"index"`          // of its batch, in the ledger
	Digest coco.Digest `json:"digest"`
	Bytes  uint64      `json:"bytes"` // without the receipt at its end
	// Since is the seqno of the transaction that recorded it.
	Since uint64 `json:"since"`
	Held  bool   `json:"held"` // this node has the file, whole and with its receipt
}

// serveSnapshots lists what the network recorded.
func (g *Gateway) serveSnapshots(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	list, err := g.cfg.Node.Snapshots()
	if list == nil {
		list = []SnapshotInfo{}
	}
	g.answer(w, r, list, err)
}

// serveSnapshotRequest asks for a snapshot, for a member. It is written on all nodes and recorded later: the client
// then finds one of at least this seqno in the list.
func (g *Gateway) serveSnapshotRequest(caller coco.Caller, w http.ResponseWriter, r *http.Request) {
	seqno, err := g.cfg.Node.RequestSnapshot(r.Context(), caller)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	text, err := json.Marshal(struct {
		Seqno uint64 `json:"seqno"`
	}{seqno})
	if err != nil {
		g.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(append(text, '\n')) // a client that has gone
}
