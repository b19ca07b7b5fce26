package gov

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

// start is when the networks of these tests begin.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// org holds a certificate and its key.
type org struct {
	name       string
	cert       *x509.Certificate
	key        *ecdsa.PrivateKey
	encryption *keys.MemberKey
}

func (o *org) actor() coco.ActorID { return sha256.Sum256(o.cert.Raw) }

func (o *org) member() Member {
	return Member{Name: o.name, Certificate: o.cert.Raw, EncryptionKey: o.encryption.Public()}
}

var serial int64

// issue makes a certificate under the issuer's, or a self-signed one. change may alter it before.
func issue(t testing.TB, name string, issuer *org, ca bool, change func(*x509.Certificate)) *org {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: start.AddDate(-1, 0, 0), NotAfter: start.AddDate(1, 0, 0),
		BasicConstraintsValid: true, IsCA: ca, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if ca {
		template.KeyUsage |= x509.KeyUsageCertSign
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if issuer != nil {
		parent, signer = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	encryption, err := keys.GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	return &org{name, cert, key, encryption}
}

var testCode = virtual.Measure([]byte("a program"))

// network is a constitution with everything that is needed to run it.
type network struct {
	t       testing.TB
	members []*org
	guest   *org
	c       *Constitution
	service *channel.Service
	store   *store.Store
	now     time.Time
	signers map[coco.NodeID]*ecdsa.PrivateKey
	records []store.Record // of all transactions, each a batch of its own
	times   []uint64
}

// newNetwork has three members and a participant. Its store is empty.
func newNetwork(t testing.TB) *network {
	t.Helper()
	n := &network{t: t, now: start, store: store.New(), signers: map[coco.NodeID]*ecdsa.PrivateKey{}}
	for _, name := range []string{"alpha", "beta", "gamma"} {
		n.members = append(n.members, issue(t, name, nil, true, nil))
	}
	n.guest = issue(t, "guest", nil, true, nil)
	n.c = n.constitution()
	if err := n.c.Complete(); err != nil {
		t.Fatal(err)
	}
	if err := n.store.Create(Tables()...); err != nil {
		t.Fatal(err)
	}
	if err := n.store.Create(store.Table{Name: "kv.data"}); err != nil {
		t.Fatal(err)
	}
	var err error
	if n.service, err = channel.NewService("test", true, n.now); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *network) constitution() *Constitution {
	c := &Constitution{
		Network:      Network{"test", true},
		Participants: []Participant{{Name: "guest", Certificate: n.guest.cert.Raw}},
		Code:         []Code{{testCode, "the program"}},
		TEE:          []TEE{{Platform: virtual.Platform}},
		Adapters:     map[string]map[string]any{"kv": {"max": 5, "names": []string{"x", "y"}}},
	}
	for _, m := range n.members {
		c.Members = append(c.Members, m.member())
	}
	return c
}

// node makes the record of a new node of an owner, everything done right.
func (n *network) node(owner *org, address string) NodeRecord {
	n.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.t.Fatal(err)
	}
	pkix, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		n.t.Fatal(err)
	}
	rec := NodeRecord{
		ID: sha256.Sum256(pkix), Owner: owner.actor(), Address: address, ClientAddress: address, Key: pkix,
		OwnerCertificates: [][]byte{owner.cert.Raw}, Nonce: make([]byte, 32), Time: uint64(n.now.UnixMilli()),
	}
	n.signers[rec.ID] = key
	n.finish(&rec, owner.key, testCode)
	return rec
}

// finish makes the parts of a record that depend on the others.
func (n *network) finish(rec *NodeRecord, owner *ecdsa.PrivateKey, code coco.Measurement) {
	n.t.Helper()
	if err := SignNode(rec, owner); err != nil {
		n.t.Fatal(err)
	}
	q, err := virtual.NewQuoter(code)
	if err != nil {
		n.t.Fatal(err)
	}
	if rec.Evidence, err = attest.Quote(context.Background(), q, EvidenceContext, rec.Key, rec.Nonce); err != nil {
		n.t.Fatal(err)
	}
	rec.Measurement = code
	if rec.Certificate, err = n.service.Endorse(rec.Key, rec.ID, []string{rec.Address}, true, n.now); err != nil {
		n.t.Fatal(err)
	}
}

var verifiers = attest.Verifiers{virtual.Verifier{}}

func (n *network) claims(rec NodeRecord) attest.Claims {
	n.t.Helper()
	claims, err := verifiers.Verify(rec.Evidence, n.now)
	if err != nil {
		n.t.Fatal(err)
	}
	return claims
}

// transact runs a transaction in a batch of its own and commits it if do returns no error.
func (n *network) transact(do func(tx *store.Tx) error) error {
	n.t.Helper()
	set := n.store.Begin(2, uint64(n.now.UnixMilli()))
	tx := set.Begin()
	if err := do(tx); err != nil {
		tx.Abort()
		return err
	}
	tx.Commit()
	n.records = append(n.records, set.Records()...)
	n.times = append(n.times, set.Time())
	if err := set.Install(); err != nil {
		n.t.Fatal(err)
	}
	n.store.Commit(set.Next() - 1)
	return nil
}

// genesis starts the network with a node of its first member, and returns it.
func (n *network) genesis() NodeRecord {
	n.t.Helper()
	rec := n.node(n.members[0], "alpha:7000")
	if err := n.transact(func(tx *store.Tx) error { return n.writeGenesis(tx, rec) }); err != nil {
		n.t.Fatal(err)
	}
	return rec
}

func (n *network) writeGenesis(tx *store.Tx, rec NodeRecord) error {
	n.t.Helper()
	_, sealed, err := keys.NewEpoch(1, n.c.Recipients(), n.c.Shares.Threshold)
	if err != nil {
		n.t.Fatal(err)
	}
	key, err := n.service.MarshalKey()
	if err != nil {
		n.t.Fatal(err)
	}
	return WriteGenesis(tx, n.c, rec, n.service.Certificate().Raw, sealed, key)
}

// admit admits a node, which MUST succeed.
func (n *network) admit(rec NodeRecord) {
	n.t.Helper()
	claims := n.claims(rec)
	if err := n.transact(func(tx *store.Tx) error { return AdmitNode(tx, rec, claims) }); err != nil {
		n.t.Fatal(err)
	}
}

// states returns each node's state.
func (n *network) states() map[coco.NodeID]NodeState {
	n.t.Helper()
	s := n.store.Snapshot()
	defer s.Release()
	nodes, err := Nodes(s)
	if err != nil {
		n.t.Fatal(err)
	}
	out := map[coco.NodeID]NodeState{}
	for _, rec := range nodes {
		out[rec.ID] = rec.State
	}
	return out
}
