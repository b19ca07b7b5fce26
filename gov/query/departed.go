package query

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// Departed knows which certificates organisations had once, and by which proposals they lost them. It tells that to those who
// hold a key under such a certificate, and to nobody else. The zero value is ready; it may be used by several goroutines.
//
// What it costs: each version of the constitution is read once, the newest 10,000 of those that are there at first, and what is kept
// grows with the certificates that were removed.
type Departed struct {
	mu      sync.Mutex
	version uint64    // versions up to this one are read
	lists   [2][]byte // that version's members and participants, encoded
	have    map[certificateID]holder
	gone    map[certificateID]departure
}

// certificateID is the SHA-256 of a certificate.
type certificateID [sha256.Size]byte

// holder is the organisation that a certificate stands for.
type holder struct {
	actor coco.ActorID
	name  string
}

// departure is how a certificate came to stand for nobody.
type departure struct {
	holder
	organisation bool // it was removed, and not a certificate of it alone
	proposal     coco.Digest
	number       uint64
	time         time.Time
}

// Client returns an error of constitution.Identify with the reason why the client's certificates lead to no organisation, as far as
// earlier versions of the constitution say it. The caller MUST have seen proof that the client holds the first certificate's key.
func (d *Departed) Client(r store.Reader, chain []*x509.Certificate, now time.Time, err error) error {
	if err == nil {
		return nil
	}
	stranger, ok := errors.AsType[*constitution.StrangerError](err)
	if !ok || !stranger.Unissued {
		return err
	}
	last, found := d.departure(r, chain, now)
	if !found {
		return err
	}
	return fmt.Errorf("%w: %s", coco.ErrDenied, last.sentence(chain[0]))
}

// Statement is Client for the signer of a statement that was refused.
func (d *Departed) Statement(r store.Reader, raw []byte, now time.Time, err error) error {
	if err == nil {
		return nil
	}
	s, oerr := envelope.Open(raw) // which verifies the signature
	if oerr != nil {
		return err
	}
	return d.Client(r, s.Chain, now, err)
}

func (p departure) sentence(leaf *x509.Certificate) string {
	by := fmt.Sprintf("by proposal #%d (%s) on %s", p.number, p.proposal.Short(), p.time.UTC().Format("2006-01-02 15:04 MST"))
	if p.organisation {
		return fmt.Sprintf("your organisation %q (%s) was removed from the network %s: the certificate %q counts no more", p.name, p.actor.Short(), by, leaf.Subject)
	}
	return fmt.Sprintf("the certificate of your organisation %q (%s) that %q leads to was removed %s: ask the organisation for a certificate under one that the constitution lists", p.name, p.actor.Short(), leaf.Subject, by)
}

// departure finds the certificate under which a chain's first one was issued, among those that were removed.
func (d *Departed) departure(r store.Reader, chain []*x509.Certificate, now time.Time) (departure, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.read(r)
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	for _, cert := range chain {
		p, ok := d.gone[sha256.Sum256(cert.Raw)]
		if !ok {
			continue
		}
		root := x509.NewCertPool()
		root.AddCert(cert)
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: root, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		if err == nil || bytes.Equal(cert.Raw, chain[0].Raw) {
			return p, true
		}
	}
	return departure{}, false
}

// read reads the versions that were made since it was called last.
func (d *Departed) read(r store.Reader) {
	last := table.LastVersion(r)
	if d.have == nil {
		d.have, d.gone = map[certificateID]holder{}, map[certificateID]departure{}
		if last > maxSearched {
			d.version = last - maxSearched
		}
	}
	for d.version < last {
		rec, err := table.Version(r, d.version+1)
		if err != nil || d.follow(r, rec) != nil {
			return // what is not read is not told
		}
		d.version++
	}
}

// follow takes over what a version has changed.
func (d *Departed) follow(r store.Reader, rec table.VersionRecord) error {
	var lists [2][]byte
	for i, key := range []uint64{3, 4} { // see the canonical form of a constitution
		field, _, err := canon.Field(rec.Core, key, canon.Limits{Bytes: constitution.MaxCore})
		if err != nil {
			return err
		}
		lists[i] = bytes.Clone(field)
	}
	if bytes.Equal(lists[0], d.lists[0]) && bytes.Equal(lists[1], d.lists[1]) {
		return nil
	}
	listed, err := constitution.Listed(rec.Core)
	if err != nil {
		return err
	}
	have, stays := map[certificateID]holder{}, map[coco.ActorID]bool{}
	for _, l := range listed {
		id := certificateID(sha256.Sum256(l.DER))
		have[id], stays[l.Actor] = holder{l.Actor, l.Name}, true
		delete(d.gone, id)
	}
	var number uint64
	if p, err := table.Proposal(r, rec.Proposal); err == nil {
		number = p.Number
	}
	for id, was := range d.have {
		if _, still := have[id]; !still {
			d.gone[id] = departure{was, !stays[was.actor], rec.Proposal, number, time.UnixMilli(int64(rec.Time))}
		}
	}
	d.lists, d.have = lists, have
	return nil
}
