package sim

import (
	"math/rand/v2"
	"time"

	"github.com/cocoframework/coco/host/sim"
)

// draw makes the plan of a seed. The last round is drawn from numbers of its own: what it is to hold in later versions changes nothing before it.
func draw(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 0x436f636f))
	p := plan{members: []int{3, 3, 3, 4, 5}[r.IntN(5)], sync: upTo(r, 10*time.Millisecond)}
	clocks := rand.New(rand.NewPCG(seed, 0x616865616400))
	for range rounds {
		faults := drawRound(r, p.members)
		if f := drawAhead(clocks); f.lasts > 0 && faults[0].kind != blackout && faults[0].kind != suspension {
			faults = append(faults, f)
		}
		p.rounds = append(p.rounds, faults)
	}
	keys := rand.New(rand.NewPCG(seed, 0x6b657973))
	if p.unattended = keys.IntN(2) == 0; keys.IntN(2) == 0 {
		p.rounds = append(p.rounds, drawKeys(keys, p.members))
		return p
	}
	p.rounds = append(p.rounds, drawLater(rand.New(rand.NewPCG(seed, 0x6c61746572)), p.members))
	return p
}

// drawAhead draws, for one round in ten, that all clocks are ahead for a while: by more than nodes wait, and less than an audit refuses.
func drawAhead(r *rand.Rand) fault {
	if r.IntN(10) > 0 {
		return fault{}
	}
	return fault{kind: ahead, at: upTo(r, roundLength), lasts: 2*time.Second + upTo(r, 8*time.Second), by: 4*time.Minute + upTo(r, 5*time.Minute), other: 1}
}

// drawKeys draws a last round about keys.
func drawKeys(r *rand.Rand, members int) []fault {
	f := fault{at: upTo(r, time.Second), lasts: upTo(r, 6*time.Second), host: r.IntN(members), torn: r.IntN(2) == 0}
	f.other = (f.host + 1 + r.IntN(members-1)) % members
	switch f.succeeds = r.IntN(2) == 0; r.IntN(8) {
	case 0, 1, 2:
		f.kind, f.hosts = powerCut, []hosts{fair, fair, apart, aged, twice}[r.IntN(5)]
		return []fault{f}
	case 3:
		f.kind, f.step = reopening, reopeningSteps[r.IntN(len(reopeningSteps))]
		return []fault{f}
	case 4:
		f.kind, f.leads = rotation, r.IntN(2) == 0
	default:
		f.kind, f.leads = ceremony, r.IntN(2) == 0
		f.step, f.change = ceremonySteps[r.IntN(len(ceremonySteps))], []change{refresh, refresh, gain, lose, vary}[r.IntN(5)]
	}
	faults := []fault{f}
	if other := drawOther(r, members); r.IntN(2) == 0 && other.kind != clockJump && other.kind != clockDrift {
		faults = append(faults, other)
	}
	return faults
}

// drawLater draws the last round.
func drawLater(r *rand.Rand, members int) []fault {
	f := fault{at: upTo(r, time.Second), lasts: upTo(r, roundLength), host: r.IntN(members)}
	f.other = (f.host + 1 + r.IntN(members-1)) % members
	switch r.IntN(6) {
	case 0, 1:
		f.kind, f.counted = freeze, r.IntN(2) == 0
		f.lasts = upTo(r, []time.Duration{30 * time.Second, 30 * time.Second, 5 * time.Minute}[r.IntN(3)])
	case 2:
		f.kind = copies
		return []fault{f}
	case 3:
		f.kind = flood
		return []fault{f}
	default:
		f.kind = policies
	}
	faults := []fault{f}
	for range r.IntN(3) {
		other := drawOther(r, members)
		if other.kind != clockJump && other.kind != clockDrift { // the clock of a frozen machine is one that may be wrong
			faults = append(faults, other)
		}
	}
	if r.IntN(3) == 0 {
		faults = append(faults, fault{kind: crash, at: upTo(r, roundLength), lasts: upTo(r, 6*time.Second), host: f.host, torn: r.IntN(2) == 0})
	}
	return faults
}

func drawRound(r *rand.Rand, members int) (faults []fault) {
	if r.IntN(8) == 0 {
		return []fault{drawPause(r, members)}
	}
	victims := r.Perm(members)[:r.IntN((members-1)/2+1)]
	if len(victims) == 0 && r.IntN(2) == 0 {
		victims = []int{r.IntN(members)}
	}
	for _, v := range victims {
		faults = append(faults, drawMachine(r, v, members))
	}
	jumps := -1 // the one host whose clock jumps: a majority of wrong clocks moves the ledger's time
	for range 1 + r.IntN(3) {
		f := drawOther(r, members)
		if f.kind == clockJump {
			if jumps < 0 {
				jumps = f.host
			}
			f.host, f.other = jumps, (jumps+1)%members
		}
		faults = append(faults, f)
	}
	return faults
}

// drawPause draws a pause of all machines: they crash, and the members recover the network, or they sleep.
func drawPause(r *rand.Rand, members int) fault {
	f := fault{kind: blackout, at: upTo(r, roundLength), lasts: upTo(r, 5*time.Second)}
	longest := []time.Duration{0, time.Hour, 30 * 24 * time.Hour, 3 * 365 * 24 * time.Hour}[r.IntN(4)]
	if f.torn = r.IntN(2) == 0; r.IntN(3) == 0 {
		f.kind, f.torn = suspension, false
		longest = max(time.Hour, min(longest, 30*24*time.Hour)) // no running node outlives its certificate asleep
	}
	if longest > 0 {
		f.by = upTo(r, longest)
	}
	if f.kind == blackout && r.IntN(2) == 0 { // one host lies to its disk meanwhile
		f.lie, f.host, f.where = drawLie(r), r.IntN(members), [3]float64{r.Float64(), r.Float64(), r.Float64()}
		f.other = (f.host + 1) % members
	}
	return f
}

// drawMachine draws what happens to a machine.
func drawMachine(r *rand.Rand, victim, members int) fault {
	f := fault{
		kind: crash, at: upTo(r, roundLength), lasts: upTo(r, 6*time.Second), host: victim, other: (victim + 1) % members,
		where: [3]float64{r.Float64(), r.Float64(), r.Float64()},
	}
	switch r.IntN(10) {
	case 0:
		f.kind = fullDisk
	case 1, 2:
		f.kind = ioErrors
		likely := []float64{0.02, 0.3, 1}[r.IntN(3)]
		f.disk.Most = []int{1, 3, 0}[r.IntN(3)]
		switch r.IntN(4) {
		case 0:
			f.disk.Read = likely
		case 1:
			f.disk.Write = likely
		case 2:
			f.disk.Sync = likely
		case 3:
			f.disk.Read, f.disk.Write, f.disk.Sync = likely, likely, likely
		}
	case 3:
		f.kind, f.lasts, f.redirect = clone, 5*time.Second+upTo(r, 15*time.Second), r.IntN(2) == 0
	default:
		f.torn = r.IntN(2) == 0
		if r.IntN(5) < 3 {
			f.lie = drawLie(r)
		}
	}
	return f
}

// drawLie draws what a host does to its disk.
func drawLie(r *rand.Rand) lie {
	return []lie{lost, rollBack, foreign, truncated, flipped, flipped, older, gone, mended, mended}[r.IntN(10)]
}

// drawOther draws a fault that leaves every node running.
func drawOther(r *rand.Rand, members int) fault {
	a := r.IntN(members)
	f := fault{at: upTo(r, roundLength), lasts: upTo(r, 8*time.Second), host: a, other: (a + 1 + r.IntN(members-1)) % members}
	f.kind = []kind{
		partition, partition, oneWay, oneWay, flapping, flappingTo, isolation, isolation, muted, deafened, alone,
		badLink, tampering, slowSync, clockJump, clockDrift,
	}[r.IntN(16)]
	switch f.kind {
	case flapping, flappingTo:
		f.by = 50*time.Millisecond + upTo(r, 1500*time.Millisecond)
	case badLink:
		f.link = sim.Link{Delay: upTo(r, 400*time.Millisecond), Jitter: upTo(r, 200*time.Millisecond), Loss: float64(r.IntN(20)) / 100}
	case tampering:
		f.rate = []float64{0.002, 0.02, 0.3}[r.IntN(3)]
	case slowSync:
		f.by = upTo(r, []time.Duration{50 * time.Millisecond, 5 * time.Second}[r.IntN(2)])
	case clockJump:
		f.by = upTo(r, []time.Duration{time.Minute, 10 * 365 * 24 * time.Hour}[r.IntN(2)]) - time.Minute
		if r.IntN(2) == 0 {
			f.by = -f.by
		}
	case clockDrift:
		f.rate = []float64{0.98, 1.02, 0.5, 2}[r.IntN(4)]
	}
	return f
}

// upTo draws a time in whole milliseconds, so that traces are readable.
func upTo(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(1+r.Int64N(int64(most/time.Millisecond))) * time.Millisecond
}
