package node

import (
	"context"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
)

// openAdmin makes the administrative gateway.
func (n *node) openAdmin() (err error) {
	if n.cfg.AdminListen != "" {
		n.admin, err = n.gateway.NewAdmin(governor{n})
	}
	return err
}

// serveAdmin serves the administrative listener until ctx ends.
func (n *node) serveAdmin(ctx context.Context, g *errgroup.Group, l net.Listener) {
	if n.admin == nil {
		return
	}
	g.Go(func() error { return n.admin.Serve(l) })
	g.Go(func() error {
		<-ctx.Done()
		patience, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return n.admin.Shutdown(patience)
	})
}
