package gov

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
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
	tx.Put(ConstitutionTable, []byte(coreKey), c.Canonical())
	for _, name := range slices.Sorted(maps.Keys(c.AdapterDigests())) {
		tx.Put(ConstitutionTable, []byte(settingsKey+name), c.Settings(name))
	}
	if err := CheckGenesis(c, tx.Time()); err != nil {
		return err
	}
	if err := putVersion(tx, c, coco.Digest{}, map[string][]byte{}); err != nil {
		return err
	}
	tx.Put(ServiceTable, []byte(certificateKey), bytes.Clone(serviceCert))
	tx.Put(SecretsTable, []byte(serviceKeyRow), bytes.Clone(serviceKey))
	if err := WriteEpoch(tx, epoch); err != nil {
		return err
	}
	rec.Time = tx.Time()
	if rec.Measurement == "" {
		return refuse(&rec, BadRecord, "the measurement is missing")
	}
	if err := checkNode(c, serviceCert, &rec); err != nil {
		return err
	}
	rec.State, rec.Since = Trusted, tx.Seqno()
	return putNode(tx, rec)
}

// WriteEpoch announces an epoch: the first one is 1, every further one the next number. Its shares
// MUST be the members', with the constitution's threshold.
func WriteEpoch(tx *store.Tx, sealed *keys.SealedEpoch) error {
	c, err := loadCore(tx)
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
	rec, err := canon.Marshal(EpochRecord{sealed.Epoch, tx.Seqno(), b})
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
