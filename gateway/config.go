package gateway

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/caller"
	"github.com/cocoframework/coco/gateway/cors"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/contain"
	"github.com/cocoframework/coco/internal/trail"
	"github.com/cocoframework/coco/sealed"
	"github.com/cocoframework/coco/wire"
)

// Config is what a gateway needs.
//
// Fields: one for each thing that the node behind it gives.
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
	// Panics counts what a request could not go on with, of the whole node; nil for a count of the gateway's own.
	Panics *contain.Panics
	// LogLevel is the level of Log, which Owner, the organisation that runs this node, may change at the
	// administrative listener; nil if it cannot be changed.
	LogLevel *slog.LevelVar
	// Schemes are the kinds of credentials that count beside client certificates, at the listener for applications only, by the time that Now
	// tells; nil Now means Clock.
	Schemes caller.Schemes
	Now     func() time.Time
	// Pages are the origins whose pages may ask endpoints that have sessions; nil for none.
	Pages cors.Pages
	// Outages says of which issuers of tokens the keys cannot be fetched for long, in sentences, and how many these are; nil if none is asked.
	Outages func() (warning string, issuers int)
	// Trail names requests in the log at level debug; nil if they are not followed.
	Trail *trail.Source
	Owner coco.ActorID
	// Retire takes this node out of its network for good, for Owner at that listener; nil if it cannot.
	Retire func(context.Context) (coco.TxID, error)
	// Sealed opens sealed requests; nil if the node opens none.
	Sealed Sealed
	Limits
}

// Limits bound what clients may cost a node. Zero limits and timeouts take the defaults given beside them.
type Limits struct {
	MaxConns       int           // open connections; 8192
	MaxRequests    int           // requests of callers at a time; 4096
	MaxAnonymous   int           // requests at a time that need no certificate; 256
	MaxStreams     int           // upgraded (WebSocket) connections; 2048
	MaxEvidence    int           // quotes made at a time; 8
	MaxBodies      int           // bytes of requests' bodies at a time; 256 MiB
	MaxReplies     int           // bytes of replies that are being built or wait for their readers, see package budget; 512 MiB
	MaxBuilds      int           // replies of the gateway's own, such as lists and receipts, that are built at a time; others wait; 4
	MaxHeaderBytes int           // 32 KiB
	HeaderTimeout  time.Duration // TLS handshake, and a request's header once it began; 10 s
	BodyTimeout    time.Duration // a request's body; 30 s
	WriteTimeout   time.Duration // for the client to receive what was written, from each write on; 30 s
	IdleTimeout    time.Duration // between requests; 2 min
}

// Sealed is what a node has to open sealed requests; see package sealed/keyring. It has a method more than most for the id that it speaks for.
type Sealed interface {
	Node() coco.NodeID
	// Open opens a message. Nobody is told why it failed.
	Open(message []byte) (*sealed.Opened, error)
	// Announce says which key is in use, with evidence over a nonce.
	Announce(ctx context.Context, nonce []byte) (wire.SealedKey, error)
}

func (c *Config) validate() error {
	if c.Node == nil || c.Clock == nil || c.Log == nil {
		return fmt.Errorf("%w: gateway: Config needs a Node, a Clock and a Log", coco.ErrInvalid)
	}
	if c.TLS == nil || c.TLS.MinVersion < tls.VersionTLS13 || c.TLS.ClientAuth == tls.NoClientCert {
		return fmt.Errorf("%w: gateway: Config.TLS must be of TLS 1.3 and ask for client certificates", coco.ErrInvalid)
	}
	if c.Now == nil {
		c.Now = c.Clock.Now
	}
	if c.Panics == nil {
		c.Panics = contain.New(c.Log)
	}
	return c.Limits.fill()
}

// fill puts the defaults where nothing is set.
func (c *Limits) fill() error {
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
		{&c.MaxReplies, 512 << 20},
		{&c.MaxBuilds, 4},
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
