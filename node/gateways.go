package node

import (
	"context"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cocoframework/coco/caller/schemes"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gateway"
)

// gateways are where this node serves clients, and members who govern. The administrative one is nil if there is none.
type gateways struct {
	client, admin *gateway.Gateway
	callers       *schemes.Schemes
}

// newGateways makes the gateways, which do not listen yet.
func (n *node) newGateways() (gs gateways, err error) {
	clock := ledgerClock{n.cfg.Host.Clock, n}
	gs.callers = schemes.New(schemes.Config{Network: n.networkID(), Node: n.self.Identity.ID(), Constitution: n.decided.constitution.Load, Identify: n.Identify, Dial: n.cfg.Host.Net.Dial, Now: clock.Now, After: clock.After, Log: n.log})
	gs.client, err = gateway.New(gateway.Config{
		Node: n, TLS: channel.ClientServerConfig(n.self.Identity, n.certificates.OfService), Clock: n.cfg.Host.Clock, Log: n.log, Trail: n.links.trail,
		Metrics: n.instruments(), LogLevel: n.cfg.LogLevel, Panics: n.links.peers.Panics, Owner: n.self.ActorIn(n.network.Constitution), Retire: n.retirement.Retire, Sealed: n.sealing(), Schemes: gs.callers.All, Pages: gs.callers.Admits, Outages: gs.callers.Outages, Now: clock.Now,
	})
	if err != nil || n.cfg.AdminListen == "" {
		return gs, err
	}
	gs.admin, err = gs.client.NewAdmin(governor{n})
	return gs, err
}

// serve serves both until ctx ends.
func (gs *gateways) serve(ctx context.Context, g *errgroup.Group, at listeners) {
	serve := func(w *gateway.Gateway, l net.Listener) {
		g.Go(func() error { return w.Serve(l) })
		g.Go(func() error {
			<-ctx.Done()
			patience, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return w.Shutdown(patience)
		})
	}
	g.Go(func() error { return gs.callers.Run(ctx) })
	serve(gs.client, at.client)
	if gs.admin != nil {
		serve(gs.admin, at.admin)
	}
}

// reidentify has the callers of all connections identified again, by a new constitution.
func (gs *gateways) reidentify() {
	gs.client.Reidentify()
	if gs.admin != nil {
		gs.admin.Reidentify()
	}
}
