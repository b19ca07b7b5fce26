package govtest

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
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

// Start is when the networks of these tests begin.
var Start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Org holds a certificate and its key.
type Org struct {
	Name       string
	Cert       *x509.Certificate
	Key        *ecdsa.PrivateKey
	Encryption *keys.MemberKey
}

// Actor returns the organisation's identity.
func (o *Org) Actor() coco.ActorID { return sha256.Sum256(o.Cert.Raw) }

func (o *Org) member() constitution.Member {
	return constitution.Member{Name: o.Name, Certificate: o.Cert.Raw, EncryptionKey: o.Encryption.Public()}
}

var serial int64

// Issue makes a certificate under the issuer's, or a self-signed one. change may alter it before.
func Issue(t testing.TB, name string, issuer *Org, ca bool, change func(*x509.Certificate)) *Org {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: Start.AddDate(-1, 0, 0), NotAfter: Start.AddDate(1, 0, 0),
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
		parent, signer = issuer.Cert, issuer.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	encryption, err := keys.NewMemberKey(keys.X25519) // which constitutions by any rules accept
	if err != nil {
		t.Fatal(err)
	}
	return &Org{name, cert, key, encryption}
}

// TestCode is what nodes run.
var TestCode = virtual.Measure([]byte("a program"))

// Network is a constitution with everything that is needed to run it.
type Network struct {
	T       testing.TB
	Members []*Org
	Guest   *Org
	C       *constitution.Constitution
	Service *channel.Service
	Store   *store.Store
	Now     time.Time
	signers map[coco.NodeID]*ecdsa.PrivateKey
	Records []store.Record // of all transactions, each a batch of its own
	Times   []uint64
	Secrets map[uint64]keys.Secret // of the epochs that were announced to a committee, and the first
}

// New has three members and a participant. Its store is empty.
func New(t testing.TB) *Network {
	t.Helper()
	n := &Network{T: t, Now: Start, Store: store.New(), signers: map[coco.NodeID]*ecdsa.PrivateKey{}, Secrets: map[uint64]keys.Secret{}}
	for _, name := range []string{"alpha", "beta", "gamma"} {
		n.Members = append(n.Members, Issue(t, name, nil, true, nil))
	}
	n.Guest = Issue(t, "guest", nil, true, nil)
	n.C = n.Constitution()
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	if err := n.Store.Create(table.All()...); err != nil {
		t.Fatal(err)
	}
	if err := n.Store.Create(store.Table{Name: "kv.data"}); err != nil {
		t.Fatal(err)
	}
	var err error
	if n.Service, err = channel.NewService("test", true, n.Now); err != nil {
		t.Fatal(err)
	}
	return n
}

// ByRules2 has the network begin by rules 2, which know no committees: epochs are shared among the members.
func (n *Network) ByRules2() *Network {
	n.T.Helper()
	c := n.Constitution()
	c.Rules = 2
	if err := c.Complete(); err != nil {
		n.T.Fatal(err)
	}
	n.C = c
	return n
}

// XWing gives each member a new encryption key for X-Wing, and the network, before it begins, a constitution with these.
func (n *Network) XWing() *Network {
	n.T.Helper()
	for _, m := range n.Members {
		key, err := keys.NewMemberKey(keys.XWing)
		if err != nil {
			n.T.Fatal(err)
		}
		m.Encryption = key
	}
	c := n.Constitution()
	if err := c.Complete(); err != nil {
		n.T.Fatal(err)
	}
	n.C = c
	return n
}

// Constitution returns a constitution of the organisations, which is not completed.
func (n *Network) Constitution() *constitution.Constitution {
	c := &constitution.Constitution{
		Network:      constitution.Network{Name: "test", Insecure: true},
		Participants: []constitution.Participant{{Name: "guest", Certificate: n.Guest.Cert.Raw}},
		Code:         []constitution.Code{{Measurement: TestCode, Note: "the program"}},
		TEE:          []constitution.TEE{{Platform: virtual.Platform}},
		Adapters:     map[string]map[string]any{"kv": {"max": 5, "names": []string{"x", "y"}}},
	}
	for _, m := range n.Members {
		c.Members = append(c.Members, m.member())
	}
	return c
}

// Node makes the record of a new node of an owner, everything done right.
func (n *Network) Node(owner *Org, address string) table.NodeRecord {
	n.T.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		n.T.Fatal(err)
	}
	pkix, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		n.T.Fatal(err)
	}
	rec := table.NodeRecord{
		ID: sha256.Sum256(pkix), Owner: owner.Actor(), Address: address, ClientAddress: address, Key: pkix,
		OwnerCertificates: [][]byte{owner.Cert.Raw}, Nonce: make([]byte, 32), Time: uint64(n.Now.UnixMilli()),
	}
	n.signers[rec.ID] = key
	n.Finish(&rec, owner.Key, TestCode)
	return rec
}

// Finish makes the parts of a record that depend on the others.
func (n *Network) Finish(rec *table.NodeRecord, owner *ecdsa.PrivateKey, code coco.Measurement) {
	n.T.Helper()
	if err := members.SignNode(rec, owner); err != nil {
		n.T.Fatal(err)
	}
	q, err := virtual.NewQuoter(code)
	if err != nil {
		n.T.Fatal(err)
	}
	if rec.Evidence, err = attest.Quote(context.Background(), q, constitution.EvidenceContext, rec.Key, rec.Nonce); err != nil {
		n.T.Fatal(err)
	}
	rec.Measurement = code
	if rec.Certificate, err = n.Service.Endorse(rec.Key, rec.ID, []string{rec.Address}, true, n.Now, n.Now); err != nil {
		n.T.Fatal(err)
	}
}

// Verifiers check the evidence of the network's nodes.
var Verifiers = attest.Verifiers{virtual.Verifier{}}

// Signer returns the key of a node that Node made.
func (n *Network) Signer(id coco.NodeID) *ecdsa.PrivateKey { return n.signers[id] }

// Claims returns what a node's evidence claims.
func (n *Network) Claims(rec table.NodeRecord) attest.Claims {
	n.T.Helper()
	claims, err := Verifiers.Verify(rec.Evidence, n.Now)
	if err != nil {
		n.T.Fatal(err)
	}
	return claims
}

// Transact runs a transaction in a batch of its own and commits it if do returns no error.
func (n *Network) Transact(do func(tx *store.Tx) error) error {
	n.T.Helper()
	set := n.Store.Begin(2, uint64(n.Now.UnixMilli()))
	tx := set.Begin()
	if err := do(tx); err != nil {
		tx.Abort()
		return err
	}
	tx.Commit()
	n.Records = append(n.Records, set.Records()...)
	n.Times = append(n.Times, set.Time())
	if err := set.Install(); err != nil {
		n.T.Fatal(err)
	}
	n.Store.Commit(set.Next() - 1)
	return nil
}

// Genesis starts the network with a node of its first member, and returns it.
func (n *Network) Genesis() table.NodeRecord {
	n.T.Helper()
	rec := n.Node(n.Members[0], "alpha:7000")
	if err := n.Transact(func(tx *store.Tx) error { return n.WriteGenesis(tx, rec) }); err != nil {
		n.T.Fatal(err)
	}
	return rec
}

// WriteGenesis writes the first transaction.
func (n *Network) WriteGenesis(tx *store.Tx, rec table.NodeRecord) error {
	n.T.Helper()
	key, err := n.Service.MarshalKey()
	if err != nil {
		n.T.Fatal(err)
	}
	secret, err := members.WriteGenesis(tx, n.C, rec, n.Service.Certificate().Raw, key)
	n.Secrets[1] = secret
	return err
}

// Admit admits a node, which MUST succeed.
func (n *Network) Admit(rec table.NodeRecord) {
	n.T.Helper()
	claims := n.Claims(rec)
	if err := n.Transact(func(tx *store.Tx) error { return members.AdmitNode(tx, rec, claims) }); err != nil {
		n.T.Fatal(err)
	}
}

// States returns each node's state.
func (n *Network) States() map[coco.NodeID]table.NodeState {
	n.T.Helper()
	s := n.Store.Snapshot()
	defer s.Release()
	nodes, err := table.Nodes(s)
	if err != nil {
		n.T.Fatal(err)
	}
	out := map[coco.NodeID]table.NodeState{}
	for _, rec := range nodes {
		out[rec.ID] = rec.State
	}
	return out
}
