package members_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

func TestRenewalsAreFollowedByAnAuditor(t *testing.T) {
	n := govtest.New(t)
	a := n.Genesis()
	b := n.Node(n.Members[1], "b:1")
	n.Admit(b)
	n.Now = n.Now.Add(300 * 24 * time.Hour)
	node, service := n.Renewed(b)
	for _, do := range []func(*store.Tx) error{
		func(tx *store.Tx) error { return members.RenewService(tx, service) },
		func(tx *store.Tx) error { return members.RenewNode(tx, b.ID, node) },
	} {
		if err := n.Transact(do); err != nil {
			t.Fatal(err)
		}
	}
	s := n.Store.Snapshot()
	defer s.Release()
	rec, err := table.Node(s, b.ID)
	if err != nil || string(rec.Certificate) != string(node) || rec.Since != 2 || rec.State != table.Trusted {
		t.Errorf("the record is %+v, %v", rec, err)
	}
	for name, known := range map[string][]byte{"the old certificate": n.Service.Certificate().Raw, "the new one": service} {
		auditor := audit.New(audit.Config{Service: known, Verifiers: govtest.Verifiers})
		if err := govtest.Audit(auditor, n.Batches(a, a, a, b), false); err != nil {
			t.Errorf("under %s: %v", name, err)
		}
		if string(auditor.ServiceCertificate()) != string(service) {
			t.Errorf("under %s: the auditor does not know the new one", name)
		}
	}
	x, err1 := table.NetworkID(n.Service.Certificate().Raw)
	y, err2 := table.NetworkID(service)
	if err1 != nil || err2 != nil || x != y || x == (coco.Digest{}) {
		t.Errorf("the network is %s, then %s, %v, %v", x, y, err1, err2)
	}
}

func TestARenewalChangesNothingButTheEnd(t *testing.T) {
	n := govtest.New(t)
	a := n.Genesis()
	b := n.Node(n.Members[1], "b:1")
	n.Admit(b)
	gone := n.Node(n.Members[2], "c:1")
	n.Admit(gone)
	if err := n.Transact(func(tx *store.Tx) error { return table.RetireNode(tx, gone.ID) }); err != nil {
		t.Fatal(err)
	}
	earlier := n.Now
	n.Now = n.Now.Add(300 * 24 * time.Hour)
	node, service := n.Renewed(b)
	goneAgain, _ := n.Renewed(gone)
	other, err := channel.NewService("test", true, n.Now)
	if err != nil {
		t.Fatal(err)
	}
	endorsed := func(s *channel.Service, address string, now time.Time) []byte {
		der, err := s.Endorse(b.Key, b.ID, []string{address}, true, now, now)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	set := func(rec table.NodeRecord, certificate []byte) table.NodeRecord {
		rec.Certificate = certificate
		return rec
	}
	stored := func() table.NodeRecord { // as the network has it
		s := n.Store.Snapshot()
		defer s.Release()
		rec, err := table.Node(s, b.ID)
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}()
	for name, c := range map[string]struct {
		rec         *table.NodeRecord // or
		certificate []byte            // the service's
		want        string
	}{
		"a node's, by another service": {rec: ptr(set(stored, endorsed(other, "b:1", n.Now))), want: "not issued by this network's service"},
		"a node's, for another key":    {rec: ptr(set(stored, a.Certificate)), want: "another key"},
		"a node's, of a later begin":   {rec: ptr(set(stored, endorsed(n.Service, "b:1", n.Now))), want: "it begins on"},
		"a node's, for another name":   {rec: ptr(set(stored, endorsed(n.Service, "d:1", earlier))), want: "other addresses"},
		"a node's, not later":          {rec: ptr(set(stored, stored.Certificate)), want: "expected later"},
		"a retired node's":             {rec: ptr(set(gone, goneAgain)), want: "is retired"},
		"another service's":            {certificate: other.Certificate().Raw, want: "another key"},
		"the service's, not later":     {certificate: n.Service.Certificate().Raw, want: "expected later"},
		"a node's as the service's":    {certificate: node, want: "does not issue itself"},
		"no certificate":               {certificate: []byte("x"), want: "not X.509"},
		"the service's, as it must be": {certificate: service},
		"a node's, as it must be":      {rec: ptr(set(stored, node))},
	} {
		// What the network refuses is written past its checks, for the auditor.
		var err error
		write := func(tx *store.Tx) { tx.Put(table.ServiceTable, []byte(table.CertificateKey), c.certificate) }
		if c.rec != nil {
			err = n.Try(func(tx *store.Tx) error { return members.RenewNode(tx, c.rec.ID, c.rec.Certificate) })
			write = func(tx *store.Tx) { _ = table.PutNode(tx, *c.rec) }
		} else {
			err = n.Try(func(tx *store.Tx) error { return members.RenewService(tx, c.certificate) })
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		err = n.AuditWith(write, a)
		if (err == nil) != (c.want == "") {
			t.Errorf("%s: the auditor says %v", name, err)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func TestALeafRollsOverUnderItsIntermediateWithoutAVote(t *testing.T) {
	n := govtest.New(t)
	// The organisation's root stays in its safe: the constitution lists the certificate below it.
	root := govtest.Issue(t, "delta holding", nil, true, nil)
	department := govtest.Issue(t, "delta", root, true, func(c *x509.Certificate) { c.NotAfter = govtest.Start.AddDate(20, 0, 0) })
	n.Members = append(n.Members, department)
	n.C = n.Constitution()
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	for year := range 5 {
		now := govtest.Start.AddDate(year, 0, 0)
		leaf := govtest.Issue(t, "user", department, false, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = now.Add(-time.Hour), now.AddDate(0, 6, 0)
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		})
		chain := []*x509.Certificate{leaf.Cert, department.Cert}
		if caller, err := constitution.Identify(n.C, chain, now); err != nil || caller.Actor != department.Actor() {
			t.Errorf("in year %d the new leaf is %v, %v", year, caller, err)
		}
		if _, err := constitution.Identify(n.C, chain, now.AddDate(0, 7, 0)); err == nil {
			t.Errorf("in year %d a leaf works after its end", year)
		}
		if _, err := constitution.Identify(n.C, []*x509.Certificate{govtest.Issue(t, "user", root, false, nil).Cert, root.Cert}, now); err == nil {
			t.Error("a leaf works that another branch of the organisation issued")
		}
	}
}
