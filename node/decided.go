package node

import (
	"sync/atomic"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/signal"
)

// decided is what members have decided, as far as this node has applied it.
type decided struct {
	constitution atomic.Pointer[constitution.Constitution] // in force
	directory    atomic.Pointer[directory]
	at           atomic.Uint64  // the last seqno that changed the network's own tables
	changed      *signal.Signal // when at does
}

// directory is the list of trusted nodes. It is immutable.
type directory struct {
	addresses   map[coco.NodeID]string
	leaving     map[coco.NodeID]string // retired, and in consensus still: it needs their votes until they are out
	byConsensus map[consensus.ID]coco.NodeID
}

func newDirectory(addresses, leaving map[coco.NodeID]string) *directory {
	d := &directory{addresses: addresses, leaving: leaving, byConsensus: map[consensus.ID]coco.NodeID{}}
	for _, all := range []map[coco.NodeID]string{addresses, leaving} {
		for id := range all {
			d.byConsensus[consensus.IDOf(id)] = id
		}
	}
	return d
}

// listed reports whether a node may send to this one.
func (d *directory) listed(id coco.NodeID) bool {
	_, trusted := d.addresses[id]
	_, leaving := d.leaving[id]
	return trusted || leaving
}
