package decide

import (
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/balance"
	"github.com/cocoframework/coco/store"
)

// No change gives one organisation too many votes in consensus (package balance) unless members vote for that consequence by
// name. A node that is admitted without that learns, and does not vote while its vote would do so; what would take other
// organisations' votes away is refused.

// Voters returns the trusted nodes among records.
func Voters(r store.Reader, c *constitution.Constitution, records []table.NodeRecord) ([]balance.Seat, error) {
	rules, err := rulesOf(c.Rules)
	if err != nil {
		return nil, err
	}
	places, err := table.Places(r)
	if err != nil {
		return nil, err
	}
	return votersOf(c, rules, records, places), nil
}

func votersOf(c *constitution.Constitution, r rules, records []table.NodeRecord, places []table.PlaceRecord) (out []balance.Seat) {
	all := !r.balanced || len(c.Members) == 1
	for i := range records {
		rec := &records[i]
		if rec.State != table.Trusted {
			continue
		}
		free := slices.ContainsFunc(places, func(p table.PlaceRecord) bool {
			return p.Unbalanced && !p.Removed && p.Owner == rec.Owner && p.Address == rec.Address
		})
		out = append(out, balance.Seat{Node: rec.ID, Owner: rec.Owner, Free: all || free})
	}
	return out
}

// Votes returns how many votes organisations have once all of their nodes that may vote do.
func Votes(voters []balance.Seat) balance.Votes {
	nodes, free := balance.Votes{}, balance.Votes{}
	for _, v := range voters {
		nodes[v.Owner]++
		if v.Free {
			free[v.Owner]++
		}
	}
	return balance.Entitled(nodes, free)
}

// entitled returns the votes before and after actions that retire nodes.
func entitled(now Present, r rules, followed []Effect) (before, after balance.Votes) {
	before = Votes(votersOf(now.Constitution, r, now.Nodes, now.Places))
	left := balance.Votes{}
	for i := range now.Nodes {
		rec := &now.Nodes[i]
		gone := slices.ContainsFunc(followed, func(e Effect) bool { return e.Kind == NodeRetired && e.Node == rec.ID })
		if rec.State == table.Trusted && !gone {
			left[rec.Owner]++
		}
	}
	after = balance.Votes{}
	for owner, n := range left {
		after[owner] = min(n, before[owner])
	}
	return before, after
}

// checkBalance refuses actions that take so many votes away that one organisation has too many, unless they say so.
func checkBalance(now Present, r rules, next *constitution.Constitution, actions []action.Action, followed []Effect) error {
	named := slices.ContainsFunc(actions, func(a action.Action) bool { return a.Args.Unbalanced })
	if !r.balanced {
		if named {
			return impossible(reason.LaterRules, "unbalanced", "")
		}
		return nil
	}
	before, after := entitled(now, r, followed)
	if owner, raises := balance.Raises(before, after, len(next.Members) == 1); raises && !named {
		why := reason.New(reason.Unbalanced, next.Name(owner), "")
		return &reason.Error{
			Reason: why,
			Detail: why.String() + ` (to have it all the same, the action needs unbalanced = "` + action.UnbalancedSentence + `")`,
		}
	}
	return nil
}

// crowded reports whether an organisation has as many nodes and places as are admitted without a vote, beside the one at
// an address.
func (p places) crowded(owner coco.ActorID, address string, automatic int64) bool {
	at := map[string]bool{}
	for i := range p.nodes {
		if rec := &p.nodes[i]; rec.State == table.Trusted && rec.Owner == owner {
			at[rec.Address] = true
		}
	}
	for _, row := range p.rows {
		if row.Owner == owner && !row.Removed {
			at[row.Address] = true
		}
	}
	delete(at, address)
	return int64(len(at)) >= automatic
}

// crowds reports whether the members have to vote about a place, whatever the policy add_node says: it is one too many, or its
// node would vote whatever follows.
func (p places) crowds(a *action.Action, who actors, automatic int64) bool {
	owner, _, address, err := p.where(a, who)
	return err == nil && (a.Args.Unbalanced || p.crowded(owner, address, automatic))
}

// Crowded reports whether an organisation has as many nodes as are admitted without a vote, beside one at an address.
func Crowded(c *constitution.Constitution, nodes []table.NodeRecord, owner coco.ActorID, address string) bool {
	return newPlaces(Present{Nodes: nodes}).crowded(owner, address, c.Nodes.Automatic)
}

// votesAfter returns the votes that follow from effects, once the nodes of places that they admit are there.
func votesAfter(now Present, r rules, effects []Effect, members int) balance.Votes {
	voters := votersOf(now.Constitution, r, now.Nodes, now.Places)
	for i := range effects {
		switch e := &effects[i]; e.Kind {
		case NodeRetired:
			voters = slices.DeleteFunc(voters, func(v balance.Seat) bool { return v.Node == e.Node })
		case PlaceAdmitted:
			at := slices.IndexFunc(now.Nodes, func(rec table.NodeRecord) bool {
				return rec.State == table.Trusted && rec.Owner == e.Actor && rec.Address == e.Address
			})
			if at < 0 {
				voters = append(voters, balance.Seat{Owner: e.Actor, Free: e.Unbalanced || !r.balanced || members == 1})
			} else if i := slices.IndexFunc(voters, func(v balance.Seat) bool { return v.Node == now.Nodes[at].ID }); e.Unbalanced && i >= 0 {
				voters[i].Free = true
			}
		}
	}
	return Votes(voters)
}
