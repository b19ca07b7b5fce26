package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/cocoframework/coco/host/sim"
)

// kind is what a fault does.
type kind string

// The faults of a machine may take its node away; fewer than half of the nodes have one in a round.
const (
	crash    kind = "crash"
	fullDisk kind = "full disk"
	ioErrors kind = "I/O errors"
	clone    kind = "clone"
	blackout kind = "blackout" // of all machines, ended by a recovery from the longest ledger
)

// The other faults leave every node running.
const (
	partition  kind = "partition"
	oneWay     kind = "one-way partition" // host is not heard by other
	flapping   kind = "flapping partition"
	flappingTo kind = "flapping one-way partition"
	isolation  kind = "isolation"
	muted      kind = "one-way isolation: nobody hears it"
	deafened   kind = "one-way isolation: it hears nobody"
	alone      kind = "isolation from the other nodes, but not from clients"
	badLink    kind = "bad link"
	tampering  kind = "lies on the wire"
	slowSync   kind = "slow sync"
	clockJump  kind = "clock jump"
	suspension kind = "suspension" // of all machines, which count no time meanwhile
	clockDrift kind = "clock drift"
	ahead      kind = "clocks ahead" // of all machines, which are set back then
)

// The faults of the round after the others (drawLater). All but copies leave every node running.
const (
	freeze   kind = "freeze"     // of a machine, for minutes
	copies   kind = "old copies" // in the place of all disks, while all machines are down
	flood    kind = "flood"      // by one client of the Ethereum adapter
	policies kind = "policies"   // that members change
)

// The faults of a last round about keys (drawKeys).
const (
	powerCut  kind = "power cut"           // of all machines at once: nodes go on together, or nobody does
	ceremony  kind = "crash in a ceremony" // that members have called for
	reopening kind = "crash in a recovery" // of all machines, and then of the one that recovers
	rotation  kind = "crash in a rotation" // of epochs, that members have called for
)

// epochs is not drawn: members change the threshold of shares so many times, and as many epochs begin.
const epochs kind = "epochs"

// lie is what a host puts in the place of its disk while its node is down.
type lie string

const (
	honest    lie = ""
	lost      lie = "the disk is lost and replaced by an empty one"
	rollBack  lie = "the disk is as it was earlier"
	foreign   lie = "the disk is another node's"
	truncated lie = "a file is truncated"
	flipped   lie = "a bit of a file is flipped"
	older     lie = "a file is as it was earlier"
	gone      lie = "a file is gone"
	mended    lie = "an entry of the ledger is changed, and its checksum mended"
)

// fault is one thing that goes wrong, from at to at+lasts after its round began.
type fault struct {
	kind      kind
	at, lasts time.Duration
	host      int
	other     int            // of a partition or link
	torn      bool           // crash, blackout
	lie       lie            // crash; blackout: of one host
	where     [3]float64     // of a lie: which folder, which file, how far into it
	link      sim.Link       // badLink
	by        time.Duration  // clockJump, ahead, slowSync; flapping: the period; suspension, blackout: how much time passes uncounted
	rate      float64        // clockDrift: of the clock; tampering: how likely a write is tampered with
	disk      sim.DiskErrors // ioErrors
	redirect  bool           // clone: it is the one that is reached at their address
	counted   bool           // freeze: its clock has counted the time
	keyFault
}

// keyFault is what the faults about keys are besides.
type keyFault struct {
	step     step   // ceremony, reopening
	change   change // ceremony: what members decide
	leads    bool   // ceremony, rotation: it is the node that leads, and not host
	hosts    hosts  // powerCut: what they do besides
	times    int    // epochs
	succeeds bool   // powerCut, reopening: members recover the network under another service
}

// step is how far something is that a fault hits.
type step string

// ceremonySteps are the phases of a ceremony.
var ceremonySteps = []step{"registering", "committing", "revealing", "judging", "confirming", "done"}

// reopeningSteps are what a node does that recovers.
var reopeningSteps = []step{"audits", "has shown where the ledger ends", "asks members", "has members' parts", "has opened the ledger", "serves"}

// change is what members decide, so that a ceremony begins.
type change string

const (
	refresh change = "refresh"
	gain    change = "a member more"
	lose    change = "a member less"
	vary    change = "another threshold"
)

// hosts is what hosts do while all machines are down, or come up.
type hosts string

const (
	fair  hosts = ""
	apart hosts = "one host is cut off"
	aged  hosts = "one host has an older disk"
	twice hosts = "one host starts its node twice"
)

func (f fault) String() string {
	var b strings.Builder
	fmt.Fprint(&b, f.kind)
	switch f.kind {
	case partition, flapping, badLink:
		fmt.Fprintf(&b, " between %s and %s", hostName(f.host), hostName(f.other))
	case oneWay, flappingTo:
		fmt.Fprintf(&b, " from %s to %s", hostName(f.host), hostName(f.other))
	case blackout, suspension, ahead, copies, powerCut, reopening:
		fmt.Fprint(&b, " of all")
	case flood:
		fmt.Fprintf(&b, " by a client of %s", hostName(f.host))
	default:
		fmt.Fprintf(&b, " of %s", hostName(f.host))
	}
	switch f.kind {
	case badLink:
		fmt.Fprintf(&b, ", delay %v, jitter %v, loss %.2f", f.link.Delay, f.link.Jitter, f.link.Loss)
	case tampering:
		fmt.Fprintf(&b, ", with %.1f writes in a hundred", 100*f.rate)
	case clockDrift:
		fmt.Fprintf(&b, ", %.2f seconds a second", f.rate)
	case ioErrors:
		fmt.Fprintf(&b, ", of reads %.2f, writes %.2f, syncs %.2f, at most %d", f.disk.Read, f.disk.Write, f.disk.Sync, f.disk.Most)
	case epochs:
		fmt.Fprintf(&b, ", %d times", f.times)
	case freeze:
		fmt.Fprintf(&b, ", whose clock counts meanwhile: %t", f.counted)
	case clone:
		if f.redirect {
			fmt.Fprint(&b, ", which takes over the address")
		}
	}
	if f.step != "" {
		fmt.Fprintf(&b, ", when it %s", f.step)
	}
	if f.kind == ceremony {
		fmt.Fprintf(&b, ": %s", f.change)
	}
	if f.leads {
		fmt.Fprint(&b, ", or of the one that leads")
	}
	if f.hosts != fair {
		fmt.Fprintf(&b, "; %s: %s", f.hosts, hostName(f.host))
	}
	if f.by != 0 {
		fmt.Fprintf(&b, " by %v", f.by)
	}
	if f.kind == blackout && f.lie != honest {
		fmt.Fprintf(&b, ", with a lie of %s", hostName(f.host))
	}
	if f.torn {
		fmt.Fprint(&b, ", unsynced writes torn")
	}
	fmt.Fprintf(&b, ", for %v", f.lasts)
	return b.String()
}

// plan is what a seed fixes.
type plan struct {
	members    int
	unattended bool          // the constitution has nodes go on by themselves
	sync       time.Duration // how long disks take to sync, so that crashes come in between
	rounds     [][]fault
}

// rounds is how many rounds a seed has before the last one, which has faults of its own.
const rounds = 5

// roundLength is when the last fault of a round has begun.
const roundLength = 8 * time.Second
