// Package gateway is what clients reach: it ends TLS inside the enclave, identifies the caller by
// the client certificate, bounds what a client may cost, and hands requests to the adapters'
// endpoints and to the routes under /node. Members govern, and owners administer their nodes, at a
// second listener.
//
// A client's host, network and clock are unknown, so everything here has a limit: connections,
// requests at a time, upgraded connections, header and body sizes, and the time that a peer may
// take to send or to take the next bytes. Waiting for a commit and WebSocket connections may last.
// Beyond a limit the answer is 503 with Retry-After. docs/http.md lists routes, headers and errors.
//
// Trust: enclave
package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/host"
)

// Config is what a gateway needs. Zero limits and timeouts take the defaults given beside them.
type Config struct {
	Node Node
	// TLS is the client listener's configuration (channel.ClientServerConfig): TLS 1.3, asking
	// for a client certificate without requiring one.
	TLS   *tls.Config
	Clock host.Clock
	Log   *slog.Logger
	// Metrics are the node's, shown with the gateway's own; nil if there are none. No label may name
	// an account, a key or a contract. Collect is called concurrently.
	Metrics prometheus.Collector
	// LogLevel is the level of Log, which Owner, the organisation that runs this node, may change at the
	// administrative listener; nil if it cannot be changed.
	LogLevel *slog.LevelVar
	Owner    coco.ActorID
	// Retire takes this node out of its network for good, for Owner at that listener; nil if it cannot.
	Retire func(context.Context) (coco.TxID, error)

	MaxConns       int           // open connections; 8192
	MaxRequests    int           // requests of callers at a time; 4096
	MaxAnonymous   int           // requests at a time that need no certificate; 256
	MaxStreams     int           // upgraded (WebSocket) connections; 2048
	MaxEvidence    int           // quotes made at a time; 8
	MaxBodies      int           // bytes of requests' bodies at a time; 256 MiB
	MaxAnswers     int           // bytes of large answers that wait for their readers; 256 MiB
	MaxHeaderBytes int           // 32 KiB
	HeaderTimeout  time.Duration // TLS handshake, and a request's header once it began; 10 s
	BodyTimeout    time.Duration // a request's body; 30 s
	WriteTimeout   time.Duration // for the client to take what was written, from each write on; 30 s
	IdleTimeout    time.Duration // between requests; 2 min
}

func (c *Config) validate() error {
	if c.Node == nil || c.Clock == nil || c.Log == nil {
		return fmt.Errorf("%w: gateway: Config needs a Node, a Clock and a Log", coco.ErrInvalid)
	}
	if c.TLS == nil || c.TLS.MinVersion < tls.VersionTLS13 || c.TLS.ClientAuth == tls.NoClientCert {
		return fmt.Errorf("%w: gateway: Config.TLS must be of TLS 1.3 and ask for client certificates", coco.ErrInvalid)
	}
	for _, l := range []struct {
		limit *int
		value int
	}{
		{&c.MaxConns, 8192},
		{&c.MaxRequests, 4096},
		{&c.MaxAnonymous, 256},
		{&c.MaxStreams, 2048},
		{&c.MaxEvidence, 8},
		{&c.MaxBodies, 256 << 20},
		{&c.MaxAnswers, 256 << 20},
		{&c.MaxHeaderBytes, 32 << 10},
	} {
		if *l.limit < 0 {
			return fmt.Errorf("%w: gateway: a limit of %d: expected 1 or more, or 0 for the default", coco.ErrInvalid, *l.limit)
		}
		if *l.limit == 0 {
			*l.limit = l.value
		}
	}
	for _, t := range []struct {
		timeout *time.Duration
		value   time.Duration
	}{
		{&c.HeaderTimeout, 10 * time.Second},
		{&c.BodyTimeout, 30 * time.Second},
		{&c.WriteTimeout, 30 * time.Second},
		{&c.IdleTimeout, 2 * time.Minute},
	} {
		if *t.timeout < 0 {
			return fmt.Errorf("%w: gateway: a timeout of %v: expected a positive one, or 0 for the default", coco.ErrInvalid, *t.timeout)
		}
		if *t.timeout == 0 {
			*t.timeout = t.value
		}
	}
	return nil
}

// Gateway serves clients. It is made by New, told by Mount what the adapters offer, run by Serve
// and ended by Shutdown.
type Gateway struct {
	cfg      Config
	governor Governor // nil unless this is the administrative gateway; see NewAdmin
	server   *http.Server
	origin   *http.CrossOriginProtection

	routes    atomic.Pointer[routes]
	requests  gate // of callers
	anonymous gate // without a certificate, or before it is looked at
	evidence  gate // those of anonymous that make a quote
	digests   gate // those of requests that read the whole state
	streams   gate // upgraded connections
	shares    *shares
	conns     conns
	tally     *tally
	registry  *prometheus.Registry

	generation atomic.Uint64 // of what Node.Identify may answer; see Reidentify

	leaving    atomic.Bool     // connections end with their next answer
	draining   context.Context // done once Shutdown begins: ends upgraded connections
	drain      context.CancelFunc
	base       context.Context // every request's; done once Shutdown's patience ends
	cancelBase context.CancelFunc

	mu       sync.Mutex
	upgraded map[*upgraded]struct{} // under mu
}

// New makes a gateway that serves /node. The adapters' paths answer 503 until Mount.
func New(cfg Config) (*Gateway, error) { return newGateway(cfg, nil, newTally()) }

func newGateway(cfg Config, governor Governor, tally *tally) (*Gateway, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	g := &Gateway{cfg: cfg, governor: governor, origin: http.NewCrossOriginProtection(), upgraded: make(map[*upgraded]struct{}), tally: tally, shares: newShares(&cfg)}
	g.requests.init(cfg.MaxRequests)
	g.anonymous.init(cfg.MaxAnonymous)
	g.evidence.init(cfg.MaxEvidence)
	g.digests.init(1)
	g.streams.init(cfg.MaxStreams)
	g.conns.max, g.conns.open = cfg.MaxConns, make(map[*conn]struct{})
	g.base, g.cancelBase = context.WithCancel(context.Background())
	g.draining, g.drain = context.WithCancel(g.base)
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
		BaseContext: func(net.Listener) context.Context { return g.base },
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, connectionKey{}, new(connection))
		},
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

// Handler returns what Serve serves, for a server that the caller runs. Its callers are identified
// at every request, not once for a connection.
func (g *Gateway) Handler() http.Handler { return http.HandlerFunc(g.serve) }

// Serve accepts connections until Shutdown, and then returns nil. It closes the listener.
func (g *Gateway) Serve(l net.Listener) error {
	err := g.server.ServeTLS(&listener{Listener: l, conns: &g.conns, log: g.cfg.Log}, "", "")
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("gateway: %w", err)
}

// flushPatience is how long Shutdown waits for answers to leave whose handlers have returned, and
// for connections that have not sent a request.
const flushPatience = time.Second

// lameDuck is how long Shutdown refuses requests before it closes idle connections. A client whose
// request crosses the closing of its connection cannot know what became of it; one who is told to go
// elsewhere can.
const lameDuck = 200 * time.Millisecond

// Leave says that Shutdown follows: from now on each connection is closed with its next answer, and there
// are no new upgraded ones. Requests are served as before.
func (g *Gateway) Leave() { g.leaving.Store(true) }

// Shutdown ends the gateway. New requests are refused at once, upgraded connections are told to
// end by their request's context, and running requests are waited for. Once ctx is done whatever
// is left is cancelled and its connections are closed; Shutdown returns when every handler has
// returned.
func (g *Gateway) Shutdown(ctx context.Context) error {
	gates := []*gate{&g.requests, &g.anonymous, &g.streams}
	for _, gate := range gates {
		gate.close()
	}
	g.Leave()
	g.drain()
	if g.conns.any() {
		select {
		case <-ctx.Done():
		case <-g.cfg.Clock.After(lameDuck):
		}
	}
	flushed := make(chan struct{})
	flushing, stopFlushing := context.WithCancel(ctx)
	defer stopFlushing()
	go func() {
		defer close(flushed)
		_ = g.server.Shutdown(flushing) // closes the listener first, then idle connections
	}()
	var err error
	for _, gate := range gates {
		select {
		case <-gate.drained:
		case <-ctx.Done():
			err = fmt.Errorf("gateway: shutdown: requests were cut off: %w", ctx.Err())
		}
	}
	select {
	case <-flushed:
	case <-g.cfg.Clock.After(flushPatience):
	case <-ctx.Done():
	}
	stopFlushing()
	<-flushed
	g.cancelBase()
	g.conns.closeAll()
	_ = g.server.Close() // their errors are nobody's
	g.closeUpgraded(func(*upgraded) bool { return true })
	for _, gate := range gates {
		<-gate.drained
	}
	return err
}

// Reidentify makes every connection's caller be asked for again, and ends the upgraded
// connections whose caller is not what it was. A node calls it when the constitution has changed.
func (g *Gateway) Reidentify() {
	g.generation.Add(1)
	g.closeUpgraded(func(u *upgraded) bool {
		caller, err := g.cfg.Node.Identify(u.chain)
		return err != nil || caller != u.caller
	})
}
