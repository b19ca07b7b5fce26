package node

import (
	"context"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cocoframework/coco/gateway"
)

// gateways are where this node serves clients, and members who govern. The administrative one is nil if there is none.
type gateways struct{ client, admin *gateway.Gateway }

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
