package sim

import (
	"context"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/reopen"
	"github.com/cocoframework/coco/resume"
)

// waiting is how long nodes that must not go on are watched.
const waiting = time.Minute

// off takes a machine away, and looks at what is on its disk.
func (r *run) off(i int, torn bool) {
	r.mayStop(i, "")
	r.network.crash(i, torn)
	r.inspect(hostName(i))
}

// down takes all machines away.
func (r *run) down(torn bool) {
	for i := range r.plan.members {
		r.off(i, torn)
	}
}

// identities returns which nodes take part, by their machines; zero where none does.
func (r *run) identities() []coco.NodeID {
	ids := make([]coco.NodeID, r.plan.members)
	for i := range ids {
		if now := r.network.Node(i); now != nil && now.TakesPart() {
			ids[i] = now.Info().ID
		}
	}
	return ids
}

// powerCut takes all machines down at once, and starts them again without their members. If the constitution has it so, and enough of them can, they go on together. Otherwise none does, and
// the members recover the network.
func (r *run) powerCut(f fault) {
	n := r.network
	before := r.identities()
	r.down(f.torn)
	time.Sleep(f.lasts)
	name, can := hostName(f.host), r.plan.members // nodes that can go on
	switch f.hosts {
	case aged:
		r.mu.Lock()
		n.World.SetFiles(name, r.backups[f.host])
		r.mu.Unlock()
		if r.keys.ids[f.host] != before[f.host] {
			can-- // it has restarted since, and this is the disk of a node that was replaced
		}
	case apart:
		n.World.Isolate(name)
	}
	for i := range r.plan.members {
		n.World.Restart(hostName(i))
	}
	var twin func()
	if f.hosts == twice {
		twin = r.twin(f.host)
	}
	for i := range r.plan.members {
		n.Start(i, n.join(i))
	}
	if twin != nil {
		twin()
	}
	needed := resume.Needed(r.plan.members, false)
	if f.hosts == apart {
		time.Sleep(waiting)
		goes := r.plan.unattended && can-1 >= needed
		r.hits("power cut", string(f.hosts), false)
		for i := range r.plan.members {
			if got := n.Node(i).TakesPart(); got != (goes && i != f.host) {
				r.witness.Fail("alive", "while %s is cut off %s takes part: %t, expected %t of %d that are left, of whom %d go on", name, hostName(i), got, !got, can-1, needed)
			}
		}
		n.World.Rejoin(name)
	} else {
		r.hits("power cut", string(f.hosts), false)
	}
	if r.plan.unattended && can >= needed {
		r.together(f)
		return
	}
	time.Sleep(waiting)
	for i := range r.plan.members {
		if n.Node(i).TakesPart() {
			r.witness.Fail("alive", "%s goes on without its members after a power cut, with %d nodes that can, expected %d: the constitution has it so: %t", hostName(i), can, needed, r.plan.unattended)
		}
	}
	for i := range r.plan.members {
		n.Crash(i)
	}
	r.again(f.succeeds)
}

// together waits until all nodes take part again, or, of a host that did something else, have ended.
func (r *run) together(f fault) {
	begun := time.Now()
	for i := range r.plan.members {
		if err := r.network.Node(i).Await(patience); err != nil && (i != f.host || f.hosts == fair) {
			r.witness.Fail("alive", "after a power cut %s does not go on: %v", hostName(i), err)
			r.abort()
			return
		}
	}
	r.witness.Say("all go on together after %v", time.Since(begun))
}

// twin starts a second node from a host's disk. What it returns has the others reach one of them, then the other, for a while, and ends the second one.
func (r *run) twin(i int) func() {
	name, second := hostName(i), hostName(i)+"-twin"
	r.network.World.SetFiles(second, r.network.World.Files(name, ""))
	end := r.double(i, second)
	return func() {
		for range 100 {
			r.network.World.Redirect(name, second)
			time.Sleep(70 * time.Millisecond)
			r.network.World.Redirect(name, "")
			time.Sleep(80 * time.Millisecond)
		}
		end()
	}
}

// reopening takes all machines down, and then the one on which the members recover the network, in one step of that. Then they recover it again.
func (r *run) reopening(f fault) {
	n := r.network
	r.down(f.torn)
	time.Sleep(f.lasts)
	for i := range r.plan.members {
		n.World.Restart(hostName(i))
		r.discard(i)
	}
	best, err := n.Longest()
	if err != nil {
		r.witness.Fail("alive", "after all machines were down: %v", err)
		r.abort()
		return
	}
	gone := false
	reach := func(s step) {
		if s == f.step && !gone {
			gone = true
			r.hits(string(s), "crash", false)
			n.World.Crash(hostName(best))
		}
	}
	started := n.Start(best, func(c *node.Config) {
		r.recovers(nil)(c)
		how := c.Recover
		release, now := how.Release, how.Time
		how.Progress = func(int64, int64) { reach("audits") }
		how.Show = func(reopen.Ending) error { reach("has shown where the ledger ends"); return nil }
		how.Release = func(ctx context.Context, round *recovery.Round) ([]error, error) {
			reach("asks members")
			missing, err := release(ctx, round)
			reach("has members' parts")
			return missing, err
		}
		how.Time = func() time.Time { reach("has opened the ledger"); return now() }
	})
	err = started.Await(patience)
	if err == nil {
		time.Sleep(f.lasts % time.Second)
		reach("serves")
	}
	r.witness.Say("%s was to recover the network: %v", hostName(best), err)
	if !gone {
		r.witness.Fail("alive", "%s does not come to where it %s: %v", hostName(best), f.step, err)
	}
	n.Crash(best)
	r.inspect(hostName(best))
	r.again(f.succeeds)
}
