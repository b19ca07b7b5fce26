// Package gateway is what clients reach: it ends TLS inside the enclave, identifies the caller by
// the client certificate or another credential (package caller), bounds what a client may cost, and hands requests to the adapters'
// endpoints and to the routes under /node. Members govern, and owners administer their nodes, at a
// second listener.
//
//	connection ── conns ── TLS ── serve ── route ─┬─ anonymous gate ──────────────── facts about the node
//	                                              └─ caller ── share ── gate ─┬───── facts for callers
//	                                                                          ├───── an adapter's endpoint
//	                                                                          └───── /gov (administrative)
//
// A client's host, network and clock are unknown, so everything here has a limit: connections,
// requests at a time, upgraded connections, header and body sizes, and the time that a peer may
// take to send bytes or to receive them. Waiting for a commit and WebSocket connections have no limit of time.
// Beyond most limits the answer is 503 with Retry-After; docs/http.md lists them.
//
// Answers and errors are types of package wire; docs/http.md lists routes, headers and errors.
//
// Trust: enclave
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/gateway/conns"
	"github.com/cocoframework/coco/gateway/unseal"
	"github.com/cocoframework/coco/internal/budget"
	"github.com/cocoframework/coco/internal/slots"
)

// Gateway serves clients. It is made by New, told by Mount what the adapters offer, run by Serve
// and ended by Shutdown.
//
// Fields: one for each thing that all requests share.
type Gateway struct {
	cfg      Config
	governor Governor // nil unless this is the administrative gateway; see NewAdmin
	server   *http.Server
	origin   *http.CrossOriginProtection

	routes   atomic.Pointer[routes]
	gates    gates
	shares   *shares
	replies  *budget.Budget // of the whole node: the administrative gateway has the same
	builds   *slots.Slots   // one token for each reply that is being built, see build
	conns    *conns.Table
	upgrades upgrades
	tally    *tally
	unseal   *unseal.Server // nil if the node opens no sealed requests
	registry *prometheus.Registry

	generation atomic.Uint64 // of what Node.Identify may answer; see Reidentify
	end        ending
}

// New makes a gateway that serves /node. The adapters' paths answer 503 until Mount.
func New(cfg Config) (*Gateway, error) { return newGateway(cfg, nil, newTally(), nil) }

func newGateway(cfg Config, governor Governor, tally *tally, replies *budget.Budget) (*Gateway, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg, governor: governor, origin: http.NewCrossOriginProtection(), tally: tally, shares: newShares(&cfg.Limits)}
	if g.replies = replies; replies == nil {
		g.replies = budget.New(cfg.MaxReplies)
	}
	g.builds = slots.New(cfg.MaxBuilds, cfg.MaxRequests, cfg.Clock.Elapsed)
	g.upgrades.open = make(map[*upgraded]struct{})
	g.gates.init(&cfg.Limits)
	g.conns = conns.New(cfg.MaxConns)
	g.unseal = g.newUnseal()
	g.end.init()
	var err error
	if g.registry, err = g.newRegistry(); err != nil {
		return nil, fmt.Errorf("%w: gateway: metrics: %w", coco.ErrInvalid, err)
	}
	r, err := g.newRoutes(0, nil)
	if err != nil {
		return nil, err
	}
	g.routes.Store(r)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	g.server = &http.Server{
		Handler:                      g.Handler(),
		TLSConfig:                    cfg.TLS.Clone(), // net/http changes it, and the administrative gateway shares it
		ReadHeaderTimeout:            cfg.HeaderTimeout,
		IdleTimeout:                  cfg.IdleTimeout,
		MaxHeaderBytes:               cfg.MaxHeaderBytes,
		Protocols:                    &protocols,
		DisableGeneralOptionsHandler: true,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 250,
			SendPingTimeout:      30 * time.Second,
			PingTimeout:          15 * time.Second,
			WriteByteTimeout:     cfg.WriteTimeout,
		},
		BaseContext: func(net.Listener) context.Context { return g.end.base },
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connectionKey{}, &connection{below: conns.Of(c)})
		},
		ConnState: g.conns.Note,
		// What net/http logs are clients' doings: handshakes that fail, malformed requests.
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	return g, nil
}

// Mount offers the adapters' endpoints to identified callers, with bodies of at most maxBody
// bytes. A second call replaces what the first one mounted.
func (g *Gateway) Mount(maxBody int64, endpoints ...adapter.Endpoint) error {
	if maxBody < 1 {
		return fmt.Errorf("%w: gateway: bodies of at most %d bytes: expected 1 or more", coco.ErrInvalid, maxBody)
	}
	r, err := g.newRoutes(maxBody, endpoints)
	if err != nil {
		return err
	}
	g.routes.Store(r)
	return nil
}

// SetMaxBody changes how many bytes the bodies of the adapters' endpoints have at most, from the next request on.
func (g *Gateway) SetMaxBody(n int64) { g.routes.Load().maxBody.Store(n) }

// Handler returns what Serve serves, for a server that the caller runs. Its callers are identified
// at every request, not once for a connection.
func (g *Gateway) Handler() http.Handler { return http.HandlerFunc(g.serve) }

// Serve accepts connections until Shutdown, and then returns nil. It closes the listener.
func (g *Gateway) Serve(l net.Listener) error {
	err := g.server.ServeTLS(g.conns.Listen(l, g.cfg.Log), "", "")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("gateway: %w", err)
}

// Reidentify makes every connection's caller be asked for again, and ends the upgraded
// connections whose caller is not what it was. A node calls it when the constitution has changed.
func (g *Gateway) Reidentify() {
	g.generation.Add(1)
	g.upgrades.closeIf(func(u *upgraded) bool {
		caller, err := u.of.Again()
		return err != nil || caller != u.of.Caller
	})
}
