package recovery_test

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/keys/ristretto"
)

// seats makes a committee of members, in order of their actors, and its archive.
func seats(t *testing.T, number uint64, threshold int, ms []member, past archive.Past) (*recovery.Committee, *committee.Committee, keys.Secret) {
	t.Helper()
	actors := make([]coco.ActorID, len(ms))
	for i, m := range ms {
		actors[i] = m.actor
	}
	c, packages, err := committee.Deal(actors, threshold)
	if err != nil {
		t.Fatal(err)
	}
	network := coco.Digest{9}
	of := archive.Of{Network: network, Committee: number, Key: 1, Constitution: coco.Digest{byte(number)}}
	a, secret, err := archive.New(c, of, past)
	if err != nil {
		t.Fatal(err)
	}
	out := &recovery.Committee{Network: network, Number: number, Key: 1, Commitment: commitmentOf(c), Ceremony: committee.DealtOf(network, number), Archive: a}
	for i, m := range ms {
		n := uint32(i + 1)
		sealed, err := committee.SealPackage(packages[i], m.key.Public(), committee.Place{Of: out.Ceremony, Seat: n, Actor: m.actor})
		if err != nil {
			t.Fatal(err)
		}
		out.Seats = append(out.Seats, recovery.Seat{Actor: m.actor, Encryption: c.Seats()[i].Encryption, To: m.key.Public(), Package: sealed})
	}
	return out, c, secret
}

func commitmentOf(c *committee.Committee) []ristretto.Point { return c.Key().Commitment() }

// sealedEpoch announces an epoch to a committee.
func sealedEpoch(t *testing.T, of *recovery.Committee, c *committee.Committee, number uint64) (recovery.Epoch, keys.Secret) {
	t.Helper()
	secret, e, err := archive.NewEpoch(c, of.Archive.Public, archive.At{
		Of: archive.Of{Network: of.Network, Committee: of.Number, Key: of.Key, Constitution: of.Archive.Constitution}, Epoch: number, View: 2, Seqno: 10 * number,
	})
	if err != nil {
		t.Fatal(err)
	}
	return recovery.Epoch{Number: number, Sealed: e}, secret
}

// past is a ledger with two epochs of format 1, and two committees with epochs of their own.
type past struct {
	ms         []member
	epochs     []recovery.Epoch
	committees []*recovery.Committee
	secrets    map[uint64]keys.Secret
}

func newPast(t *testing.T, chained bool) past {
	t.Helper()
	old, secrets, ms := ledgerOf(t, 2)
	p := past{ms: ms, secrets: secrets}
	for _, e := range old {
		p.epochs = append(p.epochs, recovery.Epoch{Number: e.Epoch, Shared: e})
	}
	first, c1, k1 := seats(t, 1, 2, ms, archive.Past{Epochs: map[uint64]keys.Secret{2: secrets[2]}})
	e3, s3 := sealedEpoch(t, first, c1, 3)
	second := archive.Past{}
	if chained {
		second.Earlier = &k1
	}
	next, c2, _ := seats(t, 2, 2, ms, second)
	e4, s4 := sealedEpoch(t, next, c2, 4)
	p.epochs, p.committees = append(p.epochs, e3, e4), []*recovery.Committee{first, next}
	p.secrets[3], p.secrets[4] = s3, s4
	return p
}

// open opens a past with the parts of two of three members. It returns the names of the locks.
func (p past) open(t *testing.T, o *recovery.Opening) (names []string) {
	t.Helper()
	mine := receiver(t, end)
	for lock := o.Next(); lock != nil; lock = o.Next() {
		names = append(names, lock.String())
		b, err := lock.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		sent, err := recovery.ParseLock(b)
		if err != nil || sent.Digest() != lock.Digest() {
			t.Fatalf("the lock is not read back: %v", err)
		}
		round := mine.Round(lock)
		for _, m := range p.ms[1:] {
			r, err := recovery.New(mine.Request(), sent, m.actor, m.key)
			if err != nil {
				t.Fatal(err)
			}
			if err := round.Submit(r); err != nil {
				t.Fatal(err)
			}
		}
		secret, _, err := round.Secret()
		if err != nil {
			t.Fatal(err)
		}
		if faults := o.Open(lock, secret); len(faults) > 0 {
			t.Error(faults)
		}
	}
	return names
}

func (p past) check(t *testing.T, o *recovery.Opening) {
	t.Helper()
	for number, want := range p.secrets {
		if got, ok := o.Secrets()[number]; !ok || !got.Equal(want) {
			t.Errorf("epoch %d is not open", number)
		}
	}
}

func TestTheNewestArchiveOpensALedger(t *testing.T) {
	p := newPast(t, true)
	o := recovery.NewOpening(p.epochs, p.committees, func(uint64) bool { return true })
	if names := p.open(t, o); len(names) != 1 || names[0] != "the archive of committee 2" {
		t.Errorf("it took %q", names)
	}
	p.check(t, o)
}

// An archive that does not hold the one before opens only its own epochs. Members open the one before, too.
func TestAnArchiveThatEndsTheChainIsFollowedByTheOneBefore(t *testing.T) {
	p := newPast(t, false)
	o := recovery.NewOpening(p.epochs, p.committees, func(uint64) bool { return true })
	if names := p.open(t, o); len(names) != 2 || names[1] != "the archive of committee 1" {
		t.Errorf("it took %q", names)
	}
	p.check(t, o)
	// A committee whose archive nobody opens keeps what is sealed to it, and nothing else.
	for used, possible := range map[uint64]bool{4: false, 3: true} {
		o := recovery.NewOpening(p.epochs, p.committees, func(epoch uint64) bool { return epoch <= used })
		if got := o.GiveUp(o.Next()); got != possible {
			t.Errorf("with epochs up to %d used, the newest archive is given up: %v", used, got)
		}
		if next := o.Next(); possible && (next == nil || next.String() != "the archive of committee 1") {
			t.Errorf("next is %v", next)
		}
	}
}

// A committee that the ledger has reduced opens through the one after it, and by no member's part.
func TestAReducedCommitteeOpensByTheNextOneAlone(t *testing.T) {
	p := newPast(t, true)
	first := p.committees[0]
	first.Seats, first.Commitment, first.Archive = nil, nil, first.Archive.Reduce()
	all := func(uint64) bool { return true }
	o := recovery.NewOpening(p.epochs, p.committees, all)
	if names := p.open(t, o); len(names) != 1 || names[0] != "the archive of committee 2" {
		t.Errorf("it took %q", names)
	}
	p.check(t, o)
	o = recovery.NewOpening(p.epochs, p.committees, func(epoch uint64) bool { return epoch == 3 })
	if o.GiveUp(o.Next()) {
		t.Error("the newest archive is given up, and nothing else opens epoch 3")
	}
	if next := o.Next(); next != nil && next.Committee != nil {
		t.Errorf("next is %s", next)
	}
	b, err := (&recovery.Lock{Committee: first}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := recovery.ParseLock(b); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a reduced committee as a lock: %v", err)
	}
}

func TestAWrongPartOfAnArchiveIsNamedAtSubmission(t *testing.T) {
	p := newPast(t, true)
	lock, mine := &recovery.Lock{Committee: p.committees[1]}, receiver(t, end)
	if err := lock.Check(p.ms[0].actor, p.ms[0].key); err != nil {
		t.Error(err)
	}
	if err := lock.Check(p.ms[0].actor, p.ms[1].key); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("another member's key: %v", err)
	}
	if actor, ok := lock.ActorOf(p.ms[2].key.Public()); !ok || actor != p.ms[2].actor {
		t.Errorf("the key of %s is %s's", p.ms[2].actor.Short(), actor.Short())
	}
	round := mine.Round(lock)
	r, err := recovery.New(mine.Request(), lock, p.ms[0].actor, p.ms[0].key)
	if err != nil {
		t.Fatal(err)
	}
	// The part of another archive, with a valid proof, is none of this one.
	foreign, err := recovery.New(mine.Request(), &recovery.Lock{Committee: p.committees[0]}, p.ms[1].actor, p.ms[1].key)
	if err != nil {
		t.Fatal(err)
	}
	stolen := r
	stolen.Actor = p.ms[1].actor
	for name, in := range map[string]recovery.Release{"of another archive": foreign, "in another's name": stolen} {
		var fault *recovery.Fault
		if err := round.Submit(in); !errors.As(err, &fault) || fault.Actor != in.Actor {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := round.Submit(r); err != nil {
		t.Fatal(err)
	}
	if _, _, err := round.Secret(); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("one part of two opens it: %v", err)
	}
	p.committees[1].Seats[2].Package[30] ^= 1
	if _, err := recovery.New(mine.Request(), lock, p.ms[2].actor, p.ms[2].key); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a package that was altered: %v", err)
	}
}
