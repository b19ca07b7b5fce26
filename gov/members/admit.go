package members

import (
	"bytes"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// AdmitNode trusts a node, given the claims of its evidence, which the caller has verified for the
// platform that the record names. The owner has signed for the node, the evidence is of listed code on a
// listed platform and bound to the node's key, and the node is in a place that a vote has admitted or
// that another node of its owner has now, or the policy add_node accepts it without a vote. The
// record's ID to Nonce and Certificate MUST be set. The error is a *Refusal if the node is not
// admitted; then nothing is written. If the Reason is NotVotedIn, PendNode makes it known to those who vote.
//
// A trusted node of the same owner at the same address is retired in the same transaction: the new
// one takes its place. Replaces tells which one that is.
func AdmitNode(tx *store.Tx, rec table.NodeRecord, claims attest.Claims) error {
	c, err := vet(tx, &rec, claims)
	if err != nil {
		return err
	}
	if err := CheckAdmitted(tx, c, &rec); err != nil {
		return err
	}
	return trust(tx, rec)
}

// RecoverNode trusts the node that begins a recovery, and retires all others. Its owner is a member;
// for the rest it is as AdmitNode, but that no vote is needed: those who could vote have given their shares.
func RecoverNode(tx *store.Tx, rec table.NodeRecord, claims attest.Claims) error {
	c, err := vet(tx, &rec, claims)
	if err != nil {
		return err
	}
	if err := CheckRecovery(c, &rec); err != nil {
		return err
	}
	if err := trust(tx, rec); err != nil {
		return err
	}
	return SetNodes(tx, rec.ID)
}

// CheckRecovery checks that a node may begin a recovery: its owner is a member. The error is a *Refusal.
func CheckRecovery(c *constitution.Constitution, rec *table.NodeRecord) error {
	if role, _ := c.Role(rec.Owner); role != coco.Member {
		return refuse(rec, UnlistedOwner, "its owner %q is a participant; only members begin a recovery", c.Name(rec.Owner))
	}
	return nil
}

// PendNode puts a node into the list that AdmitNode has refused for NotVotedIn, so that the members see
// it. All else about it is in order. It needs no Certificate. A pending node of the same owner at
// the same address gives way to it; asking again with the same key changes nothing.
func PendNode(tx *store.Tx, rec table.NodeRecord, claims attest.Claims) error {
	c, err := table.LoadCore(tx)
	if err != nil {
		return err
	}
	rec.Time, rec.Certificate = tx.Time(), nil
	if rec.Measurement == "" {
		rec.Measurement = claims.Measurement
	}
	if err := CheckNode(c, &rec, claims); err != nil {
		return err
	}
	if err := CheckName(tx, c, &rec); err != nil {
		return err
	}
	nodes, err := table.NodesOf(tx, table.Pending)
	if err != nil {
		return err
	}
	if old, err := table.Node(tx, rec.ID); err == nil {
		nodes = append(nodes, old)
	} else if !errors.Is(err, coco.ErrNotFound) {
		return err
	}
	if again, err := CheckPending(nodes, &rec); again || err != nil {
		return err
	}
	for _, old := range nodes {
		if old.State == table.Pending && old.Owner == rec.Owner && old.Address == rec.Address {
			if err := table.Retire(tx, old); err != nil {
				return err
			}
		}
	}
	rec.State, rec.Since = table.Pending, tx.Seqno()
	return table.PutNode(tx, rec)
}

// maxPending bounds the pending nodes of one owner.
const maxPending = 16

// CheckPending says whether a node may wait; again tells that it does already.
func CheckPending(nodes []table.NodeRecord, rec *table.NodeRecord) (again bool, err error) {
	mine := 0
	for i := range nodes {
		old := &nodes[i]
		switch {
		case old.ID == rec.ID && old.State == table.Pending:
			return true, nil
		case old.ID == rec.ID:
			return false, refuse(rec, KnownNode, "its key is in the node list already: a node makes a new key whenever it starts")
		case old.State == table.Pending && old.Owner == rec.Owner && old.Address != rec.Address:
			mine++
		}
	}
	if mine >= maxPending {
		return false, refuse(rec, NotVotedIn, "%d other nodes of its owner wait for a vote, expected at most %d", mine, maxPending-1)
	}
	return false, nil
}

// vet checks all about a node but whether the members want it.
func vet(tx *store.Tx, rec *table.NodeRecord, claims attest.Claims) (*constitution.Constitution, error) {
	c, err := table.LoadCore(tx)
	if err != nil {
		return nil, err
	}
	service, err := table.ServiceCertificate(tx)
	if err != nil {
		return nil, err
	}
	rec.Time = tx.Time()
	if rec.Measurement == "" {
		rec.Measurement = claims.Measurement
	}
	if err := checkNode(c, service, rec); err != nil {
		return nil, err
	}
	if err := CheckClaims(c, rec, claims); err != nil {
		return nil, err
	}
	if err := CheckName(tx, c, rec); err != nil {
		return nil, err
	}
	if b, ok := tx.Get(table.NodesTable, rec.ID[:]); ok {
		old, err := table.DecodeNode(b)
		if err != nil {
			return nil, err
		}
		if old.State != table.Pending {
			return nil, refuse(rec, KnownNode, "its key is in the node list already: a node makes a new key whenever it starts")
		}
	}
	return c, nil
}

// nameBytes is how many bytes of a node's id name it in consensus: see consensus.IDOf.
const nameBytes = 8

// CheckName says whether a node's name in consensus is its own: not that of another node, also of one that has retired, nor zero, which names
// no node. Keys are made at random, so it never happens unless somebody has searched for such a key. From rules 2 on. The error is a *Refusal.
func CheckName(r store.Reader, c *constitution.Constitution, rec *table.NodeRecord) error {
	if c.Rules < 2 {
		return nil
	}
	from := rec.ID[:nameBytes]
	name := binary.BigEndian.Uint64(from)
	var to []byte
	if name < math.MaxUint64 {
		to = binary.BigEndian.AppendUint64(nil, name+1)
	}
	var other []byte
	r.Range(table.NodesTable, from, to, func(id, _ []byte) bool {
		if !bytes.Equal(id, rec.ID[:]) {
			other = bytes.Clone(id)
		}
		return other == nil
	})
	switch {
	case name == 0:
		return refuse(rec, KnownNode, "its id begins with %d zero bytes, which name no node in consensus: started again, it has another id", nameBytes)
	case other != nil:
		return refuse(rec, KnownNode, "its id begins with the same %d bytes as that of node %x, which name that one in consensus: started again, it has another id", nameBytes, other)
	}
	return nil
}

// CheckAdmitted says whether the members want a node: by a vote about its place, or by the policy add_node.
func CheckAdmitted(r store.Reader, c *constitution.Constitution, rec *table.NodeRecord) error {
	if err := checkOpen(r, rec); err != nil {
		return err
	}
	place, voted, err := table.Get[table.PlaceRecord](r, table.PlacesTable, table.PlaceKey(rec.Owner, rec.Address), table.MaxRecord)
	switch {
	case err != nil:
		return err
	case voted && place.Left():
		return refuse(rec, NotVotedIn, "the node at %s of %q has left for good, in its owner's name: it needs a vote to come back", rec.Address, c.Name(rec.Owner))
	case voted && place.Removed:
		return refuse(rec, NotVotedIn, "a vote has removed %s of %q: it needs another one to come back", rec.Address, c.Name(rec.Owner))
	case voted:
		return nil
	}
	nodes, err := table.TrustedNodes(r)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(nodes, func(n table.NodeRecord) bool { return n.Owner == rec.Owner && n.Address == rec.Address }) {
		return nil // it takes that one's place
	}
	if admits, err := decide.Admits(c, nodes, rec); err != nil || !admits {
		return refuse(rec, NotVotedIn, "the policy %s, %s, does not admit it without a vote: a member proposes add-node for %s of %q", constitution.PolicyAddNode, c.Policies[constitution.PolicyAddNode], rec.Address, c.Name(rec.Owner))
	}
	if decide.Crowded(c, nodes, rec.Owner, rec.Address) {
		return refuse(rec, NotVotedIn, "%q has %d other nodes or more, and nodes.automatic is %d: a member proposes add-node for %s of %q", c.Name(rec.Owner), c.Nodes.Automatic, c.Nodes.Automatic, rec.Address, c.Name(rec.Owner))
	}
	return nil
}

// LeaveNode takes a node out of the network for good, in the name of its owner. Leaving again does nothing. From rules 2 on, a
// vote must admit the next node in its place: what has left does not come back by the policy add_node.
func LeaveNode(tx *store.Tx, id coco.NodeID) error {
	rec, err := table.Node(tx, id)
	if err != nil || rec.State == table.Retired {
		return err
	}
	c, err := table.LoadCore(tx)
	if err != nil {
		return err
	}
	if c.Rules >= 2 {
		if err := table.Put(tx, table.PlacesTable, table.PlaceKey(rec.Owner, rec.Address), table.LeftPlace(&rec, tx.Seqno())); err != nil {
			return err
		}
	}
	return table.Retire(tx, rec)
}

// trust makes a node trusted, and retires the one whose place it takes.
func trust(tx *store.Tx, rec table.NodeRecord) error {
	nodes, err := table.NodesOf(tx, table.Trusted, table.Pending)
	if err != nil {
		return err
	}
	rec.State, rec.Since = table.Trusted, tx.Seqno()
	if err := table.PutNode(tx, rec); err != nil {
		return err
	}
	for _, old := range nodes {
		if old.State != table.Retired && old.ID != rec.ID && old.Owner == rec.Owner && old.Address == rec.Address {
			if err := table.Retire(tx, old); err != nil {
				return err
			}
		}
	}
	return nil
}

// Replaces returns the trusted node, if any, whose place a new one of this owner at this address
// takes.
func Replaces(r store.Reader, owner coco.ActorID, address string) (table.NodeRecord, bool, error) {
	nodes, err := table.TrustedNodes(r)
	if err != nil {
		return table.NodeRecord{}, false, err
	}
	for _, rec := range nodes {
		if rec.Owner == owner && rec.Address == address {
			return rec, true, nil
		}
	}
	return table.NodeRecord{}, false, nil
}

// CheckNode says whether AdmitNode would admit a node, as far as the constitution alone decides:
// its form, its owner and its evidence. The record needs no Certificate yet, but a Time. The error
// is a *Refusal.
func CheckNode(c *constitution.Constitution, rec *table.NodeRecord, claims attest.Claims) error {
	if err := CheckForm(rec); err != nil {
		return err
	}
	if err := CheckPlace(c, rec); err != nil {
		return err
	}
	return CheckClaims(c, rec, claims)
}

// checkNode checks all that a record shows by itself.
func checkNode(c *constitution.Constitution, service []byte, rec *table.NodeRecord) error {
	if err := CheckForm(rec); err != nil {
		return err
	}
	if err := CheckPlace(c, rec); err != nil {
		return err
	}
	return CheckEndorsed(service, rec)
}

// CheckPlace compares a record with the constitution's lists.
func CheckPlace(c *constitution.Constitution, rec *table.NodeRecord) error {
	if err := VerifyOwner(c, rec); err != nil {
		return err
	}
	platform := rec.Evidence.Platform
	if !slices.ContainsFunc(c.TEE, func(t constitution.TEE) bool { return t.Platform == platform }) {
		return refuse(rec, UnlistedPlatform, "platform %q is not in the TEE manifest", platform)
	}
	if rec.Measurement == "" {
		return nil // the claims will say
	}
	if !slices.Contains(c.Measurements(), rec.Measurement) {
		return refuse(rec, UnlistedCode, "it runs %s, which is not in the code manifest", rec.Measurement)
	}
	return nil
}

// CheckClaims compares what the evidence claims with the record and the constitution.
func CheckClaims(c *constitution.Constitution, rec *table.NodeRecord, claims attest.Claims) error {
	switch {
	case claims.Platform != rec.Evidence.Platform:
		return refuse(rec, BadEvidence, "the record names platform %q, the evidence is of platform %q", rec.Evidence.Platform, claims.Platform)
	case rec.Measurement != "" && rec.Measurement != claims.Measurement:
		return refuse(rec, BadEvidence, "the record says measurement %s, its evidence %s", rec.Measurement, claims.Measurement)
	}
	if err := c.CheckEvidence(claims, rec.Key, rec.Nonce); err != nil {
		return &Refusal{rec.ID, evidenceReason(err), err.Error(), err}
	}
	return nil
}

func evidenceReason(err error) Reason {
	for _, r := range []struct {
		err    error
		reason Reason
	}{
		{attest.ErrPlatform, UnlistedPlatform},
		{attest.ErrInsecure, InsecureTEE},
		{attest.ErrDebug, DebugTEE},
		{attest.ErrTCB, OldTEE},
		{attest.ErrPolicy, TEEPolicy},
		{attest.ErrMeasurement, UnlistedCode},
	} {
		if errors.Is(err, r.err) {
			return r.reason
		}
	}
	return BadEvidence
}

// CheckEndorsed checks that the service has certified the node's key.
func CheckEndorsed(service []byte, rec *table.NodeRecord) error {
	issuer, err := ParseService(service)
	if err != nil {
		return err
	}
	if n := len(rec.Certificate); n == 0 || n > constitution.MaxCertificate {
		return refuse(rec, BadCertificate, "its certificate has %d bytes, expected 1 to %d", n, constitution.MaxCertificate)
	}
	cert, err := x509.ParseCertificate(rec.Certificate)
	if err != nil {
		return refuse(rec, BadCertificate, "its certificate is not X.509: %v", err)
	}
	if !bytes.Equal(cert.RawSubjectPublicKeyInfo, rec.Key) {
		return refuse(rec, BadCertificate, "its certificate is for another key")
	}
	if err := cert.CheckSignatureFrom(issuer); err != nil {
		return refuse(rec, BadCertificate, "its certificate was not issued by this network's service: %v", err)
	}
	return nil
}

// SetNodes retires every node except those to keep, which MUST be trusted: recovery starts from
// one node, which AdmitNode has admitted in the same transaction.
func SetNodes(tx *store.Tx, keep ...coco.NodeID) error {
	nodes, err := table.TrustedNodes(tx)
	if err != nil {
		return err
	}
	for _, id := range keep {
		if !slices.ContainsFunc(nodes, func(rec table.NodeRecord) bool { return rec.ID == id }) {
			return fmt.Errorf("%w: node %s is to be kept, but it is not trusted", coco.ErrInvalid, id.Short())
		}
	}
	for _, rec := range nodes {
		if slices.Contains(keep, rec.ID) {
			continue
		}
		if err := table.Retire(tx, rec); err != nil {
			return err
		}
	}
	return nil
}
