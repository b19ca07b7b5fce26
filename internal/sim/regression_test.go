package sim

import (
	"bytes"
	"os"
	"testing"
	"time"
)

// What failed once, as plans of its own: another way of drawing gives a seed another meaning.

// replay plays rounds of faults on three nodes. The first one leads at the beginning.
func replay(t *testing.T, rounds ...[]fault) {
	t.Helper()
	replayPlan(t, plan{members: 3, sync: 3 * time.Millisecond, rounds: rounds}, nil)
}

func replayPlan(t *testing.T, p plan, hit func(step, fault string)) {
	t.Helper()
	var kept bytes.Buffer
	c := Config{Seed: 1, Trace: &kept, plan: &p, Hit: hit}
	if testing.Verbose() {
		c.Trace = os.Stdout
	}
	if os.Getenv("LOG") != "" {
		c.Log = os.Stdout
	}
	Run(t, c)
	if t.Failed() {
		t.Logf("\n%s", &kept)
	}
}

// long leaves a scenario of several networks out of short runs, such as those under the race detector. The others, and the seeds, run every goroutine that it does.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes long")
	}
}

// firstChunk is where the oldest file of the folder ledger is hit, of the folders history, ledger and snapshots.
var firstChunk = [3]float64{0.5, 0, 0.5}

// A leader whose clock is years ahead admits n3 anew, and goes.
func TestACertificateOutlivesItsIssuersWrongClock(t *testing.T) {
	replay(t,
		[]fault{
			{kind: clockJump, at: time.Second, lasts: 7 * time.Second, host: 0, other: 1, by: 9 * 365 * 24 * time.Hour},
			{kind: crash, at: 2 * time.Second, lasts: time.Second, host: 2},
		},
		[]fault{{kind: crash, at: time.Second, lasts: 6 * time.Second, host: 0}},
	)
}

// The host of a machine that is frozen or cut off lies about what others send to it: none of it is read.
func TestALieToAMachineThatReadsNothingNeedNotBeTold(t *testing.T) {
	for _, other := range []kind{freeze, isolation} {
		replay(t, []fault{
			{kind: other, at: time.Second, lasts: 20 * time.Second, host: 2},
			{kind: tampering, at: 2 * time.Second, lasts: 10 * time.Second, host: 2, rate: 1},
		})
	}
}

// All machines are off for a time, or asleep, and the clock of one of them jumps besides.
func TestAPauseCostsNothing(t *testing.T) {
	const day = 24 * time.Hour
	replay(t,
		[]fault{{kind: blackout, at: time.Second, lasts: time.Second, by: 21 * time.Minute}},
		[]fault{
			{kind: suspension, at: time.Second, lasts: time.Second, by: 20 * day},
			{kind: clockJump, at: 3 * time.Second, lasts: 5 * time.Second, host: 0, other: 1, by: 9 * 365 * day},
			{kind: crash, at: 4 * time.Second, lasts: time.Second, host: 1},
		},
		[]fault{{kind: blackout, at: time.Second, lasts: time.Second, by: 4 * 365 * day}},
		[]fault{{kind: clockJump, at: time.Second, lasts: 7 * time.Second, host: 2, other: 1, by: -9 * 365 * day}},
	)
}

// All clocks were ahead and are right again, while one node hears none of it, and another one goes: the two that are left need each other.
func TestALedgerThatIsAheadStopsNobody(t *testing.T) {
	long(t)
	for _, first := range []int{0, 1, 2} {
		other := (first + 1) % 3
		replay(t,
			[]fault{
				{kind: alone, at: time.Second, lasts: 8 * time.Second, host: first, other: other},
				{kind: ahead, at: 2 * time.Second, lasts: 4 * time.Second, by: 8 * time.Minute, other: 1},
				{kind: crash, at: 8500 * time.Millisecond, lasts: time.Second, host: other},
			},
			[]fault{{kind: isolation, at: time.Second, lasts: 5 * time.Second, host: 0, other: 1}},
			[]fault{{kind: isolation, at: time.Second, lasts: 5 * time.Second, host: 1, other: 2}},
		)
	}
}

// The leader is replaced by a clone that nobody reaches, when there is little that a learner has to catch up with.
func TestAnUnreachableSuccessorDoesNotVote(t *testing.T) {
	replay(t, []fault{{kind: clone, at: time.Second, lasts: 12 * time.Second, host: 0}})
}

// The leader is replaced and goes on, as its successor is not there yet.
func TestARetiredNodeSealsNothing(t *testing.T) {
	replay(t, nil, []fault{{kind: clone, at: time.Second, lasts: 12 * time.Second, host: 0}})
}

// n2 is replaced by a clone that nobody reaches while n3 hears of no leader: every vote is needed.
func TestNobodyLeavesANetworkThatNeedsIt(t *testing.T) {
	replay(t, []fault{
		{kind: isolation, at: time.Second, lasts: 7500 * time.Millisecond, host: 2, other: 0},
		{kind: clone, at: 6700 * time.Millisecond, lasts: 14 * time.Second, host: 1},
	})
}

// An entry is changed and its checksum mended before there is any snapshot, so the node has to read it.
func TestANodeTellsOfAChangedEntry(t *testing.T) {
	replay(t, []fault{{kind: crash, at: 500 * time.Millisecond, lasts: 300 * time.Millisecond, host: 2, lie: mended, where: firstChunk}})
}

// A bit of an old chunk is flipped. Its node begins with a snapshot and finds it out when it is asked for the past.
func TestADamagedChunkIsFetchedAgain(t *testing.T) {
	replay(t, nil, []fault{{kind: crash, at: time.Second, lasts: time.Second, host: 2, lie: flipped, where: firstChunk}})
}

// n3 gets the disk of a node whose files end elsewhere than the others', and loses one of them.
func TestTheWholePastIsFetchedAgain(t *testing.T) {
	replay(t, nil,
		[]fault{{kind: blackout, at: 6 * time.Second, lasts: time.Second}},
		[]fault{{kind: blackout, at: 6 * time.Second, lasts: time.Second, torn: true}},
		[]fault{
			{kind: crash, at: 1500 * time.Millisecond, lasts: 2500 * time.Millisecond, host: 2, other: 0, lie: foreign},
			{kind: isolation, at: 3700 * time.Millisecond, lasts: 3700 * time.Millisecond, host: 2, other: 0},
		},
		[]fault{{kind: crash, at: 1600 * time.Millisecond, lasts: 600 * time.Millisecond, host: 2, lie: gone, where: firstChunk}},
	)
}

// An entry of an old chunk is changed and its checksum mended. Its node begins with a snapshot, and nobody asks for that part of the past.
func TestAChangedChunkIsNoticedThoughNobodyAsksForIt(t *testing.T) {
	replay(t, nil, nil, []fault{{kind: crash, at: time.Second, lasts: time.Second, host: 2, lie: mended, where: oldest}})
}

// oldest is where the oldest file of the only folder with entries is hit.
var oldest = [3]float64{0, 0, 0.5}

// All machines are down, and a host has changed a chunk of the longest ledger meanwhile. The others have it.
func TestARecoveryTakesADamagedChunkFromTheOtherLedgers(t *testing.T) {
	for _, l := range []lie{flipped, mended, gone} {
		t.Run(string(l), func(t *testing.T) {
			where := firstChunk
			if l == mended {
				where = oldest
			}
			replay(t, nil, nil, []fault{{kind: blackout, at: 6 * time.Second, lasts: time.Second, host: 0, other: 1, lie: l, where: where}})
		})
	}
}

// The end of the longest ledger is changed, which no other ledger can mend: the members go on from the next one.
func TestARecoveryGoesOnFromAnotherLedgerIfTheEndIsDamaged(t *testing.T) {
	replay(t, []fault{{kind: blackout, at: 500 * time.Millisecond, lasts: time.Second, host: 0, other: 1, lie: mended, where: oldest}})
}

// n2's address leads to a clone, while connections to n2 live on. It does not learn that it was replaced, and goes on to show what it has.
func TestAMachineThatTakesOverAnAddressIsComparedWithItselfOnly(t *testing.T) {
	replay(t, []fault{
		{kind: flappingTo, at: 3300 * time.Millisecond, lasts: 8 * time.Second, host: 0, other: 1, by: 300 * time.Millisecond},
		{kind: clone, at: 4500 * time.Millisecond, lasts: 12 * time.Second, host: 1, redirect: true},
		{kind: partition, at: 6 * time.Second, lasts: time.Second, host: 2, other: 0},
	})
}
