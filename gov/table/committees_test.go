package table_test

import (
	"bytes"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/keys/ristretto"
)

// A constitution has keys.MaxMembers members at most. What a network writes for so many of them can be read again.
func TestRowsOfTheLargestCommitteeCanBeRead(t *testing.T) {
	const n = keys.MaxMembers
	box := bytes.Repeat([]byte{1}, 1168)
	sealed := committee.Sealed{}
	points := make([]ristretto.Point, n)
	ids := make([]coco.ActorID, n)
	rec := table.CommitteeRecord{Number: 1 << 40, Version: 1 << 40, Ceremony: 1 << 40, Since: 1 << 60, Time: 1 << 50, Commitment: points}
	for i := range n {
		sealed.Boxes = append(sealed.Boxes, box)
		sealed.Shares = append(sealed.Shares, coco.Digest{})
		rec.Seats = append(rec.Seats, table.SeatRecord{
			Actor: ids[i], Encryption: make([]byte, committee.EncryptionSize), To: make([]byte, keys.XWingPublicKeySize), Package: make([]byte, dkg.MaxSealed/3),
		})
	}
	a := archive.Archive{Sealed: sealed, Public: make([]byte, archive.PublicSize), Earlier: box, Carried: make([]byte, archive.MaxCarried*40+1136)}
	var err error
	if rec.Archive, err = a.Marshal(); err != nil {
		t.Fatal(err)
	}
	b := encoded(t, rec)
	if got, err := table.DecodeCommittee(b); err != nil || len(got.Seats) != n {
		t.Errorf("a committee of %d bytes: %v", len(b), err)
	} else if _, _, err := got.ParseArchive(coco.Digest{}); err != nil {
		t.Error(err)
	}
	e := archive.Epoch{Version: 2, Sealed: sealed, Box: box}
	public, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.DecodeEpoch(encoded(t, table.EpochRecord{Sealed: public})); err != nil {
		t.Error(err)
	}
	ceremony := table.CeremonyRecord{
		Session: dkg.Session{Receivers: ids, Old: &dkg.Old{Holders: ids, Commitment: points}}, Acting: make([]coco.NodeID, n), Dealing: make([]coco.NodeID, n),
	}
	for range 3 * n { // each dealer once, and each receiver for what it judged and for its silence
		ceremony.Faults = append(ceremony.Faults, table.CeremonyFault{Phase: dkg.Confirming, Code: dkg.BadDealing})
	}
	if _, err := table.DecodeCeremony(encoded(t, ceremony)); err != nil {
		t.Error(err)
	}
	raw, err := dkg.Marshal(coco.Digest{}, &dkg.Reveal{Commitment: points, Boxes: make([]dkg.Box, n)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.DecodeStatement(table.StatementKey(1, 2), encoded(t, table.StatementRecord{Raw: raw})); err != nil {
		t.Error(err)
	}
	if _, _, err := dkg.Parse(raw); err != nil {
		t.Error(err)
	}
}

func encoded(t *testing.T, v any) []byte {
	t.Helper()
	b, err := canon.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
