package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/wire"
)

// decision is what members were told of a proposal.
type decision struct {
	what string
	out  wire.Outcome
}

// policies has members change who decides settings, and then settings, while other faults go on. Whichever node answers, and whoever leads, a policy that
// was accepted decides what is proposed afterwards.
func (r *run) policies(f fault) {
	officers, end := r.officers()
	defer end()
	everyone := action.Action{Kind: action.SetPolicy, Args: action.Args{Policy: string(action.Set), Expression: policy.Unanimous}}
	majority := action.Action{Kind: action.SetPolicy, Args: action.Args{Policy: string(action.Set), Expression: policy.Majority}}
	members, need := r.plan.members, r.plan.members/2+1
	for k, step := range []struct {
		change action.Action
		needs  int // members who say yes
	}{
		{threshold(1), need}, {everyone, need}, {threshold(members), members}, {majority, members}, {threshold(need), need},
	} {
		what := fmt.Sprintf("%s %s%s", step.change.Kind, step.change.Args.Setting, step.change.Args.Policy)
		out, yes, err := r.carry(officers, (f.host+k)%members, step.change)
		r.witness.Say("%s by %d members: %s %v", what, yes, out.State, err)
		if err != nil {
			return // nothing is known of it, so neither of what decides the next one
		}
		if out.State != string(table.Accepted) || yes != step.needs {
			r.witness.Fail("governed", "%s is %s by %d of %d members, expected %d to decide: %s", what, out.State, yes, members, step.needs, out.Reason)
			return
		}
		r.keys.decided = append(r.keys.decided, decision{what, out})
		time.Sleep(f.lasts / 5)
	}
}

// threshold changes how many members open an epoch, so that a new one begins.
func threshold(n int) action.Action {
	return action.Action{Kind: action.Set, Args: action.Args{Setting: "shares.threshold", Value: fmt.Sprint(n)}}
}

// epochs has members change the threshold to and fro.
func (r *run) epochs(f fault) {
	officers, end := r.officers()
	defer end()
	for k := range f.times {
		out, _, err := r.carry(officers, k%r.plan.members, threshold(1+k%r.plan.members))
		if err != nil || out.State != string(table.Accepted) {
			r.witness.Fail("governed", "change %d of the threshold: %s, %s, %v", k+1, out.State, out.Reason, err)
			return
		}
		r.keys.decided = append(r.keys.decided[:0], decision{"the last threshold", out})
	}
}

// officers makes one for each member.
func (r *run) officers() (all []*nettest.Officer, end func()) {
	for i, m := range r.network.Members {
		o, err := r.network.NewOfficer(m, fmt.Sprintf("officer%d", i+1), r.network.service, shortWait)
		if err != nil {
			panic(err) // this process makes the keys
		}
		all = append(all, o)
	}
	return all, func() {
		for _, o := range all {
			o.Close()
		}
	}
}

// carry has one member propose a change and one after the other say yes, each at its own node, until it is decided. It returns how many did. The error
// says that no node told what became of a statement.
func (r *run) carry(officers []*nettest.Officer, first int, a action.Action) (out wire.Outcome, yes int, err error) {
	raw, err := officers[first].Propose(a)
	if err != nil {
		return out, 0, err
	}
	signed, err := envelope.Open(raw)
	if err != nil {
		return out, 0, err
	}
	if out, err = r.submit(officers[first], first, signed.ID, raw, 0); err != nil {
		return out, 0, err
	}
	for yes = 0; out.State == string(table.Open) && yes < len(officers); yes++ {
		i := (first + yes) % len(officers)
		ballot, err := officers[i].Vote(signed.ID, envelope.Yes)
		if err != nil {
			return out, yes, err
		}
		if out, err = r.submit(officers[i], i, signed.ID, ballot, yes+1); err != nil {
			return out, yes, err
		}
	}
	return out, yes, nil
}

// submit hands a statement in, at other nodes if need be, until one says what became of it, or that the proposal has so many votes.
func (r *run) submit(o *nettest.Officer, at int, id coco.Digest, raw []byte, votes int) (out wire.Outcome, err error) {
	for start := time.Now(); time.Since(start) < patience; at = (at + 1) % r.plan.members {
		if out, err = o.Submit(hostName(at), raw); err == nil {
			return out, nil
		}
		p, e := o.Proposal(hostName(at), id)
		if e == nil && p.Yes >= votes {
			return wire.Outcome{ID: id, State: p.State, Reason: p.Reason}, nil // an answer was lost
		}
		if errors.Is(err, coco.ErrInvalid) || errors.Is(err, coco.ErrDenied) {
			r.witness.Fail("governed", "%s refuses a statement: %v", hostName(at), err)
			return out, err
		}
		time.Sleep(time.Second)
	}
	return out, err
}

// governed looks whether every node holds what members were told.
func (r *run) governed() {
	if len(r.keys.decided) == 0 {
		return
	}
	o, err := r.network.NewOfficer(r.network.Members[0], "officer", r.network.service, longWait)
	if err != nil {
		panic(err)
	}
	defer o.Close()
	for i := range r.plan.members {
		for _, d := range r.keys.decided {
			p, err := o.Proposal(hostName(i), d.out.ID)
			if err != nil || p.State != d.out.State {
				r.witness.Fail("governed", "%s was %s, on %s it is %s (%v)", d.what, d.out.State, hostName(i), p.State, err)
			}
			if d.out.Version == 0 {
				continue // the answer was lost
			}
			if digest, err := o.Version(hostName(i), d.out.Version); err != nil || digest != d.out.Digest.String() {
				r.witness.Fail("governed", "%s made the constitution %d one with digest %s, on %s it has %s (%v)", d.what, d.out.Version, d.out.Digest, hostName(i), digest, err)
			}
		}
	}
}
