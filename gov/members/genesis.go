package members

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

// WriteGenesis writes the beginning of a network into its first transaction: the constitution, its
// first node, the service's identity and the first epoch, whose secret it returns. From rules 3 on the epoch is sealed to a committee, which this node deals. The node is
// checked like any other; only its evidence is left to those who join, and to auditors. serviceKey goes into a private table.
// After an error the transaction MUST be aborted.
func WriteGenesis(tx *store.Tx, c *constitution.Constitution, rec table.NodeRecord, serviceCert []byte, serviceKey keys.SecretBytes) (keys.Secret, error) {
	if err := writeGenesis(tx, c, serviceCert, serviceKey); err != nil {
		return keys.Secret{}, err
	}
	secret, err := firstEpoch(tx, c, rec.ID)
	if err != nil {
		return keys.Secret{}, err
	}
	rec.Time = tx.Time()
	if rec.Measurement == "" {
		return keys.Secret{}, refuse(&rec, BadRecord, "the measurement is missing")
	}
	if err := checkNode(c, serviceCert, &rec); err != nil {
		return keys.Secret{}, err
	}
	rec.State, rec.Since = table.Trusted, tx.Seqno()
	return secret, table.PutNode(tx, rec)
}

// firstEpoch announces epoch 1, and brings the first committee into force before that.
func firstEpoch(tx *store.Tx, c *constitution.Constitution, node coco.NodeID) (keys.Secret, error) {
	if c.Rules >= 3 {
		if err := ceremony.Deal(tx, node); err != nil {
			return keys.Secret{}, err
		}
		secret, _, err := ceremony.Announce(tx)
		return secret, err
	}
	secret, epoch, err := keys.NewEpoch(1, c.Recipients(), c.Shares.Threshold)
	if err != nil {
		return keys.Secret{}, err
	}
	return secret, WriteEpoch(tx, epoch)
}

// writeGenesis writes the constitution and the service's identity.
func writeGenesis(tx *store.Tx, c *constitution.Constitution, serviceCert []byte, serviceKey keys.SecretBytes) error {
	if _, ok := tx.Get(table.ConstitutionTable, []byte(table.CoreKey)); ok {
		return fmt.Errorf("%w: genesis: this network has a constitution already", coco.ErrInvalid)
	}
	if _, err := ParseService(serviceCert); err != nil {
		return err
	}
	if len(serviceKey) == 0 || len(serviceKey) > table.MaxServiceBytes {
		return fmt.Errorf("%w: genesis: a service key of %d bytes, expected 1 to %d", coco.ErrInvalid, len(serviceKey), table.MaxServiceBytes)
	}
	tx.Put(table.ConstitutionTable, []byte(table.CoreKey), c.Canonical())
	for _, name := range slices.Sorted(maps.Keys(c.AdapterDigests())) {
		tx.Put(table.ConstitutionTable, []byte(table.SettingsKey+name), c.Settings(name))
	}
	if err := decide.CheckGenesis(c, tx.Time()); err != nil {
		return err
	}
	if err := table.PutVersion(tx, c, coco.Digest{}, map[string][]byte{}); err != nil {
		return err
	}
	tx.Put(table.ServiceTable, []byte(table.CertificateKey), bytes.Clone(serviceCert))
	tx.Put(table.SecretsTable, []byte(table.ServiceKeyRow), bytes.Clone(serviceKey))
	return nil
}

// WriteEpoch announces an epoch that is shared among the members, in a network that has no committee yet (else ceremony.Announce): the first one is 1, every further one the next number. Its shares
// MUST be the members', with the constitution's threshold.
func WriteEpoch(tx *store.Tx, sealed *keys.SealedEpoch) error {
	c, err := table.LoadCore(tx)
	if err != nil {
		return err
	}
	if n := table.LastCommittee(tx); n > 0 {
		return fmt.Errorf("%w: epoch %d is shared among the members: expected one that is sealed to committee %d", coco.ErrInvalid, sealed.Epoch, n)
	}
	if err := CheckEpoch(c, table.LastEpoch(tx), sealed); err != nil {
		return err
	}
	b, err := sealed.Marshal()
	if err != nil {
		return err
	}
	row := table.EpochRecord{Epoch: sealed.Epoch, Since: tx.Seqno(), Sealed: b}
	if c.Rules >= 2 {
		row.Time = tx.Time()
	}
	rec, err := canon.Marshal(row)
	if err != nil {
		return fmt.Errorf("epoch record: %w", err)
	}
	tx.Put(table.EpochsTable, table.EpochKey(sealed.Epoch), rec)
	return nil
}

// CheckEpoch checks the epoch that follows the last one.
func CheckEpoch(c *constitution.Constitution, last uint64, sealed *keys.SealedEpoch) error {
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
