package archive_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
)

// held is a committee with its packages in one place.
type held struct {
	*committee.Committee
	packages []*committee.Package
}

func seated(t testing.TB, threshold, n int) held {
	t.Helper()
	actors := make([]coco.ActorID, n)
	for i := range actors {
		actors[i] = sha256.Sum256([]byte{byte(i)})
	}
	c, packages, err := committee.Deal(actors, threshold)
	if err != nil {
		t.Fatal(err)
	}
	return held{c, packages}
}

func of(number uint64) archive.Of {
	return archive.Of{Network: coco.Digest{1}, Committee: number, Key: 1, Constitution: coco.Digest{byte(number)}}
}

func (h held) archive(t testing.TB, number uint64, past archive.Past) (*archive.Archive, keys.Secret) {
	t.Helper()
	a, secret, err := archive.New(h.Committee, of(number), past)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Check(h.Committee, of(number)); err != nil {
		t.Fatal(err)
	}
	b, err := a.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := archive.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return again, secret
}

func at(number, epoch uint64) archive.At {
	return archive.At{Of: of(number), Epoch: epoch, View: 3, Seqno: 100 + epoch}
}

func (h held) epoch(t testing.TB, a *archive.Archive, number, epoch uint64) (*archive.Epoch, keys.Secret) {
	t.Helper()
	secret, e, err := archive.NewEpoch(h.Committee, a.Public, at(number, epoch))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Check(h.Committee, at(number, epoch)); err != nil {
		t.Fatal(err)
	}
	return e, secret
}

func TestTheNewestArchiveOpensEveryEpoch(t *testing.T) {
	old := map[uint64]keys.Secret{1: {11}, 2: {12}}
	first, second := seated(t, 2, 3), seated(t, 3, 4)
	a1, k1 := first.archive(t, 1, archive.Past{Epochs: old})
	e3, s3 := first.epoch(t, a1, 1, 3)
	a2, _ := second.archive(t, 2, archive.Past{Earlier: &k1})
	e4, s4 := second.epoch(t, a2, 2, 4)

	var parts []committee.Part
	for _, p := range second.packages[1:] {
		part, err := a2.Part(second.Committee, of(2), p)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	if _, _, err := a2.Combine(second.Committee, of(2), parts[:2]); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("two seats of three that are needed open it: %v", err)
	}
	k2, faults, err := a2.Combine(second.Committee, of(2), parts)
	if err != nil || len(faults) > 0 {
		t.Fatal(err, faults)
	}
	p2, err := a2.Unlock(k2, of(2))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p2.Epoch(e4); err != nil || !got.Equal(s4) {
		t.Errorf("epoch 4: %v", err)
	}
	if _, err := p2.Epoch(e3); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("an epoch of another committee: %v", err)
	}
	earlier, ok, err := p2.Earlier()
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	p1, err := a1.Unlock(earlier, of(1))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p1.Epoch(e3); err != nil || !got.Equal(s3) {
		t.Errorf("epoch 3: %v", err)
	}
	if _, ok, err := p1.Earlier(); ok || err != nil {
		t.Errorf("there is an archive before the first: %v", err)
	}
	carried, err := p1.Carried()
	if err != nil || len(carried) != 2 || !carried[1].Equal(old[1]) || !carried[2].Equal(old[2]) {
		t.Errorf("it carries %d epochs: %v", len(carried), err)
	}
	if none, err := p2.Carried(); err != nil || len(none) > 0 {
		t.Errorf("it carries %d epochs: %v", len(none), err)
	}
	for name, secret := range map[string]keys.Secret{"of another archive": k1, "of an epoch": s4} {
		if _, err := a2.Unlock(secret, of(2)); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("the secret %s: %v", name, err)
		}
	}
	// The parts of an epoch open it, too, without the archive.
	parts = nil
	for _, p := range second.packages[:3] {
		part, err := e4.Part(second.Committee, at(2, 4), p)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part)
	}
	if got, _, err := e4.Combine(second.Committee, at(2, 4), parts); err != nil || !got.Equal(s4) {
		t.Errorf("epoch 4 by its committee: %v", err)
	}
}

// A sealed secret is of one network, committee, version of its key, constitution, epoch and transaction, and of no other.
func TestWhatIsSealedForAnotherPlaceIsRefused(t *testing.T) {
	h := seated(t, 2, 3)
	a, _ := h.archive(t, 1, archive.Past{})
	e, _ := h.epoch(t, a, 1, 5)
	for name, change := range map[string]func(*archive.At){
		"network": func(x *archive.At) { x.Network[0] ^= 1 }, "committee": func(x *archive.At) { x.Committee++ }, "key": func(x *archive.At) { x.Key++ },
		"constitution": func(x *archive.At) { x.Constitution[0] ^= 1 },
	} {
		other := at(1, 5)
		change(&other)
		if err := a.Check(h.Committee, other.Of); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("the archive with another %s: %v", name, err)
		}
		if _, err := a.Part(h.Committee, other.Of, h.packages[0]); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("a part in the archive with another %s: %v", name, err)
		}
		if err := e.Check(h.Committee, other); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("the epoch with another %s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*archive.At){
		"number": func(x *archive.At) { x.Epoch++ }, "view": func(x *archive.At) { x.View++ }, "seqno": func(x *archive.At) { x.Seqno++ },
	} {
		other := at(1, 5)
		change(&other)
		if err := e.Check(h.Committee, other); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("the epoch with another %s: %v", name, err)
		}
		if _, err := e.Part(h.Committee, other, h.packages[0]); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("a part in the epoch with another %s: %v", name, err)
		}
	}
	other := seated(t, 2, 3)
	if a.Check(other.Committee, of(1)) == nil || e.Check(other.Committee, at(1, 5)) == nil {
		t.Error("another committee's is not refused")
	}
	// What is said of the place and does not match what is sealed is refused, too.
	moved := *e
	moved.View++
	later := at(1, 5)
	later.View++
	if err := moved.Check(h.Committee, later); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("an epoch that was moved to another view: %v", err)
	}
}

// Of an archive that was reduced everything opens with its secret, and its seats open nothing.
func TestAReducedArchiveKeepsWhatItsSecretOpens(t *testing.T) {
	var sizes []int
	for _, n := range []int{1, 5} {
		h := seated(t, 1, n)
		past := archive.Past{Earlier: &keys.Secret{7}, Epochs: map[uint64]keys.Secret{1: {1}}}
		full, secret := h.archive(t, 1, past)
		e, want := h.epoch(t, full, 1, 5)
		b, err := full.Reduce().Marshal()
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(b))
		a, err := archive.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		private, err := a.Unlock(secret, of(1))
		if err != nil {
			t.Fatal(err)
		}
		if earlier, ok, err := private.Earlier(); err != nil || !ok || !earlier.Equal(*past.Earlier) {
			t.Errorf("the secret of the archive before: %v, %v", ok, err)
		}
		if carried, err := private.Carried(); err != nil || len(carried) != 1 || !carried[1].Equal(past.Epochs[1]) {
			t.Errorf("%d epochs are carried: %v", len(carried), err)
		}
		if got, err := private.Epoch(e); err != nil || !got.Equal(want) {
			t.Errorf("the epoch: %v", err)
		}
		if err := a.Check(h.Committee, of(1)); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("a new archive without a sealed secret: %v", err)
		}
	}
	if sizes[0] != sizes[1] {
		t.Errorf("%d bytes with one seat, %d with five", sizes[0], sizes[1])
	}
}

func TestAnArchiveOfTheWrongShapeIsRefused(t *testing.T) {
	h := seated(t, 2, 3)
	good, _ := h.archive(t, 1, archive.Past{Earlier: &keys.Secret{1}, Epochs: map[uint64]keys.Secret{1: {1}}})
	for name, change := range map[string]func(*archive.Archive){
		"public key":   func(a *archive.Archive) { a.Public = a.Public[1:] },
		"earlier":      func(a *archive.Archive) { a.Earlier = a.Earlier[1:] },
		"carried":      func(a *archive.Archive) { a.Carried = a.Carried[1:] },
		"carried none": func(a *archive.Archive) { a.Carried = a.Carried[:1136] },
		"boxes":        func(a *archive.Archive) { a.Sealed.Boxes = a.Sealed.Boxes[1:] },
		"box":          func(a *archive.Archive) { a.Sealed.Boxes = slices.Clone(a.Sealed.Boxes); a.Sealed.Boxes[0] = nil },
		"commitments":  func(a *archive.Archive) { a.Sealed.Shares = nil },
		"proof":        func(a *archive.Archive) { a.Sealed.Ciphertext.Proof[0] ^= 1 },
	} {
		bad := *good
		change(&bad)
		if err := bad.Check(h.Committee, of(1)); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: %v", name, err)
		}
	}
	e, _ := h.epoch(t, good, 1, 5)
	cut := *e
	cut.Box = cut.Box[1:]
	if err := cut.Check(h.Committee, at(1, 5)); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a copy that was cut: %v", err)
	}
}

func TestBoxesOfAnArchiveDoNotMove(t *testing.T) {
	h := seated(t, 1, 1)
	a, k := h.archive(t, 1, archive.Past{Earlier: &keys.Secret{1}, Epochs: map[uint64]keys.Secret{1: {1}}})
	e5, _ := h.epoch(t, a, 1, 5)
	e6, _ := h.epoch(t, a, 1, 6)
	p, err := a.Unlock(k, of(1))
	if err != nil {
		t.Fatal(err)
	}
	e6.Box = e5.Box
	if _, err := p.Epoch(e6); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("the copy of another epoch: %v", err)
	}
	a.Earlier = e5.Box
	if _, _, err := p.Earlier(); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("an epoch's copy in the place of the archive before: %v", err)
	}
	a.Carried = bytes.Clone(a.Carried)
	a.Carried[len(a.Carried)-1] ^= 1
	if _, err := p.Carried(); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("carried epochs that were altered: %v", err)
	}
	if strings.Contains(fmt.Sprintf("%v %+v %#v", p, p, p), "archive:") {
		t.Error("a private key prints")
	}
}

// What the largest committee seals can be read again, and an archive carries so many epochs and no more.
func TestTheLargestCommitteeFits(t *testing.T) {
	if testing.Short() {
		t.Skip("it makes a committee of a thousand")
	}
	h := seated(t, 513, keys.MaxMembers)
	many := map[uint64]keys.Secret{}
	for epoch := range uint64(archive.MaxCarried + 10) {
		many[epoch+1] = keys.Secret{byte(epoch)}
	}
	a, k := h.archive(t, 1, archive.Past{Earlier: &keys.Secret{1}, Epochs: many})
	e, _ := h.epoch(t, a, 1, 5000)
	b, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := archive.ParseEpoch(b); err != nil {
		t.Fatal(err)
	}
	p, err := a.Unlock(k, of(1))
	if err != nil {
		t.Fatal(err)
	}
	carried, err := p.Carried()
	if _, oldest := carried[10]; err != nil || len(carried) != archive.MaxCarried || oldest {
		t.Errorf("it carries %d epochs, the 10th too: %t, %v", len(carried), oldest, err)
	}
}

func TestTheFormatOfAnEpochIsTold(t *testing.T) {
	h := seated(t, 1, 1)
	a, _ := h.archive(t, 1, archive.Past{})
	e, _ := h.epoch(t, a, 1, 5)
	second, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.GenerateMemberKey()
	if err != nil {
		t.Fatal(err)
	}
	_, sealed, err := keys.NewEpoch(1, []keys.Recipient{{Key: key.Public()}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	first, err := sealed.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for want, b := range map[uint64][]byte{1: first, 2: second} {
		if got, err := archive.FormatOf(b); err != nil || got != want {
			t.Errorf("format %d: found %d, %v", want, got, err)
		}
	}
	for _, b := range [][]byte{nil, {0xa0}, {0xa1, 1, 3}, {0xa1, 1, 0x41, 1}} {
		if _, err := archive.FormatOf(b); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%x: %v", b, err)
		}
	}
	if _, err := archive.ParseEpoch(first); !errors.Is(err, coco.ErrCorrupt) {
		t.Errorf("format 1 is read as format 2: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	h := seated(f, 2, 2)
	a, _ := h.archive(f, 1, archive.Past{Earlier: &keys.Secret{1}, Epochs: map[uint64]keys.Secret{1: {1}}})
	e, _ := h.epoch(f, a, 1, 5)
	for _, x := range []interface{ Marshal() ([]byte, error) }{a, e} {
		b, err := x.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := archive.Parse(b); err == nil {
			if again, err := a.Marshal(); err != nil || !bytes.Equal(again, b) {
				t.Errorf("another encoding: %v", err)
			}
			_ = a.Check(h.Committee, of(1))
		}
		if e, err := archive.ParseEpoch(b); err == nil {
			if again, err := e.Marshal(); err != nil || !bytes.Equal(again, b) {
				t.Errorf("another encoding: %v", err)
			}
			_ = e.Check(h.Committee, at(1, 5))
		}
	})
}
