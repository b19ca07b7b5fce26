package node

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/store"
)

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

const (
	// renewEvery is how often a node looks at the dates.
	renewEvery = time.Minute
	// renewAlone is how long before its end a node's certificate is renewed without the network.
	renewAlone = channel.NodeValidity / 12
)

// service is the network's service under its newest certificate.
func (n *node) service() *channel.Service {
	if s := n.renewed.Load(); s != nil {
		return s
	}
	return n.network.Service
}

func (n *node) serviceCertificate() *x509.Certificate { return n.service().Certificate() }

// renew looks after the certificates of this node and of the service.
func (n *node) renew(ctx context.Context) error {
	tick := n.cfg.Host.Clock.NewTicker(renewEvery)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C():
		}
		err := n.renewDue(ctx)
		if err == nil || ctx.Err() != nil {
			last = ""
			continue
		}
		if text := err.Error(); text != last {
			n.log.Warn("a certificate is not renewed yet, trying again", logevent.CertificateNotRenewed.Attr(), "error", err)
			last = text
		}
	}
}

// renewDue renews what is due.
func (n *node) renewDue(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, peer.SubmitPatience)
	defer cancel()
	now := n.cfg.Host.Clock.Now()
	if n.replica.Leads() && channel.Due(n.serviceCertificate(), now) {
		r, err := n.replica.Do(ctx, n.renewService)
		if err != nil {
			return fmt.Errorf("the service's: %w", err)
		}
		n.log.Info("the service's certificate is renewed", "transaction", r.TxID.String(), "ends", n.serviceCertificate().NotAfter)
	}
	recorded, err := n.recordedCertificate()
	if err != nil || !channel.Due(recorded, now) {
		return err
	}
	r := n.forwarder.AskOnce(ctx, peer.Request{Kind: peer.Renew})
	if r.Err == nil {
		n.log.Info("this node's certificate is renewed", "transaction", r.TxID.String())
		return nil
	}
	return fmt.Errorf("this node's: %w", errors.Join(r.Err, n.renewUnrecorded(now)))
}

// recordedCertificate is this node's in the node list.
func (n *node) recordedCertificate() (*x509.Certificate, error) {
	s := n.store.Snapshot()
	defer s.Release()
	rec, err := table.Node(s, n.id.ID())
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(rec.Certificate)
}

// renewUnrecorded has this node vouch for itself if that cannot wait for the network.
func (n *node) renewUnrecorded(now time.Time) error {
	shown := n.id.Certificate().Leaf
	if shown.NotAfter.Sub(now) > renewAlone {
		return nil
	}
	der, err := n.service().Renew(shown, now)
	if err != nil {
		return err
	}
	if err := n.id.SetCertificate(der); err != nil {
		return err
	}
	n.log.Warn("this node's certificate was about to end and the network does not commit its renewal: the node has renewed it by itself", logevent.CertificateSelfRenewed.Attr())
	return nil
}

// renewService renews the service's certificate, on the leader.
func (n *node) renewService(tx *store.Tx) ([]byte, error) {
	now := time.UnixMilli(int64(tx.Time()))
	if cert := n.serviceCertificate(); !channel.Due(cert, now) {
		return nil, notDue(cert, now)
	}
	der, err := n.service().RenewSelf(now)
	if err != nil {
		return nil, err
	}
	return nil, members.RenewService(tx, der)
}

// renewNode renews a node's certificate, on the leader.
func (n *node) renewNode(id coco.NodeID) func(*store.Tx) ([]byte, error) {
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
		der, err := n.service().Renew(cert, now)
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

// followCertificates takes over certificates that were renewed. Older ones than this node has are of
// a past that it is catching up from.
func (n *node) followCertificates(s store.Reader) error {
	der, err := table.ServiceCertificate(s)
	if err != nil {
		return err
	}
	if later(der, n.serviceCertificate()) {
		service, err := n.service().With(der)
		if err != nil {
			return err
		}
		n.renewed.Store(service)
	}
	rec, err := table.Node(s, n.id.ID())
	if err != nil || !later(rec.Certificate, n.id.Certificate().Leaf) {
		return err
	}
	return n.id.SetCertificate(rec.Certificate)
}

func later(der []byte, than *x509.Certificate) bool {
	cert, err := x509.ParseCertificate(der)
	return err == nil && cert.NotAfter.After(than.NotAfter)
}
