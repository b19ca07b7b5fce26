package ceremony

import (
	"bytes"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/store"
)

// Install brings the committee of a ceremony that is done into force, with a new archive, and returns the archive's secret. If the archive holds the secret of the one before, the row of the
// committee before is reduced: members open it through the new one. The same transaction MUST announce an epoch afterwards. The error is coco.ErrInvalid if no ceremony is done, and
// coco.ErrVerify if past.Earlier does not open the archive before.
func (b *Book) Install(tx *store.Tx, past archive.Past) (keys.Secret, error) {
	rec, c, err := b.made(tx)
	if err != nil {
		return keys.Secret{}, err
	}
	of, err := place(tx, rec.Number, rec.Version)
	if err != nil {
		return keys.Secret{}, err
	}
	if past.Earlier != nil {
		if err := opens(tx, *past.Earlier, rec.Number-1, of.Network); err != nil {
			return keys.Secret{}, err
		}
	}
	a, secret, err := archive.New(c, of, past)
	if err != nil {
		return keys.Secret{}, err
	}
	if rec.Archive, err = a.Marshal(); err != nil {
		return keys.Secret{}, err
	}
	return secret, b.install(tx, rec, a)
}

// opens says whether a secret opens the archive of a committee. No audit can see that, and with the new archive in force the seats' packages leave the tables.
func opens(r store.Reader, secret keys.Secret, number uint64, network coco.Digest) error {
	rec, err := table.Committee(r, number)
	if err != nil {
		return err
	}
	a, of, err := rec.ParseArchive(network)
	if err != nil {
		return err
	}
	_, err = a.Unlock(secret, of)
	return err
}

// InstallAs is Install with an archive that is there: for an audit.
func (b *Book) InstallAs(tx *store.Tx, encoded []byte) error {
	rec, c, err := b.made(tx)
	if err != nil {
		return err
	}
	rec.Archive = bytes.Clone(encoded)
	a, err := checkArchive(tx, &rec, c)
	if err != nil {
		return err
	}
	return b.install(tx, rec, a)
}

// made returns the record of the committee that a ceremony has made, without its archive.
func (b *Book) made(tx *store.Tx) (rec table.CommitteeRecord, c *committee.Committee, err error) {
	last, has, err := table.NewestCeremony(tx)
	if err != nil {
		return rec, nil, err
	}
	if !has || last.State != table.CeremonyDone {
		return rec, nil, fmt.Errorf("%w: no ceremony is done whose committee is not in force", coco.ErrInvalid)
	}
	if err := b.follow(tx, last); err != nil {
		return rec, nil, err
	}
	if c, err = b.at.Committee(); err != nil {
		return rec, nil, err
	}
	to, err := Recipients(tx, &last)
	if err != nil {
		return rec, nil, err
	}
	rec = table.CommitteeRecord{
		Number: table.LastCommittee(tx) + 1, Version: last.Session.Version, Session: b.at.Digest(), Ceremony: last.Number,
		Since: tx.Seqno(), Time: tx.Time(), Commitment: c.Key().Commitment(),
	}
	for i, s := range c.Seats() {
		rec.Seats = append(rec.Seats, table.SeatRecord{
			Actor: s.Actor, Node: last.Acting[i], Encryption: s.Encryption, To: to[i], Package: b.at.Sealed(uint32(i + 1)),
		})
	}
	return rec, c, nil
}

// install writes the rows, given the parsed archive.
func (b *Book) install(tx *store.Tx, rec table.CommitteeRecord, a *archive.Archive) error {
	last, err := table.Ceremony(tx, rec.Ceremony)
	if err != nil {
		return err
	}
	if err := b.sweep(tx, last.Number); err != nil {
		return err
	}
	last.State, last.Ended = table.CeremonyInstalled, tx.Seqno()
	if err := table.PutCeremony(tx, last); err != nil {
		return err
	}
	if err := table.PutCommittee(tx, rec); err != nil || rec.Number == 1 || len(a.Earlier) == 0 {
		return err // members open the archive before by its own seats
	}
	before, err := table.Committee(tx, rec.Number-1)
	if err != nil {
		return err
	}
	if before, err = before.Reduce(tx.Seqno()); err != nil {
		return err
	}
	return table.PutCommittee(tx, before)
}

// place returns what is sealed to a committee in this transaction is bound to.
func place(r store.Reader, number, version uint64) (of archive.Of, err error) {
	of.Committee, of.Key = number, version
	if of.Network, err = table.Audience(r); err == nil {
		of.Constitution, err = table.ConstitutionDigest(r)
	}
	return of, err
}

// checkArchive returns the archive of a committee if it is right.
func checkArchive(r store.Reader, rec *table.CommitteeRecord, c *committee.Committee) (*archive.Archive, error) {
	of, err := place(r, rec.Number, rec.Version)
	if err != nil {
		return nil, err
	}
	a, err := archive.Parse(rec.Archive)
	if err != nil {
		return nil, err
	}
	return a, a.Check(c, of)
}

// Announce makes the next epoch for the committee in force, writes it, and returns its secret. The error is coco.ErrNotFound if there is no committee, and epochs are
// shared among the members still (keys.NewEpoch, members.WriteEpoch).
func Announce(tx *store.Tx) (keys.Secret, *archive.Epoch, error) {
	rec, has, err := table.NewestCommittee(tx)
	if err == nil && !has {
		err = fmt.Errorf("%w: this network has no committee yet", coco.ErrNotFound)
	}
	if err != nil {
		return keys.Secret{}, nil, err
	}
	c, err := rec.Committee()
	if err != nil {
		return keys.Secret{}, nil, err
	}
	of, err := place(tx, rec.Number, rec.Version)
	if err != nil {
		return keys.Secret{}, nil, err
	}
	a, err := archive.Parse(rec.Archive)
	if err != nil {
		return keys.Secret{}, nil, err
	}
	epoch := table.LastEpoch(tx) + 1
	secret, sealed, err := archive.NewEpoch(c, a.Public, archive.At{Of: of, Epoch: epoch, View: tx.View(), Seqno: tx.Seqno()})
	if err != nil {
		return keys.Secret{}, nil, err
	}
	b, err := sealed.Marshal()
	if err != nil {
		return keys.Secret{}, nil, err
	}
	return secret, sealed, table.Put(tx, table.EpochsTable, table.EpochKey(epoch), table.EpochRecord{Epoch: epoch, Since: tx.Seqno(), Sealed: b, Time: tx.Time()})
}

// CheckEpoch checks an epoch that follows the last one, as a transaction has announced it to the newest committee. A view of zero is not compared. The error is
// coco.ErrVerify.
func CheckEpoch(r store.Reader, rec *table.EpochRecord, last, view uint64) error {
	newest, has, err := table.NewestCommittee(r)
	if err != nil {
		return err
	}
	if !has {
		return fmt.Errorf("%w: epoch %d is sealed to a committee, and there is none", coco.ErrVerify, rec.Epoch)
	}
	if format, err := archive.FormatOf(rec.Sealed); err != nil {
		return err
	} else if format == 1 {
		return fmt.Errorf("%w: epoch %d is shared among the members, expected one that is sealed to committee %d", coco.ErrVerify, rec.Epoch, newest.Number)
	}
	c, err := newest.Committee()
	if err != nil {
		return err
	}
	sealed, err := archive.ParseEpoch(rec.Sealed)
	if err != nil {
		return err
	}
	at := archive.At{Epoch: last + 1, View: view, Seqno: rec.Since}
	if view == 0 {
		at.View = sealed.View
	}
	at.Committee, at.Key = newest.Number, newest.Version
	if at.Network, err = table.Audience(r); err != nil {
		return err
	}
	if at.Constitution, err = table.ConstitutionDigest(r); err != nil {
		return err
	}
	if rec.Epoch != last+1 {
		return fmt.Errorf("%w: epoch %d: expected %d", coco.ErrVerify, rec.Epoch, last+1)
	}
	return sealed.Check(c, at)
}
