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
	r, err := recovery.NewReceiver(p)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func release(t *testing.T, rq recovery.Request, e *keys.SealedEpoch, m member) recovery.Release {
	t.Helper()
	r, err := recovery.New(rq, e, m.actor, m.key)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAReleaseOpensForTheEndOfTheLedgerThatItsMemberWasShown(t *testing.T) {
	_, e, ms := epoch(t, 1, 1)
	mine := receiver(t, end)
	if _, err := mine.Open(e, release(t, mine.Request(), e, ms[0])); err != nil {
		t.Fatal(err)
	}
	for name, alter := range map[string]func(*recovery.Request){
		"another network":          func(rq *recovery.Request) { rq.Point.Network[0]++ },
		"another view":             func(rq *recovery.Request) { rq.Point.View++ },
		"an earlier transaction":   func(rq *recovery.Request) { rq.Point.Seqno-- },
		"another entry":            func(rq *recovery.Request) { rq.Point.Index++ },
		"another time":             func(rq *recovery.Request) { rq.Point.Time++ },
		"another root":             func(rq *recovery.Request) { rq.Point.Root[0]++ },
		"the key of another node":  func(rq *recovery.Request) { rq.Key = receiver(t, end).Request().Key },
		"another node, whole":      func(rq *recovery.Request) { *rq = receiver(t, end).Request() },
		"another end, by its node": func(rq *recovery.Request) { *rq = receiver(t, recovery.Point{Seqno: 16}).Request() },
	} {
		rq := mine.Request()
		alter(&rq)
		_, err := mine.Open(e, release(t, rq, e, ms[0]))
		var fault *keys.ShareError
		if !errors.As(err, &fault) || fault.Actor != ms[0].actor {
			t.Errorf("%s: %v, expected a ShareError that names the member", name, err)
		}
	}
}

// The threshold is enough, whichever members are missing, and whatever the others send; those that are wrong are named.
func TestExactlyAThresholdOfReleasesIsEnough(t *testing.T) {
	for _, c := range []struct{ n, m int }{{1, 1}, {3, 2}, {4, 3}} {
		secret, e, ms := epoch(t, c.n, c.m)
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
			"of another epoch":         func(r, _ recovery.Release) *recovery.Release { r.Epoch++; return &r },
		} {
			for set := range 1 << c.n {
				mine := receiver(t, end)
				whole := make([]recovery.Release, c.n)
				for i, m := range ms {
					whole[i] = release(t, mine.Request(), e, m)
				}
				var in []recovery.Release
				good, wrong := 0, map[coco.ActorID]bool{}
				for i := range ms {
					if set>>i&1 == 1 {
						in, good = append(in, whole[i]), good+1
					} else if r := spoil(whole[i], whole[(i+1)%c.n]); r != nil && (c.n > 1 || !strings.Contains(damage, "another member")) {
						in, wrong[r.Actor] = append(in, *r), true
					}
				}
				got, faults, err := mine.Combine(e, in)
				name := fmt.Sprintf("%d of %d, %d right, the others %s", c.m, c.n, good, damage)
				if enough := good >= c.m; enough && (err != nil || !got.Equal(secret)) || !enough && !errors.Is(err, coco.ErrInvalid) {
					t.Errorf("%s: %v", name, err)
				}
				for _, f := range faults {
					var fault *keys.ShareError
					if !errors.As(f, &fault) || !wrong[fault.Actor] {
						t.Errorf("%s: the fault %v names no member that is wrong", name, f)
					} else {
						delete(wrong, fault.Actor)
					}
				}
				if len(wrong) > 0 {
					t.Errorf("%s: %d members that are wrong are not named", name, len(wrong))
				}
			}
		}
	}
}
