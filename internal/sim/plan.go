package sim

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/cocoframework/coco/host/sim"
)

// kind is what a fault does.
type kind string

// The faults of a machine take its node away; fewer than half of the nodes have one in a round.
const (
	crash    kind = "crash"
	fullDisk kind = "full disk"
	blackout kind = "blackout" // of all machines, ended by a recovery from the longest ledger
)

// The other faults leave every node running.
const (
	partition kind = "partition"
	flapping  kind = "flapping partition"
	isolation kind = "isolation"
	badLink   kind = "bad link"
	slowSync  kind = "slow sync"
	clockJump kind = "clock jump"
)

// lie is what a host puts in the place of its disk while its node is down.
type lie string

const (
	honest    lie = ""
	lost      lie = "the disk is lost and replaced by an empty one"
	rollBack  lie = "the disk is as it was earlier"
	truncated lie = "a ledger chunk is truncated"
	flipped   lie = "a bit of a ledger chunk is flipped"
	foreign   lie = "the disk is another node's"
)

// fault is one thing that goes wrong, from at to at+lasts after its round began.
type fault struct {
	kind      kind
	at, lasts time.Duration
	host      int
	other     int           // of a partition or link
	torn      bool          // crash, blackout
	lie       lie           // crash
	where     float64       // of a lie: how far into a file
	link      sim.Link      // badLink
	by        time.Duration // clockJump, slowSync; flapping: the period
}

func (f fault) String() string {
	var b strings.Builder
	fmt.Fprint(&b, f.kind)
	switch f.kind {
	case partition, flapping:
		fmt.Fprintf(&b, " between %s and %s", hostName(f.host), hostName(f.other))
	case badLink:
		fmt.Fprintf(&b, " between %s and %s, delay %v, jitter %v, loss %.2f", hostName(f.host), hostName(f.other), f.link.Delay, f.link.Jitter, f.link.Loss)
	case blackout:
		fmt.Fprint(&b, " of all")
	default:
		fmt.Fprintf(&b, " of %s", hostName(f.host))
	}
	if f.by != 0 {
		fmt.Fprintf(&b, " by %v", f.by)
	}
	if f.torn {
		fmt.Fprint(&b, ", unsynced writes torn")
	}
	fmt.Fprintf(&b, ", for %v", f.lasts)
	return b.String()
}

// plan is what a seed fixes.
type plan struct {
	members int
	sync    time.Duration // how long disks take to sync, so that crashes come in between
	rounds  [][]fault
}

// rounds is how many rounds a seed has.
const rounds = 5

// roundLength is when the last fault of a round has begun.
const roundLength = 8 * time.Second

func draw(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 0x436f636f))
	p := plan{members: []int{3, 3, 3, 4, 5}[r.IntN(5)], sync: upTo(r, 10*time.Millisecond)}
	for range rounds {
		p.rounds = append(p.rounds, drawRound(r, p.members))
	}
	return p
}

func drawRound(r *rand.Rand, members int) (faults []fault) {
	if r.IntN(8) == 0 {
		return []fault{{kind: blackout, at: upTo(r, roundLength), lasts: upTo(r, 5*time.Second), torn: r.IntN(2) == 0}}
	}
	victims := r.Perm(members)[:r.IntN((members-1)/2+1)]
	if len(victims) == 0 && r.IntN(2) == 0 {
		victims = []int{r.IntN(members)}
	}
	for _, v := range victims {
		f := fault{kind: crash, at: upTo(r, roundLength), lasts: upTo(r, 6*time.Second), host: v, other: (v + 1) % members, torn: r.IntN(2) == 0, where: r.Float64()}
		if r.IntN(2) == 0 {
			f.lie = []lie{lost, rollBack, truncated, flipped, foreign}[r.IntN(5)]
		}
		if r.IntN(6) == 0 {
			f.kind, f.torn, f.lie = fullDisk, false, honest
		}
		faults = append(faults, f)
	}
	for range 1 + r.IntN(3) {
		a := r.IntN(members)
		f := fault{at: upTo(r, roundLength), lasts: upTo(r, 8*time.Second), host: a, other: (a + 1 + r.IntN(members-1)) % members}
		f.kind = []kind{partition, partition, flapping, isolation, isolation, badLink, slowSync, clockJump}[r.IntN(8)]
		switch f.kind {
		case flapping:
			f.by = 50*time.Millisecond + upTo(r, 1500*time.Millisecond)
		case badLink:
			f.link = sim.Link{Delay: upTo(r, 400*time.Millisecond), Jitter: upTo(r, 200*time.Millisecond), Loss: float64(r.IntN(20)) / 100}
		case slowSync:
			f.by = upTo(r, []time.Duration{50 * time.Millisecond, 5 * time.Second}[r.IntN(2)])
		case clockJump:
			f.by = upTo(r, []time.Duration{time.Minute, 10 * 365 * 24 * time.Hour}[r.IntN(2)]) - time.Minute
			if r.IntN(2) == 0 {
				f.by = -f.by
			}
		}
		faults = append(faults, f)
	}
	return faults
}

// upTo draws a time in whole milliseconds, so that traces are readable.
func upTo(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(1+r.Int64N(int64(most/time.Millisecond))) * time.Millisecond
}
