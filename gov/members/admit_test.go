package members_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

func TestGenesisIsReadBack(t *testing.T) {
	n := govtest.New(t)
	rec := n.Genesis()
	s := n.Store.Snapshot()
	defer s.Release()
	c, err := table.LoadConstitution(s)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := table.ConstitutionDigest(s)
	if err != nil || digest != n.C.Digest() || c.Digest() != digest {
		t.Errorf("digest %s, loaded %s, expected %s (%v)", digest, c.Digest(), n.C.Digest(), err)
	}
	if !bytes.Equal(c.TOML(), n.C.TOML()) || !bytes.Equal(c.Settings("kv"), n.C.Settings("kv")) {
		t.Errorf("another constitution came back:\n%s", c.TOML())
	}
	rec.State, rec.Since = table.Trusted, 1
	got, err := table.Node(s, rec.ID)
	if err != nil || govtest.Encoded(t, got) != govtest.Encoded(t, rec) {
		t.Errorf("node %+v, expected %+v (%v)", got, rec, err)
	}
	cert, err := table.ServiceCertificate(s)
	if err != nil || !bytes.Equal(cert, n.Service.Certificate().Raw) {
		t.Errorf("another service certificate (%v)", err)
	}
	key, err := table.ServiceKey(s)
	if want, _ := n.Service.MarshalKey(); err != nil || !bytes.Equal(key, want) {
		t.Errorf("another service key (%v)", err)
	}
	epochs, err := table.Epochs(s)
	if err != nil || len(epochs) != 1 || epochs[0].Epoch != 1 || epochs[0].Since != 1 {
		t.Errorf("epochs %v (%v), expected the first", epochs, err)
	}
	if _, err := table.Node(s, coco.NodeID{1}); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("error %v, expected coco.ErrNotFound", err)
	}
	if err := n.Transact(func(tx *store.Tx) error { return n.WriteGenesis(tx, rec) }); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a second genesis: error %v, expected coco.ErrInvalid", err)
	}
	// What is secret is in the private part only.
	if bytes.Contains(n.Records[0].Public, key) || !bytes.Contains(n.Records[0].Private, key) {
		t.Error("the service key is not in the private part only")
	}
}

func TestAnEmptyNetworkHasNothing(t *testing.T) {
	s := govtest.New(t).Store.Snapshot()
	defer s.Release()
	_, err1 := table.LoadConstitution(s)
	_, err2 := table.ConstitutionDigest(s)
	_, err3 := table.ServiceCertificate(s)
	_, err4 := table.ServiceKey(s)
	for i, err := range []error{err1, err2, err3, err4} {
		if !errors.Is(err, coco.ErrNotFound) {
			t.Errorf("reader %d: error %v, expected coco.ErrNotFound", i, err)
		}
	}
}

func TestANodeIsRefusedForTheReasonThatItHas(t *testing.T) {
	n := govtest.New(t)
	first := n.Genesis()
	beta := n.Members[1]
	other := virtual.Measure([]byte("another program"))
	for name, c := range map[string]struct {
		reason members.Reason
		change func(rec *table.NodeRecord, claims *attest.Claims)
	}{
		"unlisted owner": {members.UnlistedOwner, func(rec *table.NodeRecord, _ *attest.Claims) {
			stranger := govtest.Issue(t, "stranger", nil, true, nil)
			*rec = n.Node(stranger, "s:1")
		}},
		"a participant": {members.NotVotedIn, func(rec *table.NodeRecord, claims *attest.Claims) {
			*rec = n.Node(n.Guest, "g:1")
			*claims = n.Claims(*rec)
		}},
		"another owner's certificate": {members.BadOwner, func(rec *table.NodeRecord, _ *attest.Claims) {
			rec.OwnerCertificates = [][]byte{n.Members[2].Cert.Raw}
		}},
		"a stranger's certificate": {members.BadOwner, func(rec *table.NodeRecord, _ *attest.Claims) {
			rec.OwnerCertificates = [][]byte{govtest.Issue(t, "beta", nil, true, nil).Cert.Raw}
		}},
		"no certificate": {members.BadOwner, func(rec *table.NodeRecord, _ *attest.Claims) { rec.OwnerCertificates = [][]byte{{1}} }},
		"an expired certificate": {members.BadOwner, func(rec *table.NodeRecord, _ *attest.Claims) {
			old := govtest.Issue(t, "x", beta, false, func(c *x509.Certificate) { c.NotAfter = n.Now.Add(-time.Hour) })
			rec.OwnerCertificates = [][]byte{old.Cert.Raw}
			n.Finish(rec, old.Key, govtest.TestCode)
		}},
		"an unsuitable key": {members.BadOwner, func(rec *table.NodeRecord, _ *attest.Claims) { rec.OwnerCertificates = [][]byte{rsaUnder(t, beta)} }},
		"signed by another": {members.BadSignature, func(rec *table.NodeRecord, _ *attest.Claims) { n.Finish(rec, n.Members[2].Key, govtest.TestCode) }},
		"another address":   {members.BadSignature, func(rec *table.NodeRecord, _ *attest.Claims) { rec.Address = "elsewhere:1" }},
		"another client address": {members.BadSignature, func(rec *table.NodeRecord, _ *attest.Claims) {
			rec.ClientAddress = ""
		}},
		"another key": {members.BadSignature, func(rec *table.NodeRecord, _ *attest.Claims) {
			mine := n.Node(beta, rec.Address)
			rec.ID, rec.Key = mine.ID, mine.Key
		}},
		"unlisted platform": {members.UnlistedPlatform, func(rec *table.NodeRecord, _ *attest.Claims) { rec.Evidence.Platform = "snp" }},
		"unlisted code":     {members.UnlistedCode, func(rec *table.NodeRecord, claims *attest.Claims) { rec.Measurement, claims.Measurement = other, other }},
		"unlisted code, unsaid": {members.UnlistedCode, func(rec *table.NodeRecord, claims *attest.Claims) {
			rec.Measurement, claims.Measurement = "", other
		}},
		"claims of other code":                  {members.BadEvidence, func(_ *table.NodeRecord, claims *attest.Claims) { claims.Measurement = other }},
		"claims of other platform":              {members.BadEvidence, func(_ *table.NodeRecord, claims *attest.Claims) { claims.Measurement = "snp:00" }},
		"claims of other platform, listed code": {members.BadEvidence, func(_ *table.NodeRecord, claims *attest.Claims) { claims.Platform = "snp" }},
		"no driver's claims":                    {members.TEEPolicy, func(_ *table.NodeRecord, claims *attest.Claims) { claims.Own = nil }},
		"debug":                                 {members.DebugTEE, func(_ *table.NodeRecord, claims *attest.Claims) { claims.Debug = true }},
		"bound to another nonce":                {members.BadEvidence, func(rec *table.NodeRecord, _ *attest.Claims) { rec.Nonce = bytes.Repeat([]byte{1}, 32) }},
		"bound to nothing":                      {members.BadEvidence, func(_ *table.NodeRecord, claims *attest.Claims) { claims.ReportData = [64]byte{} }},
		"a key met before": {members.KnownNode, func(rec *table.NodeRecord, claims *attest.Claims) {
			*rec = first
			*claims = n.Claims(first)
		}},
		"an id of another key":    {members.BadRecord, func(rec *table.NodeRecord, _ *attest.Claims) { rec.ID[0]++ }},
		"a short nonce":           {members.BadRecord, func(rec *table.NodeRecord, _ *attest.Claims) { rec.Nonce = rec.Nonce[:15] }},
		"no evidence":             {members.BadRecord, func(rec *table.NodeRecord, _ *attest.Claims) { rec.Evidence.Quote = nil }},
		"no port":                 {members.BadRecord, func(rec *table.NodeRecord, _ *attest.Claims) { rec.Address = "beta" }},
		"port 0":                  {members.BadRecord, func(rec *table.NodeRecord, _ *attest.Claims) { rec.Address = "beta:0" }},
		"port 007":                {members.BadRecord, func(rec *table.NodeRecord, _ *attest.Claims) { rec.ClientAddress = "beta:007" }},
		"a space in the address":  {members.BadRecord, func(rec *table.NodeRecord, _ *attest.Claims) { rec.Address = "be ta:1" }},
		"no signature":            {members.BadRecord, func(rec *table.NodeRecord, _ *attest.Claims) { rec.OwnerSignature = nil }},
		"no owner's certificates": {members.BadRecord, func(rec *table.NodeRecord, _ *attest.Claims) { rec.OwnerCertificates = nil }},
		"another curve": {members.BadRecord, func(rec *table.NodeRecord, _ *attest.Claims) {
			key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if rec.Key, err = x509.MarshalPKIXPublicKey(&key.PublicKey); err != nil {
				t.Fatal(err)
			}
			rec.ID = sha256.Sum256(rec.Key)
		}},
		"no certificate of its own": {members.BadCertificate, func(rec *table.NodeRecord, _ *attest.Claims) { rec.Certificate = nil }},
		"another's certificate":     {members.BadCertificate, func(rec *table.NodeRecord, _ *attest.Claims) { rec.Certificate = first.Certificate }},
		"another service's": {members.BadCertificate, func(rec *table.NodeRecord, _ *attest.Claims) {
			service := govtest.New(t).Service
			var err error
			if rec.Certificate, err = service.Endorse(rec.Key, rec.ID, nil, true, n.Now, n.Now); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			rec := n.Node(beta, "beta:7000")
			claims := n.Claims(rec)
			c.change(&rec, &claims)
			var wrote int
			err := n.Transact(func(tx *store.Tx) error {
				err := members.AdmitNode(tx, rec, claims)
				_, ok := tx.Get(table.NodesTable, rec.ID[:])
				if ok && rec.ID != first.ID {
					wrote++
				}
				return err
			})
			var refusal *members.Refusal
			if !errors.As(err, &refusal) || !errors.Is(err, coco.ErrDenied) || refusal.Reason != c.reason {
				t.Fatalf("error %v, expected a refusal for %s", err, c.reason)
			}
			if wrote > 0 {
				t.Error("a refused node is in the list")
			}
		})
	}
}

func rsaUnder(t *testing.T, issuer *govtest.Org) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := *issuer.Cert
	template.IsCA = false
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.Subject.CommonName = "rsa"
	template.SubjectKeyId = nil
	der, err := x509.CreateCertificate(rand.Reader, &template, issuer.Cert, &key.PublicKey, issuer.Key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestASimulatedTEENeedsAnInsecureNetwork: claims tell, even if the platform's name does not.
func TestASimulatedTEENeedsAnInsecureNetwork(t *testing.T) {
	n := govtest.New(t)
	rec := n.Node(n.Members[0], "alpha:7000")
	claims := n.Claims(rec)
	c := n.Constitution()
	c.TEE, c.Code, c.Network.Insecure = []constitution.TEE{{Platform: "snp"}}, []constitution.Code{{Measurement: "snp:00"}}, false
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	rec.Evidence.Platform, rec.Measurement, claims.Platform, claims.Measurement = "snp", "snp:00", "snp", "snp:00"
	var refusal *members.Refusal
	if err := members.CheckNode(c, &rec, claims); !errors.As(err, &refusal) || refusal.Reason != members.InsecureTEE {
		t.Errorf("error %v, expected %s", err, members.InsecureTEE)
	}
	claims.Insecure = false
	if err := members.CheckNode(c, &rec, claims); err != nil {
		t.Error(err)
	}
}

func TestANodeIsAdmittedByACertificateForNodesUnderItsOwner(t *testing.T) {
	n := govtest.New(t)
	n.Genesis()
	department := govtest.Issue(t, "department", n.Members[1], true, nil)
	operator := govtest.Issue(t, "operator", department, false, func(c *x509.Certificate) { c.Subject.OrganizationalUnit = []string{coco.NodesUnit} })
	rec := n.Node(n.Members[1], "beta:7000")
	rec.OwnerCertificates = [][]byte{operator.Cert.Raw, department.Cert.Raw}
	n.Finish(&rec, operator.Key, govtest.TestCode)
	rec.Measurement = "" // the claims fill it in
	n.Admit(rec)
	s := n.Store.Snapshot()
	defer s.Release()
	got, err := table.Node(s, rec.ID)
	if err != nil || got.State != table.Trusted || got.Since != 2 || got.Measurement != govtest.TestCode || got.Time != uint64(n.Now.UnixMilli()) {
		t.Errorf("node %+v (%v), expected it to be trusted since 2", got, err)
	}
}

// A key that leaks from an application or an officer must not make nodes of the organisation. By rules 1 it could.
func TestOnlyACertificateForNodesMakesANodeTheOrganisations(t *testing.T) {
	for unit, want := range map[string]bool{"": false, coco.GovernanceUnit: false, coco.NodesUnit: true} {
		for rules, ok := range map[uint64]bool{1: true, 2: want} {
			n := govtest.New(t)
			n.C = n.Constitution()
			n.C.Rules = rules
			if err := n.C.Complete(); err != nil {
				t.Fatal(err)
			}
			leaf := govtest.Issue(t, "leaf", n.Members[1], false, func(c *x509.Certificate) {
				c.Subject.OrganizationalUnit, c.ExtKeyUsage = []string{unit}, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
			})
			rec := n.Node(n.Members[1], "beta:7000")
			rec.OwnerCertificates = [][]byte{leaf.Cert.Raw}
			n.Finish(&rec, leaf.Key, govtest.TestCode)
			err := members.VerifyOwner(n.C, &rec)
			var refusal *members.Refusal
			if ok && err != nil || !ok && (!errors.As(err, &refusal) || refusal.Reason != members.BadOwner || !strings.Contains(err.Error(), "--for nodes")) {
				t.Errorf("unit %q by rules %d: %v, expected it to be good: %t", unit, rules, err, ok)
			}
		}
	}
}

func TestARestartedNodeTakesTheOldOnesPlace(t *testing.T) {
	n := govtest.New(t)
	a := n.Genesis()
	b := n.Node(n.Members[1], "beta:7000")
	n.Admit(b)
	elsewhere := n.Node(n.Members[1], "beta:7001")
	n.Admit(elsewhere)
	impostor := n.Node(n.Members[2], "beta:7000") // the same address, another owner
	n.Admit(impostor)
	again := n.Node(n.Members[1], "beta:7000")
	n.Admit(again)
	want := map[coco.NodeID]table.NodeState{a.ID: table.Trusted, b.ID: table.Retired, elsewhere.ID: table.Trusted, impostor.ID: table.Trusted, again.ID: table.Trusted}
	if got := n.States(); !maps.Equal(got, want) {
		t.Errorf("states %v, expected %v", got, want)
	}
	// The old one's key never counts again.
	if err := n.Transact(func(tx *store.Tx) error { return members.AdmitNode(tx, b, n.Claims(b)) }); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("error %v, expected coco.ErrDenied", err)
	}
}

func TestRetireAndSetNodes(t *testing.T) {
	n := govtest.New(t)
	a := n.Genesis()
	b, c := n.Node(n.Members[1], "b:1"), n.Node(n.Members[2], "c:1")
	n.Admit(b)
	n.Admit(c)
	if err := n.Transact(func(tx *store.Tx) error { return table.RetireNode(tx, coco.NodeID{1}) }); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("error %v, expected coco.ErrNotFound", err)
	}
	for range 2 {
		if err := n.Transact(func(tx *store.Tx) error { return table.RetireNode(tx, b.ID) }); err != nil {
			t.Fatal(err)
		}
	}
	s := n.Store.Snapshot()
	if rec, err := table.Node(s, b.ID); err != nil || rec.Since != 4 {
		t.Errorf("retired since %d (%v), expected 4", rec.Since, err)
	}
	s.Release()
	if err := n.Transact(func(tx *store.Tx) error { return members.SetNodes(tx, b.ID) }); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("keeping a retired node: error %v, expected coco.ErrInvalid", err)
	}
	if err := n.Transact(func(tx *store.Tx) error { return members.SetNodes(tx, c.ID) }); err != nil {
		t.Fatal(err)
	}
	want := map[coco.NodeID]table.NodeState{a.ID: table.Retired, b.ID: table.Retired, c.ID: table.Trusted}
	if got := n.States(); !maps.Equal(got, want) {
		t.Errorf("states %v, expected %v", got, want)
	}
}

func TestEpochsFollowOneAnotherAndAreTheMembers(t *testing.T) {
	n := govtest.New(t).ByRules2()
	n.Genesis()
	rs := n.C.Recipients()
	strangers := slices.Clone(rs)
	strangers[0].Key = n.Guest.Encryption.Public()
	for name, c := range map[string]struct {
		epoch     uint64
		rs        []keys.Recipient
		threshold int
	}{
		"again":             {1, rs, 2},
		"too far":           {3, rs, 2},
		"a lower threshold": {2, rs, 1},
		"a member missing":  {2, rs[1:], 2},
		"another key":       {2, strangers, 2},
	} {
		_, sealed, err := keys.NewEpoch(c.epoch, c.rs, c.threshold)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Transact(func(tx *store.Tx) error { return members.WriteEpoch(tx, sealed) }); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
	_, sealed, err := keys.NewEpoch(2, rs, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Transact(func(tx *store.Tx) error { return members.WriteEpoch(tx, sealed) }); err != nil {
		t.Fatal(err)
	}
	s := n.Store.Snapshot()
	defer s.Release()
	epochs, err := table.Epochs(s)
	if err != nil || len(epochs) != 2 || epochs[1].Epoch != 2 || epochs[1].Since != 2 {
		t.Errorf("epochs %v (%v), expected two", epochs, err)
	}
}

// Where there is a committee, nothing is shared among the members any more.
func TestNoEpochIsSharedWhereThereIsACommittee(t *testing.T) {
	n := govtest.New(t)
	n.Genesis()
	_, sealed, err := keys.NewEpoch(2, n.C.Recipients(), 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Transact(func(tx *store.Tx) error { return members.WriteEpoch(tx, sealed) }); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("error %v, expected coco.ErrInvalid", err)
	}
}

func FuzzDecodeRecords(f *testing.F) {
	n := govtest.New(f)
	rec := n.Genesis()
	for _, v := range []any{rec, table.EpochRecord{Epoch: 1, Since: 2, Sealed: []byte{3}}} {
		b, err := canon.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(n.C.Canonical())
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if rec, err := table.DecodeNode(b); err == nil {
			if govtest.Encoded(t, rec) != string(b) {
				t.Fatalf("a node record comes back as %x", govtest.Encoded(t, rec))
			}
			_ = members.CheckNode(n.C, &rec, attest.Claims{})
			_ = members.CheckEndorsed(n.Service.Certificate().Raw, &rec)
		}
		if rec, err := table.DecodeEpoch(b); err == nil && govtest.Encoded(t, rec) != string(b) {
			t.Fatalf("an epoch record comes back as %x", govtest.Encoded(t, rec))
		}
		c, err := constitution.Decode(b)
		if err != nil {
			if !errors.Is(err, coco.ErrCorrupt) {
				t.Fatalf("error %v, expected coco.ErrCorrupt", err)
			}
			return
		}
		again := c.Canonical()
		if !bytes.Equal(again, b) || c.Digest() != sha256.Sum256(b) {
			t.Fatalf("a constitution comes back as %x", again)
		}
	})
}

// Consensus names nodes by the first 8 bytes of their ids. Two of one name would be one node there, with two votes on paper.
func TestNoTwoNodesHaveOneNameInConsensus(t *testing.T) {
	for _, rules := range []uint64{1, 2} {
		for _, state := range []table.NodeState{table.Trusted, table.Pending, table.Retired} {
			n := govtest.New(t)
			n.C = n.Constitution()
			n.C.Rules = rules
			if err := n.C.Complete(); err != nil {
				t.Fatal(err)
			}
			first := n.Genesis()
			rec := n.Node(n.Members[1], "beta:7000")
			claims := n.Claims(rec)
			other := first // nobody finds a key with such an id, so this one has none
			other.ID, other.State, other.Address = rec.ID, state, "other:7000"
			other.ID[31]++
			if consensus.IDOf(other.ID) != consensus.IDOf(rec.ID) {
				t.Fatal("the test shows nothing")
			}
			if err := n.Transact(func(tx *store.Tx) error { return table.PutNode(tx, other) }); err != nil {
				t.Fatal(err)
			}
			for what, admit := range map[string]func(*store.Tx) error{
				"admitted": func(tx *store.Tx) error { return members.AdmitNode(tx, rec, claims) },
				"pending":  func(tx *store.Tx) error { return members.PendNode(tx, rec, claims) },
			} {
				err := n.Try(admit)
				refused, ok := errors.AsType[*members.Refusal](err)
				if rules == 1 && err != nil || rules == 2 && (!ok || refused.Reason != members.KnownNode) {
					t.Errorf("rules %d, beside one of its name that is %s, the node is %s: %v", rules, state, what, err)
				}
			}
			near := n.Node(n.Members[2], "gamma:7000")
			other.ID = near.ID
			other.ID[7]++ // the next name
			if err := n.Transact(func(tx *store.Tx) error { return table.PutNode(tx, other) }); err != nil {
				t.Fatal(err)
			}
			if err := n.Try(func(tx *store.Tx) error { return members.AdmitNode(tx, near, n.Claims(near)) }); err != nil {
				t.Errorf("beside one of the next name: %v", err)
			}
		}
	}
}
