// Package renew renews the certificates that a network has issued.
//
// Certificates that the network issued renew themselves when two thirds of their life are over. Every node
// looks after its own, and the leader after the service's. A renewal is a transaction: receipts of what a node
// signs name the certificate in its record, and an auditor follows the service's from one to the next. The new
// certificate has the key, the name and the beginning of the old one, so either verifies what was signed under
// the other. Dates go by the ledger's time, as when a node is admitted.
//
// With the commit, new connections show the new certificate; connections that exist keep theirs, and none
// ends.
//
// A network that commits nothing for months cannot renew anything, and once the nodes refuse each other's
// certificates it never will. So a node whose own one is about to end, or has ended, vouches for itself:
// it holds the service's key. That is not recorded, and ends with the next renewal that is.
//
// Trust: enclave
package renew

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/replica"
	"github.com/cocoframework/coco/store"
)

const (
	// renewEvery is how often a node looks at the dates.
	renewEvery = time.Minute
	// renewAlone is how long before its end a node's certificate is renewed without the network.
	renewAlone = channel.NodeValidity / 12
)

// Certificates are the node's own and the service's. It is safe for concurrent use.
type Certificates struct {
	own    *channel.Identity
	newest atomic.Pointer[channel.Service]
}

// New returns the certificate of a node and that of the service.
func New(own *channel.Identity, service *channel.Service) *Certificates {
	c := &Certificates{own: own}
	own.ShowService(service.Certificate())
	c.newest.Store(service)
	return c
}

// Service is the network's service under its newest certificate.
func (c *Certificates) Service() *channel.Service { return c.newest.Load() }

// OfService is the service's newest certificate.
func (c *Certificates) OfService() *x509.Certificate { return c.Service().Certificate() }

// Renewal renews the certificates of this node and of the service.
type Renewal struct {
	*Certificates
	Log     *slog.Logger
	Clock   host.Clock
	Store   *store.Store
	Replica *replica.Replica
	Ask     func(context.Context, peer.Request) adapter.Result // the leader, once
}

// Run renews what is due, until ctx ends.
func (r *Renewal) Run(ctx context.Context) error {
	tick := r.Clock.NewTicker(renewEvery)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
		err := r.due(ctx)
		if err == nil || ctx.Err() != nil {
			last = ""
			continue
		}
		if text := err.Error(); text != last {
			r.Log.Warn("a certificate is not renewed yet, trying again", logevent.CertificateNotRenewed.Attr(), "error", err)
			last = text
		}
	}
}

// due renews what is due.
func (r *Renewal) due(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, peer.SubmitPatience)
	defer cancel()
	now := r.Clock.Now()
	if ledger := r.Replica.Now(); ledger.After(now) { // this host's clock may be wrong, and a node that no quorum reaches knows no other
		now = ledger
	}
	if r.Replica.Leads() && channel.Due(r.OfService(), now) {
		done, err := r.Replica.Do(ctx, r.renewService)
		if err != nil {
			return fmt.Errorf("the service's: %w", err)
		}
		r.Log.Info("the service's certificate is renewed", "transaction", done.TxID.String(), "ends", r.OfService().NotAfter)
	}
	recorded, err := r.recorded()
	if err != nil || !channel.Due(recorded, now) {
		return err
	}
	answer := r.Ask(ctx, peer.Request{Kind: peer.Renew})
	if answer.Err == nil {
		r.Log.Info("this node's certificate is renewed", "transaction", answer.TxID.String())
		return nil
	}
	return fmt.Errorf("this node's: %w", errors.Join(answer.Err, r.unrecorded(now)))
}

// recorded is this node's in the node list.
func (r *Renewal) recorded() (*x509.Certificate, error) {
	s := r.Store.Snapshot()
	defer s.Release()
	rec, err := table.Node(s, r.own.ID())
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(rec.Certificate)
}

// unrecorded has this node vouch for itself if that cannot wait for the network.
func (r *Renewal) unrecorded(now time.Time) error {
	shown := r.own.Certificate().Leaf
	if shown.NotAfter.Sub(now) > renewAlone {
		return nil
	}
	der, err := r.Service().Renew(shown, now)
	if err != nil {
		return err
	}
	if err := r.own.SetCertificate(der); err != nil {
		return err
	}
	r.Log.Warn("this node's certificate was about to end and the network does not commit its renewal: the node has renewed it by itself", logevent.CertificateSelfRenewed.Attr())
	return nil
}

// renewService renews the service's certificate, on the leader.
func (c *Certificates) renewService(tx *store.Tx) ([]byte, error) {
	now := time.UnixMilli(int64(tx.Time()))
	if cert := c.OfService(); !channel.Due(cert, now) {
		return nil, notDue(cert, now)
	}
	der, err := c.Service().RenewSelf(now)
	if err != nil {
		return nil, err
	}
	return nil, members.RenewService(tx, der)
}

// RenewNode renews a node's certificate, on the leader.
func (c *Certificates) RenewNode(id coco.NodeID) func(*store.Tx) ([]byte, error) {
	return func(tx *store.Tx) ([]byte, error) {
		rec, err := table.Node(tx, id)
		if err != nil {
			return nil, err
		}
		cert, err := x509.ParseCertificate(rec.Certificate)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate of node %s: %w", coco.ErrCorrupt, id.Short(), err)
		}
		now := time.UnixMilli(int64(tx.Time()))
		if !channel.Due(cert, now) {
			return nil, notDue(cert, now)
		}
		der, err := c.Service().Renew(cert, now)
		if err != nil {
			return nil, err
		}
		return nil, members.RenewNode(tx, id, der)
	}
}

func notDue(cert *x509.Certificate, now time.Time) error {
	return fmt.Errorf("%w: the certificate of %q ends on %s and the ledger's time is %s: it is not due yet; compare the clocks",
		coco.ErrInvalid, cert.Subject.CommonName, cert.NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
}

// Follow uses certificates that were renewed. Older ones than this node has are of
// a past that it is catching up from.
func (c *Certificates) Follow(s store.Reader) error {
	der, err := table.ServiceCertificate(s)
	if err != nil {
		return err
	}
	if later(der, c.OfService()) {
		service, err := c.Service().With(der)
		if err != nil {
			return err
		}
		c.own.ShowService(service.Certificate())
		c.newest.Store(service)
	}
	rec, err := table.Node(s, c.own.ID())
	if err != nil || !later(rec.Certificate, c.own.Certificate().Leaf) {
		return err
	}
	return c.own.SetCertificate(rec.Certificate)
}

func later(der []byte, than *x509.Certificate) bool {
	cert, err := x509.ParseCertificate(der)
	return err == nil && cert.NotAfter.After(than.NotAfter)
}
