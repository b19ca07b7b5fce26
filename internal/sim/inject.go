package sim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/ledger/chain"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/resume"
)

// inject begins a fault, waits, and ends it. What it leaves behind, heal clears away.
func (r *run) inject(f fault) {
	w := r.network.World
	a, b := hostName(f.host), hostName(f.other)
	r.witness.Say("%v", f)
	during := func(begin, end func()) {
		begin()
		time.Sleep(f.lasts)
		end()
	}
	rejoin := func() { w.Rejoin(a) }
	heal := func() { w.Heal(a, b) }
	switch f.kind {
	case crash:
		r.crash(f)
		return
	case blackout:
		r.blackout(f)
		return
	case copies:
		r.copies(f)
		return
	case powerCut:
		r.powerCut(f)
		return
	case reopening:
		r.reopening(f)
		return
	case ceremony:
		r.ceremony(f)
		return
	case rotation:
		r.rotation(f)
		return
	case freeze:
		r.witness.Slows(a)
		during(func() { w.Freeze(a) }, func() { w.Thaw(a, f.counted) })
	case flood:
		r.flood(f)
	case policies:
		r.policies(f)
	case epochs:
		r.epochs(f)
	case suspension:
		r.pass(f.by)
	case clone:
		r.clone(f)
	case fullDisk:
		r.mayStop(f.host, "no space left on device")
		during(func() { w.SetDiskCapacity(a, 1) }, func() { w.SetDiskCapacity(a, 0) })
	case ioErrors:
		r.mayStop(f.host, "input/output error")
		during(func() { w.SetDiskErrors(a, f.disk) }, func() { w.SetDiskErrors(a, sim.DiskErrors{}) })
	case partition:
		during(func() { w.Partition(a, b) }, heal)
	case oneWay:
		during(func() { w.PartitionOneWay(a, b) }, heal)
	case flapping:
		f.flap(func() { w.Partition(a, b) }, heal)
	case flappingTo:
		f.flap(func() { w.PartitionOneWay(a, b) }, heal)
	case isolation:
		during(func() { w.Isolate(a) }, rejoin)
	case muted:
		during(func() { w.Mute(a) }, rejoin)
	case deafened:
		during(func() { w.Deafen(a) }, rejoin)
	case alone:
		during(func() {
			for i := range r.plan.members {
				if i != f.host {
					w.Partition(a, hostName(i))
				}
			}
		}, rejoin)
	case badLink:
		during(func() { w.SetLinkBetween(a, b, f.link) }, func() { w.SetLinkBetween(a, b, sim.DefaultLink) })
	case tampering:
		r.tamper(f)
	case slowSync:
		during(func() { w.SetSyncDelay(a, f.by) }, func() { w.SetSyncDelay(a, r.plan.sync) })
	case clockJump:
		during(func() { r.network.SetClock(a, f.by) }, func() { r.network.SetClock(a, 0) })
	case ahead:
		hosts := make([]string, r.plan.members)
		for i := range hosts {
			hosts[i] = hostName(i)
		}
		r.network.Ahead(f.by, f.lasts, hosts...)
	case clockDrift:
		r.witness.Slows(a)
		during(func() { w.SetClockRate(a, f.rate) }, func() { w.SetClockRate(a, 1) })
	}
	r.witness.Say("%s of %s is over", f.kind, a)
}

// tamper has the network lie on all links of a node to others; a node has to report it.
func (r *run) tamper(f fault) {
	w, a := r.network.World, hostName(f.host)
	before, since := int64(0), make([]int, r.plan.members)
	for i := range since {
		before += w.Tampered(a, hostName(i))
		since[i] = r.witness.Logged(hostName(i))
		w.SetTampering(a, hostName(i), f.rate)
	}
	time.Sleep(f.lasts)
	n, told := -before, false
	for i := range since {
		w.SetTampering(a, hostName(i), 0)
		n += w.Tampered(a, hostName(i))
	}
	time.Sleep(time.Second) // for what is on its way
	for i := range since {
		told = told || r.witness.Mentioned(hostName(i), since[i], logevent.ConnectionTampered)
	}
	r.witness.Say("%d writes of and to %s were tampered with; somebody says so: %t", n, a, told)
	const certain = 10 // some are lost with their connection, or spoil the first message of a handshake
	if n >= certain && !told {
		r.witness.Fail("told", "%d writes of and to %s were tampered with, and nobody says so", n, a)
	}
}

// flap has a fault come and go.
func (f fault) flap(begin, end func()) {
	for over := time.Now().Add(f.lasts); time.Now().Before(over); {
		begin()
		time.Sleep(f.by)
		end()
		time.Sleep(f.by)
	}
}

// crash takes a machine down and starts it again, with the disk that its host chooses.
func (r *run) crash(f fault) {
	w, name := r.network.World, hostName(f.host)
	r.off(f.host, f.torn)
	time.Sleep(f.lasts)
	r.lie(f)
	w.Restart(name)
	r.witness.Say("%s starts again", name)
	r.network.Start(f.host, r.network.join(f.host))
}

// lie has a host do to its disk what a fault says, while its node is down.
func (r *run) lie(f fault) {
	if f.lie == honest {
		return
	}
	name := hostName(f.host)
	files, what, report := r.tell(f)
	r.witness.Say("%s: %s", name, what)
	r.network.World.SetFiles(name, files)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lies[f.host] = report
}

// clone starts what a node's disk holds on a second machine, with the first one's address and owner, and takes
// that machine away again.
func (r *run) clone(f fault) {
	r.mu.Lock()
	r.clones++
	w, name, second := r.network.World, hostName(f.host), fmt.Sprintf("%s-clone%d", hostName(f.host), r.clones)
	r.mu.Unlock()
	r.mayStop(f.host, "")
	w.SetSyncDelay(second, r.plan.sync)
	w.SetFiles(second, w.Files(name, ""))
	if f.redirect {
		w.Redirect(name, second)
	}
	end := r.double(f.host, second)
	time.Sleep(f.lasts)
	end()
	if f.redirect {
		w.Redirect(name, "")
	}
}

// double starts a second node of a host's member on another machine, from what is on its disk and under the host's address. What it returns takes that machine away.
func (r *run) double(host int, second string) (end func()) {
	name := hostName(host)
	r.network.SetClock(second, 0)
	double := r.network.StartOn(second, host, func(c *node.Config) {
		r.network.join(host)(c)
		c.PeerAddress, c.ClientAddress = name+nettest.PeerPort, name+nettest.ClientPort
	})
	return func() {
		r.witness.Say("%s, the double of %s: it takes part: %t, it stopped: %t", second, name, double.TakesPart(), double.Ended())
		r.network.World.Crash(second)
		double.Stop()
		<-double.Done()
		r.inspect(second)
	}
}

// blackout crashes every machine at once. The members recover the network from the longest ledger.
func (r *run) blackout(f fault) {
	r.down(f.torn)
	time.Sleep(f.lasts)
	r.pass(f.by)
	r.lie(f)
	r.again(f.succeeds)
}

// again starts all machines. The members recover the network, under a service that succeeds the one before and that they vote for, or under the same one.
func (r *run) again(succeeds bool) {
	n := &r.network
	for i := range r.plan.members {
		n.World.Restart(hostName(i))
		r.discard(i)
	}
	r.witness.Say("all machines are up again; the members recover the network, under another service: %t", succeeds)
	best, err := r.recover(succeeds)
	if err != nil {
		r.witness.Fail("alive", "after a blackout: %v", err)
		r.abort()
		return
	}
	for i := range r.plan.members {
		if i != best {
			n.Start(i, n.join(i))
		}
	}
}

// discard removes from a machine what its node would go on with by itself, as operators do before members recover the network.
func (r *run) discard(i int) {
	files := r.network.World.Files(hostName(i), "")
	if _, ok := files[resume.File]; ok {
		delete(files, resume.File)
		r.network.World.SetFiles(hostName(i), files)
	}
}

// pass lets time pass for all hosts that they do not count.
func (r *run) pass(d time.Duration) {
	var hosts []string
	for i := range r.plan.members {
		hosts = append(hosts, hostName(i))
	}
	r.network.Pass(d, hosts...)
}

// recover does what the members do when no node is left: they go on from the longest ledger, with what others have of its
// chunks in the place of what is damaged or missing there. If no other ledger can mend it they turn to the next one, as long as those
// that are left are a majority: one of those has whatever was committed.
func (r *run) recover(succeeds bool) (int, error) {
	n := r.network
	order, err := n.Ledgers()
	for k, i := range order {
		if len(order)-k <= r.plan.members/2 {
			break
		}
		r.witness.Say("the members recover from the ledger of %s", hostName(i))
		done, e := n.Repair(i, slices.Delete(slices.Clone(order), k, k+1))
		for _, d := range done {
			r.witness.Repaired(hostName(i), d.First, d.Last, d.Damage)
		}
		if e == nil {
			e = r.goOn(i, succeeds)
		}
		if e == nil {
			return i, nil
		}
		err = errors.Join(err, fmt.Errorf("%s: %w", hostName(i), e))
		if !chain.IsDamage(e) && !errors.Is(e, coco.ErrMissing) {
			break
		}
		r.witness.Say("%s: %v", hostName(i), e)
		n.Forget(i)
	}
	return 0, fmt.Errorf("the members cannot recover from any of the ledgers %v: %w", order, err)
}

// backup remembers every node's disk, for a host to put back later.
func (r *run) backup() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.keys.ids = r.identities()
	for i := range r.plan.members {
		r.backups[i] = r.network.World.Files(hostName(i), "")
		r.seals(hostName(i), r.backups[i])
	}
}

// inspect looks at a host's disk: for planted secrets, and at the batches on it.
func (r *run) inspect(host string) {
	files := r.network.World.Files(host, "")
	for name, content := range files {
		if bytes.Contains(content, []byte(planted)) {
			r.witness.Fail("secret", "%s has a planted secret in the clear in %s", host, name)
		}
	}
	r.seals(host, files)
}
