package sim

import (
	"fmt"
	"time"

	"github.com/cocoframework/coco/gov/action"
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
	council := r.council()
	defer council.Close()
	everyone := action.Action{Kind: action.SetPolicy, Args: action.Args{Policy: string(action.Set), Expression: policy.Unanimous}}
	majority := action.Action{Kind: action.SetPolicy, Args: action.Args{Policy: string(action.Set), Expression: policy.Majority}}
	members, need := r.plan.members, r.plan.members/2+1
	for k, step := range []struct {
		change action.Action
		needs  int // members who say yes
	}{
		{action.Action{Kind: action.Set, Args: action.Args{Setting: "limits.queue", Value: "5001"}}, need}, {everyone, need}, {threshold(members), members}, {majority, members}, {threshold(need), need},
	} {
		what := fmt.Sprintf("%s %s%s", step.change.Kind, step.change.Args.Setting, step.change.Args.Policy)
		out, yes, err := council.Carry((f.host+k)%members, step.change)
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

// epochs has members change the threshold, from all of them down to two: one of several would be a recovery owner, which is voted for by name.
func (r *run) epochs(f fault) {
	council := r.council()
	defer council.Close()
	for k := range f.times {
		out, _, err := council.Carry(k%r.plan.members, threshold(r.plan.members-k%(r.plan.members-1)))
		if err != nil || out.State != string(table.Accepted) {
			r.witness.Fail("governed", "change %d of the threshold: %s, %s, %v", k+1, out.State, out.Reason, err)
			return
		}
		r.keys.decided = append(r.keys.decided[:0], decision{"the last threshold", out})
	}
}

// council makes the officers of all members.
func (r *run) council() *nettest.Council {
	c, err := r.network.NewCouncil(r.network.service, shortWait, patience)
	if err != nil {
		panic(err) // this process makes the keys
	}
	c.Refused = func(host string, err error) { r.witness.Fail("governed", "%s refuses a statement: %v", host, err) }
	return c
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
