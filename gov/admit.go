package gov

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/canon"
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
func AdmitNode(tx *store.Tx, rec NodeRecord, claims attest.Claims) error {
	c, err := vet(tx, &rec, claims)
	if err != nil {
		return err
	}
	if err := checkAdmitted(tx, c, &rec); err != nil {
		return err
	}
	return trust(tx, rec)
}

// RecoverNode trusts the node that begins a recovery, and retires all others. Its owner is a member;
// for the rest it is as AdmitNode, but that no vote is needed: those who could vote have given their shares.
func RecoverNode(tx *store.Tx, rec NodeRecord, claims attest.Claims) error {
	c, err := vet(tx, &rec, claims)
	if err != nil {
		return err
	}
	if err := checkRecovery(c, &rec); err != nil {
		return err
	}
	if err := trust(tx, rec); err != nil {
		return err
	}
	return SetNodes(tx, rec.ID)
}

func checkRecovery(c *Constitution, rec *NodeRecord) error {
	if role, _ := c.Role(rec.Owner); role != coco.Member {
		return refuse(rec, UnlistedOwner, "its owner %q is a participant; only members begin a recovery", c.Name(rec.Owner))
	}
	return nil
}

// PendNode puts a node into the list that AdmitNode has refused for NotVotedIn, so that the members see
// it. All else about it is in order. It needs no Certificate. A pending node of the same owner at
// the same address gives way to it; asking again with the same key changes nothing.
func PendNode(tx *store.Tx, rec NodeRecord, claims attest.Claims) error {
	c, err := loadCore(tx)
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
	nodes, err := Nodes(tx)
	if err != nil {
		return err
	}
	if again, err := checkPending(nodes, &rec); again || err != nil {
		return err
	}
	for _, old := range nodes {
		if old.State == Pending && old.Owner == rec.Owner && old.Address == rec.Address {
			if err := retire(tx, old); err != nil {
				return err
			}
		}
	}
	rec.State, rec.Since = Pending, tx.Seqno()
	return putNode(tx, rec)
}

// maxPending bounds the pending nodes of one owner.
const maxPending = 16

// checkPending says whether a node may wait; again tells that it does already.
func checkPending(nodes []NodeRecord, rec *NodeRecord) (again bool, err error) {
	mine := 0
	for i := range nodes {
		old := &nodes[i]
		switch {
		case old.ID == rec.ID && old.State == Pending:
			return true, nil
		case old.ID == rec.ID:
			return false, refuse(rec, KnownNode, "its key is in the node list already: a node makes a new key whenever it starts")
		case old.State == Pending && old.Owner == rec.Owner && old.Address != rec.Address:
			mine++
		}
	}
	if mine >= maxPending {
		return false, refuse(rec, NotVotedIn, "%d other nodes of its owner wait for a vote, expected at most %d", mine, maxPending-1)
	}
	return false, nil
}

// vet checks all about a node but whether the members want it.
func vet(tx *store.Tx, rec *NodeRecord, claims attest.Claims) (*Constitution, error) {
	c, err := loadCore(tx)
	if err != nil {
		return nil, err
	}
	service, err := ServiceCertificate(tx)
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
	if err := checkClaims(c, rec, claims); err != nil {
		return nil, err
	}
	if b, ok := tx.Get(NodesTable, rec.ID[:]); ok {
		old, err := decodeNode(b)
		if err != nil {
			return nil, err
		}
		if old.State != Pending {
			return nil, refuse(rec, KnownNode, "its key is in the node list already: a node makes a new key whenever it starts")
		}
	}
	return c, nil
}

// checkAdmitted says whether the members want a node: by a vote about its place, or by the policy add_node.
func checkAdmitted(r store.Reader, c *Constitution, rec *NodeRecord) error {
	place, voted, err := row[PlaceRecord](r, PlacesTable, placeKey(rec.Owner, rec.Address), maxRecord)
	switch {
	case err != nil:
		return err
	case voted && place.Removed:
		return refuse(rec, NotVotedIn, "a vote has removed %s of %q: it needs another one to come back", rec.Address, c.Name(rec.Owner))
	case voted:
		return nil
	}
	nodes, err := TrustedNodes(r)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(nodes, func(n NodeRecord) bool { return n.Owner == rec.Owner && n.Address == rec.Address }) {
		return nil // it takes that one's place
	}
	if admits, err := Admits(c, nodes, rec); err != nil || !admits {
		return refuse(rec, NotVotedIn, "the policy %s, %s, does not admit it without a vote: a member proposes add-node for %s of %q", PolicyAddNode, c.Policies[PolicyAddNode], rec.Address, c.Name(rec.Owner))
	}
	return nil
}

// trust makes a node trusted, and retires the one whose place it takes.
func trust(tx *store.Tx, rec NodeRecord) error {
	nodes, err := nodesOf(tx, Trusted, Pending)
	if err != nil {
		return err
	}
	rec.State, rec.Since = Trusted, tx.Seqno()
	if err := putNode(tx, rec); err != nil {
		return err
	}
	for _, old := range nodes {
		if old.State != Retired && old.ID != rec.ID && old.Owner == rec.Owner && old.Address == rec.Address {
			if err := retire(tx, old); err != nil {
				return err
			}
		}
	}
	return nil
}

// Replaces returns the trusted node, if any, whose place a new one of this owner at this address
// takes.
func Replaces(r store.Reader, owner coco.ActorID, address string) (NodeRecord, bool, error) {
	nodes, err := TrustedNodes(r)
	if err != nil {
		return NodeRecord{}, false, err
	}
	for _, rec := range nodes {
		if rec.Owner == owner && rec.Address == address {
			return rec, true, nil
		}
	}
	return NodeRecord{}, false, nil
}

// CheckNode says whether AdmitNode would admit a node, as far as the constitution alone decides:
// its form, its owner and its evidence. The record needs no Certificate yet, but a Time. The error
// is a *Refusal.
func CheckNode(c *Constitution, rec *NodeRecord, claims attest.Claims) error {
	if err := checkForm(rec); err != nil {
		return err
	}
	if err := checkPlace(c, rec); err != nil {
		return err
	}
	return checkClaims(c, rec, claims)
}

// checkNode checks all that a record shows by itself.
func checkNode(c *Constitution, service []byte, rec *NodeRecord) error {
	if err := checkForm(rec); err != nil {
		return err
	}
	if err := checkPlace(c, rec); err != nil {
		return err
	}
	return checkEndorsed(service, rec)
}

// checkPlace compares a record with the constitution's lists.
func checkPlace(c *Constitution, rec *NodeRecord) error {
	if err := VerifyOwner(c, rec); err != nil {
		return err
	}
	platform := rec.Evidence.Platform
	if !slices.ContainsFunc(c.TEE, func(t TEE) bool { return t.Platform == platform }) {
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

// checkClaims compares what the evidence claims with the record and the constitution.
func checkClaims(c *Constitution, rec *NodeRecord, claims attest.Claims) error {
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

// checkEndorsed checks that the service has certified the node's key.
func checkEndorsed(service []byte, rec *NodeRecord) error {
	issuer, err := parseService(service)
	if err != nil {
		return err
	}
	if n := len(rec.Certificate); n == 0 || n > maxCertificate {
		return refuse(rec, BadCertificate, "its certificate has %d bytes, expected 1 to %d", n, maxCertificate)
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

func putNode(tx *store.Tx, rec NodeRecord) error {
	b, err := canon.Marshal(rec)
	if err != nil {
		return fmt.Errorf("node record: %w", err)
	}
	tx.Put(NodesTable, rec.ID[:], b)
	return nil
}

func retire(tx *store.Tx, rec NodeRecord) error {
	rec.State, rec.Since = Retired, tx.Seqno()
	return putNode(tx, rec)
}

// RetireNode takes a node out of the network for good. Retiring it again does nothing.
func RetireNode(tx *store.Tx, id coco.NodeID) error {
	rec, err := Node(tx, id)
	if err != nil || rec.State == Retired {
		return err
	}
	return retire(tx, rec)
}

// SetNodes retires every node except those to keep, which MUST be trusted: recovery starts from
// one node, which AdmitNode has admitted in the same transaction.
func SetNodes(tx *store.Tx, keep ...coco.NodeID) error {
	nodes, err := TrustedNodes(tx)
	if err != nil {
		return err
	}
	for _, id := range keep {
		if !slices.ContainsFunc(nodes, func(rec NodeRecord) bool { return rec.ID == id }) {
			return fmt.Errorf("%w: node %s is to be kept, but it is not trusted", coco.ErrInvalid, id.Short())
		}
	}
	for _, rec := range nodes {
		if slices.Contains(keep, rec.ID) {
			continue
		}
		if err := retire(tx, rec); err != nil {
			return err
		}
	}
	return nil
}
