package archive_test

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/ristretto"
	"github.com/cocoframework/coco/keys/tdh2"
)

var update = flag.Bool("update", false, "write the vectors anew")

// vectors hold a network's first committee with all its secrets, an archive and an epoch, in hexadecimal, so that a second implementation can be checked against
// this one. docs/keys.md says what each is.
type vectors struct {
	Network, Constitution string
	Committee, KeyVersion uint64
	Epoch, View, Seqno    uint64
	Commitment            []string
	Seats                 []seatVector
	Archive               string // CBOR
	ArchiveSecret         string
	SealedEpoch           string // CBOR
	EpochSecret           string
}

type seatVector struct {
	Actor, Encryption string
	MemberKey         string // PEM
	SealedPackage     string
	Package           string // CBOR
	ArchivePart       string // CBOR
	EpochPart         string // CBOR
}

func TestVectors(t *testing.T) {
	const file = "../testdata/committee.json"
	if *update {
		b, err := json.MarshalIndent(makeVectors(t), "", "  ")
		if err == nil {
			err = os.WriteFile(file, append(b, '\n'), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	var commitment []ristretto.Point
	for _, p := range v.Commitment {
		commitment = append(commitment, ristretto.Point(unhex(t, p)))
	}
	key, err := tdh2.NewKey(commitment, uint32(len(v.Seats)))
	if err != nil {
		t.Fatal(err)
	}
	seats := make([]committee.Seat, len(v.Seats))
	for i, s := range v.Seats {
		seats[i] = committee.Seat{Actor: coco.ActorID(unhex(t, s.Actor)), Encryption: unhex(t, s.Encryption)}
	}
	c, err := committee.New(key, seats)
	if err != nil {
		t.Fatal(err)
	}
	at := v.at(t)
	a, err := archive.Parse(unhex(t, v.Archive))
	if err != nil {
		t.Fatal(err)
	}
	e, err := archive.ParseEpoch(unhex(t, v.SealedEpoch))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Check(c, at.Of); err != nil {
		t.Error(err)
	}
	if err := e.Check(c, at); err != nil {
		t.Error(err)
	}
	limits := canon.Limits{Bytes: 1 << 12, Pairs: 8}
	var recorded, made, epochRecorded []committee.Part
	for i, s := range v.Seats {
		member, err := keys.ParseMemberKey([]byte(s.MemberKey))
		if err != nil {
			t.Fatal(err)
		}
		p, err := committee.OpenPackage(unhex(t, s.SealedPackage), member, committee.Place{Of: committee.DealtOf(at.Network, v.Committee), Seat: uint32(i + 1), Actor: seats[i].Actor})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := canon.Marshal(p); err != nil || hex.EncodeToString(b) != s.Package || c.Holds(p) != nil {
			t.Errorf("seat %d: its package is %x (%v), expected %s", i+1, b, err, s.Package)
		}
		part, err := a.Part(c, at.Of, p)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, part)
		var ofArchive, ofEpoch committee.Part
		if err := canon.Unmarshal(unhex(t, s.ArchivePart), &ofArchive, limits); err != nil {
			t.Fatal(err)
		}
		if err := canon.Unmarshal(unhex(t, s.EpochPart), &ofEpoch, limits); err != nil {
			t.Fatal(err)
		}
		recorded, epochRecorded = append(recorded, ofArchive), append(epochRecorded, ofEpoch)
	}
	for name, parts := range map[string][]committee.Part{"recorded": recorded[:2], "made now": made[1:]} {
		secret, faults, err := a.Combine(c, at.Of, parts)
		if err != nil || len(faults) > 0 || hex.EncodeToString(secret[:]) != v.ArchiveSecret {
			t.Errorf("parts %s: the archive's secret is another one; faults %v, error %v", name, faults, err)
		}
	}
	secret, faults, err := e.Combine(c, at, epochRecorded[1:])
	if err != nil || len(faults) > 0 || hex.EncodeToString(secret[:]) != v.EpochSecret {
		t.Errorf("the epoch's secret is another one; faults %v, error %v", faults, err)
	}
	private, err := a.Unlock(keys.Secret(unhex(t, v.ArchiveSecret)), at.Of)
	if err != nil {
		t.Fatal(err)
	}
	if copied, err := private.Epoch(e); err != nil || hex.EncodeToString(copied[:]) != v.EpochSecret {
		t.Errorf("the epoch's copy in the archive: %v", err)
	}
}

func (v *vectors) at(t *testing.T) archive.At {
	return archive.At{
		Of:    archive.Of{Network: coco.Digest(unhex(t, v.Network)), Committee: v.Committee, Key: v.KeyVersion, Constitution: coco.Digest(unhex(t, v.Constitution))},
		Epoch: v.Epoch, View: v.View, Seqno: v.Seqno,
	}
}

func makeVectors(t *testing.T) *vectors {
	h, at := seated(t, 2, 3), at(1, 1)
	text := func(v any) string {
		b, err := canon.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(b)
	}
	a, k := h.archive(t, 1, archive.Past{})
	e, s := h.epoch(t, a, 1, 1)
	v := &vectors{
		Network: hex.EncodeToString(at.Network[:]), Constitution: hex.EncodeToString(at.Constitution[:]), Committee: at.Committee, KeyVersion: at.Key,
		Epoch: at.Epoch, View: at.View, Seqno: at.Seqno, Archive: text(a), ArchiveSecret: hex.EncodeToString(k[:]), SealedEpoch: text(e), EpochSecret: hex.EncodeToString(s[:]),
	}
	for _, p := range h.Key().Commitment() {
		v.Commitment = append(v.Commitment, hex.EncodeToString(p[:]))
	}
	for i, p := range h.packages {
		member, err := keys.NewMemberKey([]keys.Algorithm{keys.XWing, keys.XWing, keys.X25519}[i])
		if err != nil {
			t.Fatal(err)
		}
		pem, err := member.PEM()
		if err != nil {
			t.Fatal(err)
		}
		seat := h.Seats()[i]
		sealed, err := committee.SealPackage(p, member.Public(), committee.Place{Of: committee.DealtOf(at.Network, 1), Seat: uint32(i + 1), Actor: seat.Actor})
		if err != nil {
			t.Fatal(err)
		}
		ofArchive, err := a.Part(h.Committee, at.Of, p)
		if err != nil {
			t.Fatal(err)
		}
		ofEpoch, err := e.Part(h.Committee, at, p)
		if err != nil {
			t.Fatal(err)
		}
		v.Seats = append(v.Seats, seatVector{
			Actor: hex.EncodeToString(seat.Actor[:]), Encryption: hex.EncodeToString(seat.Encryption), MemberKey: string(pem),
			SealedPackage: hex.EncodeToString(sealed), Package: text(p), ArchivePart: text(ofArchive), EpochPart: text(ofEpoch),
		})
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
