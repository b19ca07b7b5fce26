package ceremony

import (
	"bytes"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/store"
)

// Deal brings a network's first committee into force, in the transaction in which the network begins: there is one enclave, which acts for all members. It keeps
// nothing of what it has dealt: members have their packages in the ledger. The tables MUST hold the constitution and the service's certificate.
func Deal(tx *store.Tx, node coco.NodeID) error {
	c, err := table.LoadCore(tx)
	if err != nil {
		return err
	}
	to := receivers(c)
	var actors []coco.ActorID
	for _, m := range to {
		actors = append(actors, m.Actor)
	}
	dealt, packages, err := committee.Deal(actors, c.Shares.Threshold)
	if err != nil {
		return err
	}
	defer func() {
		for _, p := range packages {
			clear(p.Share.Value[:])
			clear(p.Decryption[:])
		}
	}()
	rec := table.CommitteeRecord{Number: 1, Version: 1, Since: tx.Seqno(), Time: tx.Time(), Commitment: dealt.Key().Commitment()}
	for i, s := range dealt.Seats() {
		rec.Seats = append(rec.Seats, table.SeatRecord{Actor: s.Actor, Node: node, Encryption: s.Encryption, To: to[i].Key})
	}
	of, err := place(tx, rec.Number, rec.Version)
	if err != nil {
		return err
	}
	for i, p := range packages {
		if rec.Seats[i].Package, err = committee.SealPackage(p, to[i].Key, rec.Place(of.Network, uint32(i+1))); err != nil {
			return err
		}
	}
	a, secret, err := archive.New(dealt, of, archive.Past{})
	if err != nil {
		return err
	}
	clear(secret[:])
	if rec.Archive, err = a.Marshal(); err != nil {
		return err
	}
	return table.PutCommittee(tx, rec)
}

// CheckDealt checks the committee that a network begins with, as the transaction has written it that began the network. Whether the packages hold shares of the key, their members can tell. The error is
// coco.ErrVerify or coco.ErrCorrupt.
func CheckDealt(r store.Reader, rec *table.CommitteeRecord, node coco.NodeID, seqno, now uint64) error {
	fault := func(format string, args ...any) error {
		return fmt.Errorf("%w: the committee that the network begins with: %s", coco.ErrVerify, fmt.Sprintf(format, args...))
	}
	c, err := table.LoadCore(r)
	if err != nil {
		return err
	}
	to := receivers(c)
	switch {
	case rec.Number != 1 || rec.Version != 1 || rec.Ceremony != 0 || rec.Session != coco.Digest{}:
		return fault("number %d, key version %d, ceremony %d, expected 1, 1 and none", rec.Number, rec.Version, rec.Ceremony)
	case rec.Since != seqno || rec.Time != now:
		return fault("since %d at time %d, expected %d and %d", rec.Since, rec.Time, seqno, now)
	case rec.Threshold() != c.Shares.Threshold || len(rec.Seats) != len(to):
		return fault("%d of %d seats open, expected %d of %d", rec.Threshold(), len(rec.Seats), c.Shares.Threshold, len(to))
	}
	for i, s := range rec.Seats {
		if s.Actor != to[i].Actor || !bytes.Equal(s.To, to[i].Key) || s.Node != node {
			return fault("seat %d is not that of member %s, its encryption key and the first node", i+1, to[i].Actor.Short())
		}
		if err := committee.CheckSealedPackage(s.Package, s.To, uint32(i+1)); err != nil {
			return fault("%v", err)
		}
	}
	made, err := rec.Committee()
	if err != nil {
		return err
	}
	_, err = checkArchive(r, rec, made)
	return err
}
