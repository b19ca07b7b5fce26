package node

import (
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/resident"
	"github.com/cocoframework/coco/resident/exchange"
	"github.com/cocoframework/coco/resident/folder"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// ResidentDir is the folder of payloads that only nodes of their audience have, on a node's disk. A node of no audience has none.
const ResidentDir = "resident"

// newExchange makes what has payloads of resident rows on the nodes of their audience.
func (n *node) newExchange() (*exchange.Exchange, error) {
	return exchange.New(exchange.Config{
		Log: n.log, Clock: n.cfg.Host.Clock, Disk: n.cfg.Host.Disk, Dir: ResidentDir, Store: n.state.store,
		Keys:      folder.Keys{Current: n.state.keys.Current, Of: n.retention.Of, Held: n.state.keys.Of, Now: func() time.Time { return n.replica.Now() }},
		Retention: func() time.Duration { return n.decided.constitution.Load().Keys.Retention() },
		Self:      n.self.Identity.ID(), Owner: n.self.ActorIn(n.network.Constitution), Nodes: func() map[coco.NodeID]coco.ActorID { return n.decided.directory.Load().owners() },
		Left: func(id coco.ActorID) bool { return slices.Contains(n.decided.constitution.Load().Actors(), id) },
		Name: func(id coco.ActorID) string { return n.decided.constitution.Load().Name(id) }, Send: n.links.peers.Send,
		Now: func() (now time.Time) {
			if n.replica.Age() < 5*time.Second {
				now = n.replica.Now()
			}
			return now
		},
	})
}

// owners returns the trusted nodes with their owners.
func (d *directory) owners() map[coco.NodeID]coco.ActorID {
	owners := make(map[coco.NodeID]coco.ActorID, len(d.addresses))
	for id := range d.addresses {
		owners[id] = d.owner(id)
	}
	return owners
}

// reside lets a ledger have such rows, if it knows them.
func (n *node) reside(l adapter.Ledger) {
	x := n.state.residents
	if r, ok := l.(resident.Resider); ok {
		r.Reside(&resident.Keeper{Here: x.Here, Nodes: n.clientsOf, Keep: x.Keep, Drop: x.Drop, Holders: x.Holders, Get: x.Get})
	}
}

// clientsOf returns the addresses for clients of an audience's nodes.
func (n *node) clientsOf(audience store.Audience) (addresses []string) {
	s := n.state.store.Snapshot()
	defer s.Release()
	trusted, err := table.TrustedNodes(s)
	if err != nil {
		n.log.Error("the list of nodes does not decode", "error", err)
	}
	for _, r := range trusted {
		if audience.Has(r.Owner) && r.ClientAddress != "" {
			addresses = append(addresses, r.ClientAddress)
		}
	}
	slices.Sort(addresses)
	return addresses
}

// residentStatus is what this node knows of payloads; nil if it lacks none.
func (n *node) residentStatus() *wire.Resident {
	s := n.state.residents.Status()
	if s.Lacking == 0 {
		return nil
	}
	return &wire.Resident{Lacking: s.Lacking, Unheld: s.Unheld}
}
