package recovery_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/recovery"
)

type member struct {
	actor coco.ActorID
	key   *keys.MemberKey
}

// epoch makes members and an epoch whose secret they share.
func epoch(t *testing.T, n, threshold int) (keys.Secret, *keys.SealedEpoch, []member) {
	t.Helper()
	var ms []member
	var rs []keys.Recipient
	for i := range n {
		key, err := keys.GenerateMemberKey()
		if err != nil {
			t.Fatal(err)
		}
		ms = append(ms, member{coco.ActorID{byte(i + 1)}, key})
		rs = append(rs, keys.Recipient{Actor: ms[i].actor, Key: key.Public()})
	}
	secret, e, err := keys.NewEpoch(3, rs, threshold)
	if err != nil {
		t.Fatal(err)
	}
	return secret, e, ms
}

var end = recovery.Point{Network: coco.Digest{1}, View: 2, Seqno: 17, Index: 9, Time: 1000, Root: coco.Digest{2}}

func receiver(t *testing.T, p recovery.Point) *recovery.Receiver {
	t.Helper()
	r, err := recovery.NewReceiver(p, true)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func release(t *testing.T, rq recovery.Request, e *keys.SealedEpoch, m member) recovery.Release {
	t.Helper()
	r, err := recovery.New(rq, &recovery.Lock{Epoch: e}, m.actor, m.key)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAReleaseOpensForTheEndOfTheLedgerThatItsMemberWasShown(t *testing.T) {
	_, e, ms := epoch(t, 1, 1)
	mine := receiver(t, end)
	if err := mine.Round(&recovery.Lock{Epoch: e}).Submit(release(t, mine.Request(), e, ms[0])); err != nil {
		t.Fatal(err)
	}
	for name, alter := range map[string]func(*recovery.Request){
		"another network":          func(rq *recovery.Request) { rq.Point.Network[0]++ },
		"another view":             func(rq *recovery.Request) { rq.Point.View++ },
		"an earlier transaction":   func(rq *recovery.Request) { rq.Point.Seqno-- },
		"another entry":            func(rq *recovery.Request) { rq.Point.Index++ },
		"another time":             func(rq *recovery.Request) { rq.Point.Time++ },
		"another root":             func(rq *recovery.Request) { rq.Point.Root[0]++ },
		"another way to go on":     func(rq *recovery.Request) { rq.Resume = !rq.Resume },
		"the key of another node":  func(rq *recovery.Request) { rq.Key = receiver(t, end).Request().Key },
		"another node, whole":      func(rq *recovery.Request) { *rq = receiver(t, end).Request() },
		"another end, by its node": func(rq *recovery.Request) { *rq = receiver(t, recovery.Point{Seqno: 16}).Request() },
	} {
		rq := mine.Request()
		alter(&rq)
		err := mine.Round(&recovery.Lock{Epoch: e}).Submit(release(t, rq, e, ms[0]))
		var fault *recovery.Fault
		if !errors.As(err, &fault) || fault.Actor != ms[0].actor || !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: %v, expected a Fault that names the member", name, err)
		}
	}
}

// The threshold is enough, whichever members are missing, and whatever the others send; those that are wrong are named.
func TestExactlyAThresholdOfReleasesIsEnough(t *testing.T) {
	for _, c := range []struct{ n, m int }{{1, 1}, {3, 2}, {4, 3}} {
		secret, e, ms := epoch(t, c.n, c.m)
		_, foreign, _ := epoch(t, c.n, c.m)
		lock := &recovery.Lock{Epoch: e}
		for damage, spoil := range map[string]func(r recovery.Release, other recovery.Release) *recovery.Release{
			"missing": func(r, _ recovery.Release) *recovery.Release { return nil },
			"damaged": func(r, _ recovery.Release) *recovery.Release {
				r.Box = append([]byte{}, r.Box...)
				r.Box[40] ^= 1
				return &r
			},
			"empty":                    func(r, _ recovery.Release) *recovery.Release { r.Box = nil; return &r },
			"another member's":         func(r, other recovery.Release) *recovery.Release { r.Box = other.Box; return &r },
			"in another member's name": func(r, other recovery.Release) *recovery.Release { other.Actor = r.Actor; return &other },
			"of another lock": func(r, _ recovery.Release) *recovery.Release {
				r.Lock = (&recovery.Lock{Epoch: foreign}).Digest()
				return &r
			},
		} {
			mine := receiver(t, end)
			whole := make([]recovery.Release, c.n)
			for i, m := range ms {
				whole[i] = release(t, mine.Request(), e, m)
			}
			for set := range 1 << c.n {
				round := mine.Round(lock)
				good, wrong := 0, map[coco.ActorID]bool{}
				for i := range ms {
					if set>>i&1 == 1 {
						good++
						if err := round.Submit(whole[i]); err != nil {
							t.Error(err)
						}
					} else if r := spoil(whole[i], whole[(i+1)%c.n]); r != nil && (c.n > 1 || !strings.Contains(damage, "another member")) {
						var fault *recovery.Fault
						if err := round.Submit(*r); !errors.As(err, &fault) || fault.Actor != r.Actor {
							t.Errorf("%s: %v, expected a fault of actor %s at submission", damage, err, r.Actor.Short())
						}
						wrong[r.Actor] = true
					}
				}
				name := fmt.Sprintf("%d of %d, %d right, the others %s", c.m, c.n, good, damage)
				if missing := max(0, c.m-good); round.Missing() != missing {
					t.Errorf("%s: %d are missing, expected %d", name, round.Missing(), missing)
				}
				for _, h := range round.Holders() {
					if (h.Fault != nil) != wrong[h.Actor] {
						t.Errorf("%s: actor %s: fault %v, expected one: %v", name, h.Actor.Short(), h.Fault, wrong[h.Actor])
					}
				}
				got, faults, err := round.Secret()
				if enough := good >= c.m; enough && (err != nil || !got.Equal(secret)) || !enough && !errors.Is(err, coco.ErrInvalid) {
					t.Errorf("%s: %v", name, err)
				}
				if len(faults) != len(wrong) {
					t.Errorf("%s: %d members are wrong, and %d are named", name, len(wrong), len(faults))
				}
			}
		}
	}
}

// What one member sends in another's name, or sends again, changes nothing about what is right already.
func TestAWrongReleaseLeavesARightOne(t *testing.T) {
	secret, e, ms := epoch(t, 3, 2)
	mine := receiver(t, end)
	round := mine.Round(&recovery.Lock{Epoch: e})
	right, other := release(t, mine.Request(), e, ms[0]), release(t, mine.Request(), e, ms[1])
	if err := round.Submit(right); err != nil {
		t.Fatal(err)
	}
	forged := right
	forged.Box = other.Box
	if err := round.Submit(forged); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a forged release: %v", err)
	}
	for range 2 { // the same member twice is one member
		if err := round.Submit(right); err != nil || round.Missing() != 1 {
			t.Errorf("again: %v, %d missing", err, round.Missing())
		}
	}
	if err := round.Submit(other); err != nil {
		t.Fatal(err)
	}
	<-round.Done()
	if got, faults, err := round.Secret(); err != nil || len(faults) > 0 || !got.Equal(secret) {
		t.Errorf("%v, %v", faults, err)
	}
}

// A node that starts again goes on with the releases that it has, if it kept its key.
func TestAReceiverThatWasKeptOpensWhatWasReleasedBefore(t *testing.T) {
	_, e, ms := epoch(t, 1, 1)
	mine := receiver(t, end)
	sent := release(t, mine.Request(), e, ms[0])
	b, err := mine.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := recovery.ParseReceiver(b)
	if err != nil {
		t.Fatal(err)
	}
	if again.Request().Digest() != mine.Request().Digest() {
		t.Error("it asks for something else")
	}
	if err := again.Round(&recovery.Lock{Epoch: e}).Submit(sent); err != nil {
		t.Error(err)
	}
	if text := fmt.Sprintf("%v %+v %s", again, again, b); strings.Contains(text, fmt.Sprintf("%x", []byte(b)[len(b)-32:])) || !strings.Contains(text, "receiver") {
		t.Errorf("it prints %s", text)
	}
}

func TestWhatCrossesAnAirGapIsReadBackAndNothingElse(t *testing.T) {
	_, e, ms := epoch(t, 3, 2)
	mine, lock := receiver(t, end), &recovery.Lock{Epoch: e}
	rq, err := mine.Request().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := recovery.ParseRequest(rq); err != nil || got.Digest() != mine.Request().Digest() {
		t.Errorf("request: %v", err)
	}
	lb, err := lock.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := recovery.ParseLock(lb)
	if err != nil || got.Digest() != lock.Digest() || got.Threshold() != 2 || len(got.Holders()) != 3 {
		t.Errorf("lock: %v", err)
	}
	r := release(t, mine.Request(), e, ms[2])
	b, err := r.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := recovery.ParseRelease(b); err != nil || mine.Round(got).Submit(back) != nil {
		t.Errorf("release: %v", err)
	}
	for i := range b {
		bad := append([]byte{}, b...)
		bad[i] ^= 1
		if back, err := recovery.ParseRelease(bad); err == nil && mine.Round(got).Submit(back) == nil {
			t.Errorf("a release with byte %d altered is accepted", i)
		}
	}
	for _, bad := range [][]byte{nil, {0xa0}, rq, b} {
		if _, err := recovery.ParseLock(bad); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("lock %.20x: %v", bad, err)
		}
	}
}

// A member checks at any time that its key opens its part. A key of another one is found.
func TestAMemberChecksItsKeyAndReleasesNothing(t *testing.T) {
	_, e, ms := epoch(t, 3, 2)
	lock := &recovery.Lock{Epoch: e}
	if err := lock.Check(ms[0].actor, ms[0].key); err != nil {
		t.Error(err)
	}
	if err := lock.Check(ms[0].actor, ms[1].key); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("another member's key: %v", err)
	}
	if err := lock.Check(coco.ActorID{99}, ms[1].key); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("a stranger: %v", err)
	}
	e.Shares[0].Box[50] ^= 1
	if err := lock.Check(ms[0].actor, ms[0].key); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("an altered box: %v", err)
	}
}

// ledgerOf makes epochs, each of which carries those before it.
func ledgerOf(t *testing.T, n int) (all []*keys.SealedEpoch, secrets map[uint64]keys.Secret, ms []member) {
	t.Helper()
	var rs []keys.Recipient
	for i := range 3 {
		key, err := keys.GenerateMemberKey()
		if err != nil {
			t.Fatal(err)
		}
		ms = append(ms, member{coco.ActorID{byte(i + 1)}, key})
		rs = append(rs, keys.Recipient{Actor: ms[i].actor, Key: key.Public()})
	}
	secrets = map[uint64]keys.Secret{}
	for i := range uint64(n) {
		secret, e, err := keys.NewEpoch(i+1, rs, 2)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.SealPrevious(secret, secrets); err != nil {
			t.Fatal(err)
		}
		secrets[i+1] = secret
		all = append(all, e)
	}
	return all, secrets, ms
}

func shared(all []*keys.SealedEpoch) (out []recovery.Epoch) {
	for _, e := range all {
		out = append(out, recovery.Epoch{Number: e.Epoch, Shared: e})
	}
	return out
}

func TestTheNewestLockOpensALedger(t *testing.T) {
	all, secrets, ms := ledgerOf(t, 5)
	o := recovery.NewOpening(shared(all), nil, func(epoch uint64) bool { return epoch < 5 })
	mine, locks := receiver(t, end), 0
	for lock := o.Next(); lock != nil; lock = o.Next() {
		locks++
		round := mine.Round(lock)
		for _, m := range ms {
			r, err := recovery.New(mine.Request(), lock, m.actor, m.key)
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
	if locks != 1 || len(o.Secrets()) != 5 {
		t.Errorf("%d locks opened %d epochs, expected 1 and 5", locks, len(o.Secrets()))
	}
	for epoch, secret := range o.Secrets() {
		if !secret.Equal(secrets[epoch]) {
			t.Errorf("epoch %d has another secret", epoch)
		}
	}
}

// An epoch that was announced and never used may be impossible to open. One in which transactions are sealed may not.
func TestWhatIsNeededIsNotGivenUp(t *testing.T) {
	all, secrets, _ := ledgerOf(t, 3)
	o := recovery.NewOpening(shared(all), nil, func(epoch uint64) bool { return epoch != 3 })
	if lock := o.Next(); lock.Epoch.Epoch != 3 || !o.GiveUp(lock) {
		t.Errorf("an epoch that is not used is needed: %s", lock)
	}
	lock := o.Next()
	if lock.Epoch.Epoch != 2 {
		t.Fatalf("next is %s", lock)
	}
	lock.Epoch.Previous = nil // damaged: it opens none before it
	if faults := o.Open(lock, secrets[2]); len(faults) > 0 {
		t.Error(faults)
	}
	if lock = o.Next(); lock == nil || lock.Epoch.Epoch != 1 || o.GiveUp(lock) {
		t.Errorf("epoch 1 is given up: %v", lock)
	}
}
