package sim

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cocoframework/coco/host/sim"
)

// excuse is why a node may stop; because is what its last words must hold, if anything.
type excuse struct{ because string }

// mayStop takes note that a node has a reason to stop, until it is started again by heal.
func (r *run) mayStop(host int, because string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.excused[host] = &excuse{because}
}

// heal ends every fault, starts the nodes that had a reason to stop, and waits until all take part.
func (r *run) heal() {
	w := r.network.World
	for i := range r.plan.members {
		name := hostName(i)
		w.Rejoin(name)
		w.SetSyncDelay(name, r.plan.sync)
		w.SetClockRate(name, 1)
		r.network.SetClock(name, 0)
		w.SetDiskCapacity(name, 0)
		w.SetDiskErrors(name, sim.DiskErrors{})
	}
	probe := r.newSession("probe", 0)
	defer probe.http.CloseIdleConnections()
	for i := range r.plan.members {
		if err := r.healHost(i, probe); err != nil {
			r.witness.Fail("alive", "after all faults %s does not take part: %v", hostName(i), err)
			r.abort()
			return
		}
		r.witness.Counts(hostName(i))
		r.excused[i] = nil
	}
}

// healHost waits until a node takes part, and does what its operator would do if it had a reason to stop.
func (r *run) healHost(i int, probe *session) error {
	name := hostName(i)
	for attempt := 0; ; attempt++ {
		now := r.network.Node(i)
		err := now.Await(patience)
		if err == nil {
			err = r.commits(i, probe)
		}
		if now.Ended() {
			err = fmt.Errorf("it stopped: %w", now.Err())
			if why := r.excused[i]; attempt == 0 && why != nil && !strings.Contains(err.Error(), why.because) {
				r.witness.Fail("told", "%s stopped and did not say %q: %v", name, why.because, err)
			}
		}
		if err == nil || r.excused[i] == nil || attempt == 2 {
			return err
		}
		r.witness.Say("%s: %v", name, err)
		r.network.Crash(i)
		if attempt == 1 { // its operator gives up on this disk
			r.network.World.SetFiles(name, nil)
		}
		r.network.World.Restart(name)
		r.network.Start(i, r.network.join(i))
	}
}

// commits waits until a node commits a write.
func (r *run) commits(i int, probe *session) error {
	key := fmt.Sprintf("%sprobe-%d", planted, i)
	for start := time.Now(); ; {
		a := probe.askAt(i, http.MethodPut, "/app/kv/"+key, []byte(planted))
		if a.outcome == done {
			return nil
		}
		if now := r.network.Node(i); now.Ended() {
			return nil // its caller finds out
		}
		if time.Since(start) > patience {
			return fmt.Errorf("for %v it commits nothing: %s", patience, a.what)
		}
		time.Sleep(100 * time.Millisecond)
	}
}
