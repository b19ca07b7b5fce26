package epochs

import (
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// rules is the version of the rules from which on nodes that come and go end an epoch.
const rules = 3

// seen is what the driver knows of the nodes and an epoch, so that it does not read all rows of nodes with each tick.
type seen struct {
	epoch   uint64
	nodes   map[coco.NodeID]string // that the network trusted
	changed bool
}

// changed says whether the network's nodes have changed since an epoch was announced, so that another one is due. A node that is gone must not open what is written later, and has the secrets
// of all epochs that were announced while it was there.
func (e *Driver) changed(r store.Reader, rec table.EpochRecord) (bool, error) {
	nodes := e.Nodes()
	e.mu.Lock()
	last := e.seen
	e.mu.Unlock()
	if last.epoch == rec.Epoch && maps.Equal(last.nodes, nodes) {
		return last.changed, nil
	}
	changed, settled, err := nodesChanged(r, rec.Since)
	if err == nil && settled {
		e.mu.Lock()
		e.seen = seen{rec.Epoch, nodes, changed}
		e.mu.Unlock()
	}
	return changed, err
}

// nodesChanged says whether a node was admitted or removed after a transaction. It is settled unless a ceremony is under way or needed: that ends with an epoch by itself.
func nodesChanged(r store.Reader, since uint64) (changed, settled bool, err error) {
	c, err := table.LoadCore(r)
	if err != nil || c.Rules < rules {
		return false, err == nil, err
	}
	all, err := table.NodesOf(r, table.Trusted, table.Retired)
	if err != nil || !slices.ContainsFunc(all, func(n table.NodeRecord) bool { return n.Since > since }) {
		return false, err == nil, err
	}
	last, has, err := table.NewestCeremony(r)
	if err != nil || has && (last.State == table.CeremonyRuns || last.State == table.CeremonyDone) {
		return false, false, err
	}
	needed, err := ceremony.NeedBy(r, c)
	if err != nil || needed != nil {
		return false, false, err
	}
	return true, true, nil
}
