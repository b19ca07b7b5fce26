package gateway

import (
	"encoding/json"
	"net/http"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// serveSnapshots lists what the network recorded.
func (g *Gateway) serveSnapshots(_ coco.Caller, w http.ResponseWriter, r *http.Request) {
	list, err := g.cfg.Node.Snapshots()
	if list == nil {
		list = []wire.Snapshot{}
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
	text, err := json.Marshal(wire.SnapshotAsked{Seqno: seqno})
	if err != nil {
		g.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", wire.MediaJSON)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(append(text, '\n')) // a client that has gone
}
