package sim

import (
	"fmt"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/wire"
)

// slowLink stretches the phases of a ceremony, so that each is seen.
var slowLink = sim.Link{Delay: 20 * time.Millisecond}

// ceremonyBegins is how long what members have decided may take to begin a ceremony.
const ceremonyBegins = 30 * time.Second

// ceremony has members decide something that another committee follows from, and crashes a machine in one step of the ceremony.
func (r *run) ceremony(f fault) {
	council := r.council()
	defer council.Close()
	what := r.changes(f.change)
	watcher := r.newSession("watcher", f.other)
	defer watcher.http.CloseIdleConnections()
	before, _ := watcher.status(f.other)
	r.network.World.SetLink(slowLink)
	defer r.network.World.SetLink(sim.DefaultLink)
	out, _, err := council.Carry(f.other, what)
	if r.witness.Say("%s: %s %v", f.change, out.State, err); err != nil || out.State != string(table.Accepted) {
		return
	}
	for begun := time.Now(); time.Since(begun) < ceremonyBegins; time.Sleep(2 * time.Millisecond) {
		st, ok := watcher.status(f.other)
		if !ok || st.Keys == nil {
			continue
		}
		if st.Keys.Ceremony != nil && st.Keys.Ceremony.Phase == string(f.step) {
			f.host = r.led(f, st)
			r.hits(string(f.step), "crash", f.leads)
			r.crash(f)
			return
		}
		if before.Keys != nil && st.Keys.Whole && st.Keys.Committee > before.Keys.Committee {
			break
		}
	}
	r.witness.Say("no ceremony was seen %s", f.step)
}

// rotation has members begin an epoch, and crashes a machine meanwhile.
func (r *run) rotation(f fault) {
	council := r.council()
	defer council.Close()
	watcher := r.newSession("watcher", f.other)
	defer watcher.http.CloseIdleConnections()
	st, _ := watcher.status(f.other)
	done := make(chan struct{})
	go func() {
		defer close(done)
		out, _, err := council.Carry(f.other, action.Action{Kind: action.Rotate})
		r.witness.Say("a new epoch: %s %v", out.State, err)
	}()
	time.Sleep(time.Duration(f.lasts % (40 * time.Millisecond)))
	f.host = r.led(f, st)
	r.hits("rotation", "crash", f.leads)
	r.crash(f)
	<-done
}

// led returns which machine a fault is for: one that leads, as far as a node knows, or the one that it names.
func (r *run) led(f fault, st wire.Status) int {
	for i := range r.plan.members {
		if now := r.network.Node(i); f.leads && now != nil && now.TakesPart() && now.Info().ID == st.Leader {
			return i
		}
	}
	return f.host
}

// hits says that a fault has hit a step.
func (r *run) hits(step, fault string, leads bool) {
	if leads {
		fault += " of the leader"
	}
	r.witness.Say("%s: %s", step, fault)
	if r.keys.hit != nil {
		r.keys.hit(step, fault)
	}
}

// changes returns the action of a change.
func (r *run) changes(c change) action.Action {
	switch n := len(r.keys.guests); {
	case c == gain || c == lose && n == 0:
		m, err := nettest.NewMember(fmt.Sprintf("guest%d", n+1))
		if err != nil {
			panic(err) // this process makes the keys
		}
		r.keys.guests = append(r.keys.guests, m)
		return action.Action{Kind: action.AddMember, Args: action.Args{Name: m.Name, Certificate: m.Cert, EncryptionKey: m.Share.Public()}}
	case c == lose:
		return action.Action{Kind: action.RemoveMember, Args: action.Args{Actor: r.keys.guests[n-1].Name}}
	case c == vary:
		return threshold(r.plan.members) // of which a majority is needed before
	}
	return action.Action{Kind: action.Refresh}
}
