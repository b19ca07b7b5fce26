package recovery_test

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys/recovery"
)

// What members give in a drill opens the drill's secret, and neither they nor the drill's lock have to do with the ledger's archive.
func TestADrillOpensWhatItSealedAndNothingElse(t *testing.T) {
	p := newPast(t, true)
	real := &recovery.Lock{Committee: p.committees[len(p.committees)-1]}
	nonce := coco.Digest{1}
	drill, secret, err := real.Drill(nonce)
	if err != nil {
		t.Fatal(err)
	}
	if err := real.CheckDrill(drill, nonce); err != nil {
		t.Fatal(err)
	}
	receiver, err := recovery.NewReceiver(recovery.Point{Network: coco.Digest{9}}, true)
	if err != nil {
		t.Fatal(err)
	}
	rounds := map[*recovery.Lock]*recovery.Round{real: receiver.Round(real), drill: receiver.Round(drill)}
	for _, m := range p.ms {
		actor, ok := drill.ActorOf(m.key.Public())
		if !ok {
			continue
		}
		r, err := recovery.New(receiver.Request(), drill, actor, m.key)
		if err != nil {
			t.Fatal(err)
		}
		if err := rounds[drill].Submit(r); err != nil {
			t.Errorf("in the drill: %v", err)
		}
		r.Lock = real.Digest() // whoever holds the receiver's key can say anything of it, and change nothing
		if err := rounds[real].Submit(r); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("a part of a drill counts for the ledger: %v", err)
		}
	}
	if got, _, err := rounds[drill].Secret(); err != nil || !got.Equal(secret) {
		t.Errorf("the drill does not open: %v", err)
	}
	if n := rounds[real].Missing(); n != real.Threshold() {
		t.Errorf("%d parts of the ledger's archive are missing, expected all %d", n, real.Threshold())
	}
}

// Whoever begins a drill cannot have members make parts of what is in a ledger by it.
func TestNoDrillIsForALedger(t *testing.T) {
	p := newPast(t, true)
	real, older := &recovery.Lock{Committee: p.committees[len(p.committees)-1]}, &recovery.Lock{Committee: p.committees[0]}
	nonce := coco.Digest{1}
	drill, _, err := real.Drill(nonce)
	if err != nil {
		t.Fatal(err)
	}
	altered := func(change func(*recovery.Committee)) *recovery.Lock {
		c := *drill.Committee
		change(&c)
		return &recovery.Lock{Committee: &c}
	}
	other, _, err := older.Drill(nonce)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]*recovery.Lock{
		"the ledger's own lock":         real,
		"the ledger's archive":          altered(func(c *recovery.Committee) { c.Archive = real.Committee.Archive }),
		"the ledger's network":          altered(func(c *recovery.Committee) { c.Network = real.Committee.Network }),
		"another committee":             other,
		"another committee's seats":     altered(func(c *recovery.Committee) { c.Seats = older.Committee.Seats }),
		"a committee of another number": altered(func(c *recovery.Committee) { c.Number++ }),
		"an epoch":                      {Epoch: p.epochs[0].Shared},
	} {
		if err := real.CheckDrill(bad, nonce); err == nil {
			t.Errorf("%s passes for a drill", name)
		}
	}
	if err := real.CheckDrill(drill, coco.Digest{2}); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("another drill's nonce: %v", err)
	}
	if _, _, err := (&recovery.Lock{Epoch: p.epochs[0].Shared}).Drill(nonce); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a drill of an epoch's shares: %v", err)
	}
}
