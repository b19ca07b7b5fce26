package gov

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

// WriteGenesis writes the beginning of a network into its first transaction: the constitution, its
// first node, the service's identity and the first epoch. The node is checked like any other; only
// its evidence is left to those who join, and to auditors. serviceKey goes into a private table.
// After an error the transaction MUST be aborted.
func WriteGenesis(tx *store.Tx, c *Constitution, rec NodeRecord, serviceCert []byte, epoch *keys.SealedEpoch, serviceKey keys.SecretBytes) error {
	if _, ok := tx.Get(ConstitutionTable, []byte(coreKey)); ok {
		return fmt.Errorf("%w: genesis: this network has a constitution already", coco.ErrInvalid)
	}
	if _, err := parseService(serviceCert); err != nil {
		return err
	}
	if len(serviceKey) == 0 || len(serviceKey) > maxServiceBytes {
		return fmt.Errorf("%w: genesis: a service key of %d bytes, expected 1 to %d", coco.ErrInvalid, len(serviceKey), maxServiceBytes)
	}
	done := c.completed()
	tx.Put(ConstitutionTable, []byte(coreKey), done.core)
	for _, name := range slices.Sorted(maps.Keys(done.settings)) {
		tx.Put(ConstitutionTable, []byte(settingsKey+name), done.settings[name])
	}
	tx.Put(ServiceTable, []byte(certificateKey), bytes.Clone(serviceCert))
	tx.Put(SecretsTable, []byte(serviceKeyRow), bytes.Clone(serviceKey))
	if err := WriteEpoch(tx, epoch); err != nil {
		return err
	}
	rec.Time = tx.Time()
	if rec.Measurement == "" {
		return rec.refuse(BadRecord, "the measurement is missing")
	}
	if err := checkNode(c, serviceCert, &rec); err != nil {
		return err
	}
	rec.State, rec.Since = Trusted, tx.Seqno()
	return putNode(tx, rec)
}

// AdmitNode trusts a node, given the claims of its evidence, which the caller has verified for the
// platform that the record names. It decides by the policy add_node: the owner is a member and has
// signed for the node, and the evidence is of listed code on a listed platform and bound to the
// node's key. The record's ID to Nonce and Certificate MUST be set. The error is a *Refusal if the
// node is not admitted; then nothing is written.
//
// A trusted node of the same owner at the same address is retired in the same transaction: the new
// one takes its place. Replaces tells which one that is.
func AdmitNode(tx *store.Tx, rec NodeRecord, claims attest.Claims) error {
	c, _, err := loadCore(tx)
	if err != nil {
		return err
	}
	service, err := ServiceCertificate(tx)
	if err != nil {
		return err
	}
	rec.Time = tx.Time()
	if rec.Measurement == "" {
		rec.Measurement = claims.Measurement
	}
	if err := checkNode(c, service, &rec); err != nil {
		return err
	}
	if err := checkClaims(c, &rec, claims); err != nil {
		return err
	}
	if _, ok := tx.Get(NodesTable, rec.ID[:]); ok {
		return rec.refuse(KnownNode, "its key is in the node list already: a node makes a new key whenever it starts")
	}
	old, replaces, err := Replaces(tx, rec.Owner, rec.Address)
	if err != nil {
		return err
	}
	rec.State, rec.Since = Trusted, tx.Seqno()
	if err := putNode(tx, rec); err != nil {
		return err
	}
	if replaces {
		return retire(tx, old)
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
	if err := rec.check(); err != nil {
		return err
	}
	if err := checkPlace(c, rec); err != nil {
		return err
	}
	return checkClaims(c, rec, claims)
}

// checkNode checks all that a record shows by itself.
func checkNode(c *Constitution, service []byte, rec *NodeRecord) error {
	if err := rec.check(); err != nil {
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
		return rec.refuse(UnlistedPlatform, "platform %q is not in the TEE manifest", platform)
	}
	if rec.Measurement == "" {
		return nil // the claims will say
	}
	if rec.Measurement.Platform() != platform {
		return rec.refuse(BadEvidence, "evidence of platform %q claims measurement %s", platform, rec.Measurement)
	}
	if !slices.Contains(c.Measurements(), rec.Measurement) {
		return rec.refuse(UnlistedCode, "it runs %s, which is not in the code manifest", rec.Measurement)
	}
	return nil
}

// checkClaims compares what the evidence claims with the record and the constitution.
func checkClaims(c *Constitution, rec *NodeRecord, claims attest.Claims) error {
	platform := rec.Evidence.Platform
	switch {
	case claims.Measurement.Platform() != platform:
		return rec.refuse(BadEvidence, "evidence of platform %q claims measurement %s", platform, claims.Measurement)
	case rec.Measurement != "" && rec.Measurement != claims.Measurement:
		return rec.refuse(BadEvidence, "the record says measurement %s, its evidence %s", rec.Measurement, claims.Measurement)
	case (claims.Insecure || platform == Virtual) && !c.Network.Insecure:
		return rec.refuse(InsecureTEE, "platform %q is simulated and network.insecure is not set", platform)
	}
	err := attest.Check(claims, EvidenceContext, rec.Key, rec.Nonce, c.Measurements())
	if err == nil {
		return nil
	}
	reason := BadEvidence
	switch {
	case errors.Is(err, attest.ErrDebug):
		reason = DebugTEE
	case errors.Is(err, attest.ErrMeasurement):
		reason = UnlistedCode
	}
	return &Refusal{rec.ID, reason, err.Error(), err}
}

// checkEndorsed checks that the service has certified the node's key.
func checkEndorsed(service []byte, rec *NodeRecord) error {
	issuer, err := parseService(service)
	if err != nil {
		return err
	}
	if n := len(rec.Certificate); n == 0 || n > maxCertificate {
		return rec.refuse(BadCertificate, "its certificate has %d bytes, expected 1 to %d", n, maxCertificate)
	}
	cert, err := x509.ParseCertificate(rec.Certificate)
	if err != nil {
		return rec.refuse(BadCertificate, "its certificate is not X.509: %v", err)
	}
	if !bytes.Equal(cert.RawSubjectPublicKeyInfo, rec.Key) {
		return rec.refuse(BadCertificate, "its certificate is for another key")
	}
	if err := cert.CheckSignatureFrom(issuer); err != nil {
		return rec.refuse(BadCertificate, "its certificate was not issued by this network's service: %v", err)
	}
	return nil
}

func putNode(tx *store.Tx, rec NodeRecord) error {
	b, err := encode(rec)
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

// WriteEpoch announces an epoch: the first one is 1, every further one the next number. Its shares
// MUST be the members', with the constitution's threshold.
func WriteEpoch(tx *store.Tx, sealed *keys.SealedEpoch) error {
	c, _, err := loadCore(tx)
	if err != nil {
		return err
	}
	epochs, err := Epochs(tx)
	if err != nil {
		return err
	}
	last := uint64(0)
	if n := len(epochs); n > 0 {
		last = epochs[n-1].Epoch
	}
	if err := checkEpoch(c, last, sealed); err != nil {
		return err
	}
	b, err := sealed.Marshal()
	if err != nil {
		return err
	}
	rec, err := encode(EpochRecord{sealed.Epoch, tx.Seqno(), b})
	if err != nil {
		return fmt.Errorf("epoch record: %w", err)
	}
	tx.Put(EpochsTable, epochKey(sealed.Epoch), rec)
	return nil
}

// checkEpoch checks the epoch that follows the last one.
func checkEpoch(c *Constitution, last uint64, sealed *keys.SealedEpoch) error {
	if sealed.Epoch != last+1 {
		return fmt.Errorf("%w: epoch %d: expected %d", coco.ErrInvalid, sealed.Epoch, last+1)
	}
	if sealed.Threshold() != c.Shares.Threshold {
		return fmt.Errorf("%w: epoch %d: a threshold of %d, expected the constitution's, %d", coco.ErrInvalid, sealed.Epoch, sealed.Threshold(), c.Shares.Threshold)
	}
	if len(sealed.Shares) != len(c.Members) {
		return fmt.Errorf("%w: epoch %d: %d shares, expected one for each of %d members", coco.ErrInvalid, sealed.Epoch, len(sealed.Shares), len(c.Members))
	}
	for _, s := range sealed.Shares {
		if m, ok := c.Member(s.Actor); !ok || !bytes.Equal(m.EncryptionKey, s.Key) {
			return fmt.Errorf("%w: epoch %d: the share of actor %s is not for a member's encryption key", coco.ErrInvalid, sealed.Epoch, s.Actor.Short())
		}
	}
	return nil
}
