package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/node"
)

// inject begins a fault, waits, and ends it. What it leaves behind, heal clears away.
func (r *run) inject(f fault) {
	w := r.network.World
	a, b := hostName(f.host), hostName(f.other)
	r.witness.say("%v", f)
	switch f.kind {
	case crash:
		r.crash(f)
		return
	case blackout:
		r.blackout(f)
		return
	case fullDisk:
		r.mayStop(f.host)
		w.SetDiskCapacity(a, 1)
		time.Sleep(f.lasts)
		w.SetDiskCapacity(a, 0)
	case partition:
		w.Partition(a, b)
		time.Sleep(f.lasts)
		w.Heal(a, b)
	case flapping:
		for end := time.Now().Add(f.lasts); time.Now().Before(end); {
			w.Partition(a, b)
			time.Sleep(f.by)
			w.Heal(a, b)
			time.Sleep(f.by)
		}
	case isolation:
		w.Isolate(a)
		time.Sleep(f.lasts)
		w.Rejoin(a)
	case badLink:
		w.SetLinkBetween(a, b, f.link)
		time.Sleep(f.lasts)
		w.SetLinkBetween(a, b, sim.DefaultLink)
	case slowSync:
		w.SetSyncDelay(a, f.by)
		time.Sleep(f.lasts)
		w.SetSyncDelay(a, r.plan.sync)
	case clockJump:
		w.SetClock(a, f.by)
		time.Sleep(f.lasts)
		w.SetClock(a, 0)
	}
	r.witness.say("%s of %s is over", f.kind, a)
}

// crash takes a machine down and starts it again, with the disk that its host chooses.
func (r *run) crash(f fault) {
	w, name := r.network.World, hostName(f.host)
	r.mayStop(f.host)
	r.network.crash(f.host, f.torn)
	r.secretOnDisk(f.host)
	time.Sleep(f.lasts)
	if f.lie != honest {
		r.witness.say("%s: %s", name, f.lie)
		w.SetFiles(name, r.tell(f))
	}
	w.Restart(name)
	r.witness.say("%s starts again", name)
	r.network.start(f.host, r.network.join(f.host))
}

// tell returns the files of a host that lies.
func (r *run) tell(f fault) map[string][]byte {
	files := r.network.World.Files(hostName(f.host), "")
	switch f.lie {
	case lost:
		return nil
	case rollBack:
		r.mu.Lock()
		defer r.mu.Unlock()
		return maps.Clone(r.backups[f.host])
	case foreign:
		return r.network.World.Files(hostName(f.other), "")
	}
	var chunks []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.Contains(name, "ledger_") && len(files[name]) > 0 {
			chunks = append(chunks, name)
		}
	}
	if len(chunks) == 0 {
		return files
	}
	chunk := chunks[int(f.where*float64(len(chunks)))]
	at := int(f.where * float64(len(files[chunk])))
	if f.lie == truncated {
		files[chunk] = files[chunk][:at]
	} else {
		files[chunk][at] ^= 1 << rand.N(8)
	}
	return files
}

// blackout crashes every machine at once. The members recover the network from the longest ledger.
func (r *run) blackout(f fault) {
	n := r.network
	for i := range r.plan.members {
		r.mayStop(i)
		n.crash(i, f.torn)
		r.secretOnDisk(i)
	}
	time.Sleep(f.lasts)
	for i := range r.plan.members {
		n.World.Restart(hostName(i))
	}
	best, err := n.longest()
	if err != nil {
		r.witness.fail("ledger", "after a blackout: %v", err)
		r.abort()
		return
	}
	r.witness.say("all machines are up again; the members recover from the ledger of %s", hostName(best))
	if err := n.start(best, n.recover).await(patience); err != nil {
		r.witness.fail("alive", "%s, recovering: %v", hostName(best), err)
		r.abort()
		return
	}
	for i := range r.plan.members {
		if i != best {
			n.start(i, n.join(i))
		}
	}
}

// backup remembers every node's disk, for a host to put back later.
func (r *run) backup() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.plan.members {
		r.backups[i] = r.network.World.Files(hostName(i), "")
	}
}

// mayStop takes note that a node has a reason to stop, until it is started again by heal.
func (r *run) mayStop(host int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.excused[host] = true
}

// heal ends every fault, starts the nodes that had a reason to stop, and waits until all take part.
func (r *run) heal() {
	w := r.network.World
	for i := range r.plan.members {
		name := hostName(i)
		w.Rejoin(name)
		w.SetSyncDelay(name, r.plan.sync)
		w.SetClock(name, 0)
		w.SetDiskCapacity(name, 0)
	}
	for i := range r.plan.members {
		name, excused := hostName(i), r.excused[i]
		for attempt := 0; ; attempt++ {
			now := r.network.running(i)
			err := now.await(patience)
			if now.ended() {
				err = fmt.Errorf("it stopped: %w", now.err)
			}
			if err == nil {
				break
			}
			if !now.ended() || !excused || attempt == 2 {
				r.witness.fail("alive", "after all faults %s does not take part: %v", name, err)
				r.abort()
				return
			}
			r.witness.say("%s: %v", name, err)
			r.network.crash(i, false)
			if attempt == 1 { // its operator gives up on this disk
				w.SetFiles(name, nil)
			}
			w.Restart(name)
			r.network.start(i, r.network.join(i))
		}
		r.excused[i] = false
	}
}

// secretOnDisk looks for planted secrets in the files of a host.
func (r *run) secretOnDisk(i int) {
	for name, content := range r.network.World.Files(hostName(i), node.Dir) {
		if strings.Contains(string(content), planted) {
			r.witness.fail("secret", "%s has a planted secret in the clear in %s", hostName(i), name)
		}
	}
}
