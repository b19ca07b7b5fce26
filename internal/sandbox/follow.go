package sandbox

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/ctxtime"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/reach"
)

// Members change the constitution by their votes, and the service renews its certificate. The supervisor
// learns both from nodes that it has verified, and keeps them in the folder for the other commands.

// followEvery is how often the supervisor asks.
const followEvery = 20 * time.Second

// keepFollowing asks until ctx is done. It does not report that no node answers: the supervision does.
func (s *Sandbox) keepFollowing(ctx context.Context) error {
	for ctxtime.Sleep(ctx, followEvery) {
		if err := s.follow(ctx); err != nil {
			s.opts.Log.Debug("asking for the constitution in force", "error", err)
		}
	}
	return nil
}

func (s *Sandbox) knowsService() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known.trust.Service != nil
}

// follow learns from a node that serves what has changed.
func (s *Sandbox) follow(ctx context.Context) error {
	s.known.asking.Lock()
	defer s.known.asking.Unlock()
	err := fmt.Errorf("%w: no node serves that could be asked for the constitution in force", coco.ErrBusy)
	for _, i := range s.readyNodes() {
		if err = s.followNode(ctx, i); err == nil {
			return nil
		}
	}
	return err
}

func (s *Sandbox) followNode(ctx context.Context, i int) error {
	c, err := s.clientOf(i)
	if err != nil {
		return err
	}
	defer c.Close()
	con, page, err := reach.Constitution(ctx, c)
	if err != nil {
		return err
	}
	service, err := c.Service(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if Renewed(s.known.trust.Service, service) {
		if err := atomicfile.Write(s.lay.ServiceFile(), identity.CertificatePEM(service)); err != nil {
			return err
		}
		s.known.trust.Service = service
	}
	if con.Digest() == s.known.con.Digest() {
		return nil
	}
	if err := atomicfile.Write(s.lay.InForceFile(), page); err != nil {
		return err
	}
	s.known.con, s.known.trust.Code = con, con.Measurements()
	for _, up := range s.front.upstreams {
		up.SetCode(s.known.trust.Code)
	}
	return nil
}

// Renewed reports whether found is a later certificate of the service that is known.
func Renewed(known, found *x509.Certificate) bool {
	return known != nil && bytes.Equal(known.RawSubjectPublicKeyInfo, found.RawSubjectPublicKeyInfo) &&
		bytes.Equal(known.RawSubject, found.RawSubject) && found.CheckSignatureFrom(known) == nil && found.NotAfter.After(known.NotAfter)
}
