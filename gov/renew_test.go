package gov

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/store"
)

// renewed makes the certificates that a year later would be right.
func (n *network) renewed(rec NodeRecord) (node, service []byte) {
	n.t.Helper()
	old, err := x509.ParseCertificate(rec.Certificate)
	if err != nil {
		n.t.Fatal(err)
	}
	if node, err = n.service.Renew(old, n.now); err != nil {
		n.t.Fatal(err)
	}
	if service, err = n.service.RenewSelf(n.now); err != nil {
		n.t.Fatal(err)
	}
	return node, service
}

func TestRenewalsAreFollowedByAnAuditor(t *testing.T) {
	n := newNetwork(t)
	a := n.genesis()
	b := n.node(n.members[1], "b:1")
	n.admit(b)
	n.now = n.now.Add(300 * 24 * time.Hour)
	node, service := n.renewed(b)
	for _, do := range []func(*store.Tx) error{
		func(tx *store.Tx) error { return RenewService(tx, service) },
		func(tx *store.Tx) error { return RenewNode(tx, b.ID, node) },
	} {
		if err := n.transact(do); err != nil {
			t.Fatal(err)
		}
	}
	s := n.store.Snapshot()
	defer s.Release()
	rec, err := Node(s, b.ID)
	if err != nil || string(rec.Certificate) != string(node) || rec.Since != 2 || rec.State != Trusted {
		t.Errorf("the record is %+v, %v", rec, err)
	}
	for name, known := range map[string][]byte{"the old certificate": n.service.Certificate().Raw, "the new one": service} {
		auditor := NewAuditor(AuditorConfig{Service: known, Verifiers: verifiers})
		if err := audit(auditor, n.batches(a, a, a, b), false); err != nil {
			t.Errorf("under %s: %v", name, err)
		}
		if string(auditor.ServiceCertificate()) != string(service) {
			t.Errorf("under %s: the auditor does not know the new one", name)
		}
	}
	x, err1 := NetworkID(n.service.Certificate().Raw)
	y, err2 := NetworkID(service)
	if err1 != nil || err2 != nil || x != y || x == (coco.Digest{}) {
		t.Errorf("the network is %s, then %s, %v, %v", x, y, err1, err2)
	}
}

func TestARenewalChangesNothingButTheEnd(t *testing.T) {
	n := newNetwork(t)
	a := n.genesis()
	b := n.node(n.members[1], "b:1")
	n.admit(b)
	gone := n.node(n.members[2], "c:1")
	n.admit(gone)
	if err := n.transact(func(tx *store.Tx) error { return RetireNode(tx, gone.ID) }); err != nil {
		t.Fatal(err)
	}
	earlier := n.now
	n.now = n.now.Add(300 * 24 * time.Hour)
	node, service := n.renewed(b)
	goneAgain, _ := n.renewed(gone)
	other, err := channel.NewService("test", true, n.now)
	if err != nil {
		t.Fatal(err)
	}
	endorsed := func(s *channel.Service, address string, now time.Time) []byte {
		der, err := s.Endorse(b.Key, b.ID, []string{address}, true, now)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	set := func(rec NodeRecord, certificate []byte) NodeRecord { rec.Certificate = certificate; return rec }
	stored := func() NodeRecord { // as the network has it
		s := n.store.Snapshot()
		defer s.Release()
		rec, err := Node(s, b.ID)
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}()
	for name, c := range map[string]struct {
		rec         *NodeRecord // or
		certificate []byte      // the service's
		want        string
	}{
		"a node's, by another service": {rec: ptr(set(stored, endorsed(other, "b:1", n.now))), want: "not issued by this network's service"},
		"a node's, for another key":    {rec: ptr(set(stored, a.Certificate)), want: "another key"},
		"a node's, of a later begin":   {rec: ptr(set(stored, endorsed(n.service, "b:1", n.now))), want: "it begins on"},
		"a node's, for another name":   {rec: ptr(set(stored, endorsed(n.service, "d:1", earlier))), want: "other addresses"},
		"a node's, not later":          {rec: ptr(set(stored, stored.Certificate)), want: "expected later"},
		"a retired node's":             {rec: ptr(set(gone, goneAgain)), want: "is retired"},
		"another service's":            {certificate: other.Certificate().Raw, want: "another key"},
		"the service's, not later":     {certificate: n.service.Certificate().Raw, want: "expected later"},
		"a node's as the service's":    {certificate: node, want: "does not issue itself"},
		"no certificate":               {certificate: []byte("x"), want: "not X.509"},
		"the service's, as it must be": {certificate: service},
		"a node's, as it must be":      {rec: ptr(set(stored, node))},
	} {
		// What the network refuses is written past its checks, for the auditor.
		var err error
		write := func(tx *store.Tx) { tx.Put(ServiceTable, []byte(certificateKey), c.certificate) }
		if c.rec != nil {
			err = n.try(func(tx *store.Tx) error { return RenewNode(tx, c.rec.ID, c.rec.Certificate) })
			write = func(tx *store.Tx) { _ = putNode(tx, *c.rec) }
		} else {
			err = n.try(func(tx *store.Tx) error { return RenewService(tx, c.certificate) })
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		err = n.auditWith(write, a)
		if (err == nil) != (c.want == "") {
			t.Errorf("%s: the auditor says %v", name, err)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// try runs a transaction that leaves nothing.
func (n *network) try(do func(*store.Tx) error) error {
	tx := n.store.Begin(2, uint64(n.now.UnixMilli())).Begin()
	defer tx.Abort()
	return do(tx)
}

// auditWith audits the ledger with one more transaction at its end.
func (n *network) auditWith(write func(*store.Tx), signer NodeRecord) error {
	n.t.Helper()
	set := n.store.Begin(2, uint64(n.now.UnixMilli()))
	tx := set.Begin()
	write(tx)
	tx.Commit()
	more := *n
	more.records = append(append([]store.Record{}, n.records...), set.Records()...)
	more.times = append(append([]uint64{}, n.times...), set.Time())
	signers := make([]NodeRecord, len(more.records))
	for i := range signers {
		signers[i] = signer
	}
	return audit(NewAuditor(AuditorConfig{}), more.batches(signers...), false)
}

func TestALeafRollsOverUnderItsIntermediateWithoutAVote(t *testing.T) {
	n := newNetwork(t)
	// The organisation's root stays in its safe: the constitution lists the certificate below it.
	root := issue(t, "delta holding", nil, true, nil)
	department := issue(t, "delta", root, true, func(c *x509.Certificate) { c.NotAfter = start.AddDate(20, 0, 0) })
	n.members = append(n.members, department)
	n.c = n.constitution()
	if err := n.c.Complete(); err != nil {
		t.Fatal(err)
	}
	for year := range 5 {
		now := start.AddDate(year, 0, 0)
		leaf := issue(t, "user", department, false, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.AddDate(0, 6, 0)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		})
		chain := []*x509.Certificate{leaf.cert, department.cert}
		if caller, err := Identify(n.c, chain, now); err != nil || caller.Actor != department.actor() {
			t.Errorf("in year %d the new leaf is %v, %v", year, caller, err)
		}
		if _, err := Identify(n.c, chain, now.AddDate(0, 7, 0)); err == nil {
			t.Errorf("in year %d a leaf works after its end", year)
		}
		if _, err := Identify(n.c, []*x509.Certificate{issue(t, "user", root, false, nil).cert, root.cert}, now); err == nil {
			t.Error("a leaf works that another branch of the organisation issued")
		}
	}
}
