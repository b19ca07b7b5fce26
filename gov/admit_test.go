package gov

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
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

func TestGenesisIsReadBack(t *testing.T) {
	n := newNetwork(t)
	rec := n.genesis()
	s := n.store.Snapshot()
	defer s.Release()
	c, err := LoadConstitution(s)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := ConstitutionDigest(s)
	if err != nil || digest != n.c.Digest() || c.Digest() != digest {
		t.Errorf("digest %s, loaded %s, expected %s (%v)", digest, c.Digest(), n.c.Digest(), err)
	}
	if !bytes.Equal(c.TOML(), n.c.TOML()) || !bytes.Equal(c.Settings("kv"), n.c.Settings("kv")) {
		t.Errorf("another constitution came back:\n%s", c.TOML())
	}
	rec.State, rec.Since = Trusted, 1
	got, err := Node(s, rec.ID)
	if err != nil || encoded(t, got) != encoded(t, rec) {
		t.Errorf("node %+v, expected %+v (%v)", got, rec, err)
	}
	cert, err := ServiceCertificate(s)
	if err != nil || !bytes.Equal(cert, n.service.Certificate().Raw) {
		t.Errorf("another service certificate (%v)", err)
	}
	key, err := ServiceKey(s)
	if want, _ := n.service.MarshalKey(); err != nil || !bytes.Equal(key, want) {
		t.Errorf("another service key (%v)", err)
	}
	epochs, err := Epochs(s)
	if err != nil || len(epochs) != 1 || epochs[0].Epoch != 1 || epochs[0].Since != 1 {
		t.Errorf("epochs %v (%v), expected the first", epochs, err)
	}
	if _, err := Node(s, coco.NodeID{1}); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("error %v, expected coco.ErrNotFound", err)
	}
	if err := n.transact(func(tx *store.Tx) error { return n.writeGenesis(tx, rec) }); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a second genesis: error %v, expected coco.ErrInvalid", err)
	}
	// What is secret is in the private part only.
	if bytes.Contains(n.records[0].Public, key) || !bytes.Contains(n.records[0].Private, key) {
		t.Error("the service key is not in the private part only")
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	b, err := canon.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAnEmptyNetworkHasNothing(t *testing.T) {
	s := newNetwork(t).store.Snapshot()
	defer s.Release()
	_, err1 := LoadConstitution(s)
	_, err2 := ConstitutionDigest(s)
	_, err3 := ServiceCertificate(s)
	_, err4 := ServiceKey(s)
	for i, err := range []error{err1, err2, err3, err4} {
		if !errors.Is(err, coco.ErrNotFound) {
			t.Errorf("reader %d: error %v, expected coco.ErrNotFound", i, err)
		}
	}
}

func TestANodeIsRefusedForTheReasonThatItHas(t *testing.T) {
	n := newNetwork(t)
	first := n.genesis()
	beta := n.members[1]
	other := virtual.Measure([]byte("another program"))
	for name, c := range map[string]struct {
		reason Reason
		change func(rec *NodeRecord, claims *attest.Claims)
	}{
		"unlisted owner": {UnlistedOwner, func(rec *NodeRecord, _ *attest.Claims) {
			stranger := issue(t, "stranger", nil, true, nil)
			*rec = n.node(stranger, "s:1")
		}},
		"a participant": {NotVotedIn, func(rec *NodeRecord, claims *attest.Claims) {
			*rec = n.node(n.guest, "g:1")
			*claims = n.claims(*rec)
		}},
		"another owner's certificate": {BadOwner, func(rec *NodeRecord, _ *attest.Claims) {
			rec.OwnerCertificates = [][]byte{n.members[2].cert.Raw}
		}},
		"a stranger's certificate": {BadOwner, func(rec *NodeRecord, _ *attest.Claims) {
			rec.OwnerCertificates = [][]byte{issue(t, "beta", nil, true, nil).cert.Raw}
		}},
		"no certificate": {BadOwner, func(rec *NodeRecord, _ *attest.Claims) { rec.OwnerCertificates = [][]byte{{1}} }},
		"an expired certificate": {BadOwner, func(rec *NodeRecord, _ *attest.Claims) {
			old := issue(t, "x", beta, false, func(c *x509.Certificate) { c.NotAfter = n.now.Add(-time.Hour) })
			rec.OwnerCertificates = [][]byte{old.cert.Raw}
			n.finish(rec, old.key, testCode)
		}},
		"an unsuitable key": {BadOwner, func(rec *NodeRecord, _ *attest.Claims) { rec.OwnerCertificates = [][]byte{rsaUnder(t, beta)} }},
		"signed by another": {BadSignature, func(rec *NodeRecord, _ *attest.Claims) { n.finish(rec, n.members[2].key, testCode) }},
		"another address":   {BadSignature, func(rec *NodeRecord, _ *attest.Claims) { rec.Address = "elsewhere:1" }},
		"another client address": {BadSignature, func(rec *NodeRecord, _ *attest.Claims) {
			rec.ClientAddress = ""
		}},
		"another key": {BadSignature, func(rec *NodeRecord, _ *attest.Claims) {
			mine := n.node(beta, rec.Address)
			rec.ID, rec.Key = mine.ID, mine.Key
		}},
		"unlisted platform": {UnlistedPlatform, func(rec *NodeRecord, _ *attest.Claims) { rec.Evidence.Platform = "snp" }},
		"unlisted code":     {UnlistedCode, func(rec *NodeRecord, claims *attest.Claims) { rec.Measurement, claims.Measurement = other, other }},
		"unlisted code, unsaid": {UnlistedCode, func(rec *NodeRecord, claims *attest.Claims) {
			rec.Measurement, claims.Measurement = "", other
		}},
		"claims of other code":                  {BadEvidence, func(_ *NodeRecord, claims *attest.Claims) { claims.Measurement = other }},
		"claims of other platform":              {BadEvidence, func(_ *NodeRecord, claims *attest.Claims) { claims.Measurement = "snp:00" }},
		"claims of other platform, listed code": {BadEvidence, func(_ *NodeRecord, claims *attest.Claims) { claims.Platform = "snp" }},
		"no driver's claims":                    {TEEPolicy, func(_ *NodeRecord, claims *attest.Claims) { claims.Own = nil }},
		"debug":                                 {DebugTEE, func(_ *NodeRecord, claims *attest.Claims) { claims.Debug = true }},
		"bound to another nonce":                {BadEvidence, func(rec *NodeRecord, _ *attest.Claims) { rec.Nonce = bytes.Repeat([]byte{1}, 32) }},
		"bound to nothing":                      {BadEvidence, func(_ *NodeRecord, claims *attest.Claims) { claims.ReportData = [64]byte{} }},
		"a key met before": {KnownNode, func(rec *NodeRecord, claims *attest.Claims) {
			*rec = first
			*claims = n.claims(first)
		}},
		"an id of another key":    {BadRecord, func(rec *NodeRecord, _ *attest.Claims) { rec.ID[0]++ }},
		"a short nonce":           {BadRecord, func(rec *NodeRecord, _ *attest.Claims) { rec.Nonce = rec.Nonce[:15] }},
		"no evidence":             {BadRecord, func(rec *NodeRecord, _ *attest.Claims) { rec.Evidence.Quote = nil }},
		"no port":                 {BadRecord, func(rec *NodeRecord, _ *attest.Claims) { rec.Address = "beta" }},
		"port 0":                  {BadRecord, func(rec *NodeRecord, _ *attest.Claims) { rec.Address = "beta:0" }},
		"port 007":                {BadRecord, func(rec *NodeRecord, _ *attest.Claims) { rec.ClientAddress = "beta:007" }},
		"a space in the address":  {BadRecord, func(rec *NodeRecord, _ *attest.Claims) { rec.Address = "be ta:1" }},
		"no signature":            {BadRecord, func(rec *NodeRecord, _ *attest.Claims) { rec.OwnerSignature = nil }},
		"no owner's certificates": {BadRecord, func(rec *NodeRecord, _ *attest.Claims) { rec.OwnerCertificates = nil }},
		"another curve": {BadRecord, func(rec *NodeRecord, _ *attest.Claims) {
			key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			if rec.Key, err = x509.MarshalPKIXPublicKey(&key.PublicKey); err != nil {
				t.Fatal(err)
			}
			rec.ID = sha256.Sum256(rec.Key)
		}},
		"no certificate of its own": {BadCertificate, func(rec *NodeRecord, _ *attest.Claims) { rec.Certificate = nil }},
		"another's certificate":     {BadCertificate, func(rec *NodeRecord, _ *attest.Claims) { rec.Certificate = first.Certificate }},
		"another service's": {BadCertificate, func(rec *NodeRecord, _ *attest.Claims) {
			service := newNetwork(t).service
			var err error
			if rec.Certificate, err = service.Endorse(rec.Key, rec.ID, nil, true, n.now); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			rec := n.node(beta, "beta:7000")
			claims := n.claims(rec)
			c.change(&rec, &claims)
			var wrote int
			err := n.transact(func(tx *store.Tx) error {
				err := AdmitNode(tx, rec, claims)
				_, ok := tx.Get(NodesTable, rec.ID[:])
				if ok && rec.ID != first.ID {
					wrote++
				}
				return err
			})
			var refusal *Refusal
			if !errors.As(err, &refusal) || !errors.Is(err, coco.ErrDenied) || refusal.Reason != c.reason {
				t.Fatalf("error %v, expected a refusal for %s", err, c.reason)
			}
			if wrote > 0 {
				t.Error("a refused node is in the list")
			}
		})
	}
}

func rsaUnder(t *testing.T, issuer *org) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := *issuer.cert
	template.IsCA = false
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.Subject.CommonName = "rsa"
	template.SubjectKeyId = nil
	der, err := x509.CreateCertificate(rand.Reader, &template, issuer.cert, &key.PublicKey, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestASimulatedTEENeedsAnInsecureNetwork: claims tell, even if the platform's name does not.
func TestASimulatedTEENeedsAnInsecureNetwork(t *testing.T) {
	n := newNetwork(t)
	rec := n.node(n.members[0], "alpha:7000")
	claims := n.claims(rec)
	c := n.constitution()
	c.TEE, c.Code, c.Network.Insecure = []TEE{{Platform: "snp"}}, []Code{{Measurement: "snp:00"}}, false
	if err := c.Complete(); err != nil {
		t.Fatal(err)
	}
	rec.Evidence.Platform, rec.Measurement, claims.Platform, claims.Measurement = "snp", "snp:00", "snp", "snp:00"
	var refusal *Refusal
	if err := CheckNode(c, &rec, claims); !errors.As(err, &refusal) || refusal.Reason != InsecureTEE {
		t.Errorf("error %v, expected %s", err, InsecureTEE)
	}
	claims.Insecure = false
	if err := CheckNode(c, &rec, claims); err != nil {
		t.Error(err)
	}
}

func TestANodeIsAdmittedByAnyoneUnderItsOwner(t *testing.T) {
	n := newNetwork(t)
	n.genesis()
	department := issue(t, "department", n.members[1], true, nil)
	operator := issue(t, "operator", department, false, nil)
	rec := n.node(n.members[1], "beta:7000")
	rec.OwnerCertificates = [][]byte{operator.cert.Raw, department.cert.Raw}
	n.finish(&rec, operator.key, testCode)
	rec.Measurement = "" // the claims fill it in
	n.admit(rec)
	s := n.store.Snapshot()
	defer s.Release()
	got, err := Node(s, rec.ID)
	if err != nil || got.State != Trusted || got.Since != 2 || got.Measurement != testCode || got.Time != uint64(n.now.UnixMilli()) {
		t.Errorf("node %+v (%v), expected it to be trusted since 2", got, err)
	}
}

func TestARestartedNodeTakesTheOldOnesPlace(t *testing.T) {
	n := newNetwork(t)
	a := n.genesis()
	b := n.node(n.members[1], "beta:7000")
	n.admit(b)
	elsewhere := n.node(n.members[1], "beta:7001")
	n.admit(elsewhere)
	impostor := n.node(n.members[2], "beta:7000") // the same address, another owner
	n.admit(impostor)
	again := n.node(n.members[1], "beta:7000")
	n.admit(again)
	want := map[coco.NodeID]NodeState{a.ID: Trusted, b.ID: Retired, elsewhere.ID: Trusted, impostor.ID: Trusted, again.ID: Trusted}
	if got := n.states(); !maps.Equal(got, want) {
		t.Errorf("states %v, expected %v", got, want)
	}
	// The old one's key never counts again.
	if err := n.transact(func(tx *store.Tx) error { return AdmitNode(tx, b, n.claims(b)) }); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("error %v, expected coco.ErrDenied", err)
	}
}

func TestRetireAndSetNodes(t *testing.T) {
	n := newNetwork(t)
	a := n.genesis()
	b, c := n.node(n.members[1], "b:1"), n.node(n.members[2], "c:1")
	n.admit(b)
	n.admit(c)
	if err := n.transact(func(tx *store.Tx) error { return RetireNode(tx, coco.NodeID{1}) }); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("error %v, expected coco.ErrNotFound", err)
	}
	for range 2 {
		if err := n.transact(func(tx *store.Tx) error { return RetireNode(tx, b.ID) }); err != nil {
			t.Fatal(err)
		}
	}
	s := n.store.Snapshot()
	if rec, err := Node(s, b.ID); err != nil || rec.Since != 4 {
		t.Errorf("retired since %d (%v), expected 4", rec.Since, err)
	}
	s.Release()
	if err := n.transact(func(tx *store.Tx) error { return SetNodes(tx, b.ID) }); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("keeping a retired node: error %v, expected coco.ErrInvalid", err)
	}
	if err := n.transact(func(tx *store.Tx) error { return SetNodes(tx, c.ID) }); err != nil {
		t.Fatal(err)
	}
	want := map[coco.NodeID]NodeState{a.ID: Retired, b.ID: Retired, c.ID: Trusted}
	if got := n.states(); !maps.Equal(got, want) {
		t.Errorf("states %v, expected %v", got, want)
	}
}

func TestEpochsFollowOneAnotherAndAreTheMembers(t *testing.T) {
	n := newNetwork(t)
	n.genesis()
	rs := n.c.Recipients()
	strangers := slices.Clone(rs)
	strangers[0].Key = n.guest.encryption.Public()
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
		if err := n.transact(func(tx *store.Tx) error { return WriteEpoch(tx, sealed) }); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
	_, sealed, err := keys.NewEpoch(2, rs, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.transact(func(tx *store.Tx) error { return WriteEpoch(tx, sealed) }); err != nil {
		t.Fatal(err)
	}
	s := n.store.Snapshot()
	defer s.Release()
	epochs, err := Epochs(s)
	if err != nil || len(epochs) != 2 || epochs[1].Epoch != 2 || epochs[1].Since != 2 {
		t.Errorf("epochs %v (%v), expected two", epochs, err)
	}
}

func FuzzDecodeRecords(f *testing.F) {
	n := newNetwork(f)
	rec := n.genesis()
	for _, v := range []any{rec, EpochRecord{1, 2, []byte{3}}} {
		b, err := canon.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(n.c.Canonical())
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if rec, err := decodeNode(b); err == nil {
			if encoded(t, rec) != string(b) {
				t.Fatalf("a node record comes back as %x", encoded(t, rec))
			}
			_ = CheckNode(n.c, &rec, attest.Claims{})
		}
		if rec, err := decodeEpoch(b); err == nil && encoded(t, rec) != string(b) {
			t.Fatalf("an epoch record comes back as %x", encoded(t, rec))
		}
		c, err := DecodeConstitution(b)
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
