package decide

import (
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
)

// places are where nodes may run by a vote, and the nodes that run there.
type places struct {
	nodes   []table.NodeRecord           // trusted and pending ones, and those that the actions name
	rows    map[string]table.PlaceRecord // by key
	removed map[string]bool              // those that these actions remove, by key
}

func newPlaces(now Present) places {
	p := places{nodes: now.Nodes, rows: map[string]table.PlaceRecord{}, removed: map[string]bool{}}
	for _, row := range now.Places {
		p.rows[string(table.PlaceKey(row.Owner, row.Address))] = row
	}
	return p
}

// where returns the place that an action is about.
func (p places) where(a *action.Action, who actors) (owner coco.ActorID, name, address string, err error) {
	x := &a.Args
	text, address := x.Owner, x.Address
	if x.Node != "" {
		id, err := x.NodeID()
		if err != nil {
			return owner, "", "", err
		}
		i := slices.IndexFunc(p.nodes, func(rec table.NodeRecord) bool { return rec.ID == id })
		if i < 0 {
			return owner, "", "", impossible(reason.UnknownNode, id.String(), "")
		}
		text, address = p.nodes[i].Owner.String(), p.nodes[i].Address
	}
	if err := table.CheckAddress(address); err != nil {
		return owner, "", "", impossible(reason.BadAddress, address, "")
	}
	owner, name, _, err = who.find(text)
	return owner, name, address, err
}

func (p places) change(a *action.Action, who actors) (Effect, error) {
	owner, name, address, err := p.where(a, who)
	if err != nil {
		return Effect{}, err
	}
	key := string(table.PlaceKey(owner, address))
	row, voted := p.rows[key]
	present := slices.ContainsFunc(p.nodes, func(rec table.NodeRecord) bool {
		return rec.State != table.Retired && rec.Owner == owner && rec.Address == address
	})
	if a.Kind == action.AddNode {
		if voted && !row.Removed {
			return Effect{}, impossible(reason.PlaceExists, address, name)
		}
		p.rows[key] = table.PlaceRecord{Owner: owner, Address: address}
		return Effect{Kind: PlaceAdmitted, Actor: owner, Address: address, Name: name, Unbalanced: a.Args.Unbalanced}, nil
	}
	if (!voted || row.Removed) && !present {
		return Effect{}, impossible(reason.UnknownPlace, address, name)
	}
	p.rows[key], p.removed[key] = table.PlaceRecord{Owner: owner, Address: address, Removed: true}, true
	return Effect{Kind: PlaceRemoved, Actor: owner, Address: address, Name: name}, nil
}

// wasRemoved reports whether a vote has removed the place that an action is about.
func (p places) wasRemoved(a *action.Action, who actors) bool {
	owner, _, address, err := p.where(a, who)
	return err == nil && p.rows[string(table.PlaceKey(owner, address))].Removed
}

// facts says what is known about the node that an action adds: of one that has not asked to join
// yet, its place.
func (p places) facts(a *action.Action, who actors) policy.NodeFacts {
	owner, name, address, err := p.where(a, who)
	if err != nil {
		return policy.NodeFacts{Address: a.Args.Address}
	}
	facts := policy.NodeFacts{Owner: owner.String(), OwnerName: name, Address: address}
	for i := range p.nodes {
		if rec := &p.nodes[i]; rec.Owner == owner && rec.Address == address && rec.State == table.Pending {
			facts.Measurement, facts.Platform = string(rec.Measurement), rec.Evidence.Platform
		}
	}
	return facts
}

// follow forgets the places of actors that are gone and retires nodes that the constitution no longer
// has room for. One node at least stays, or the network would stop for good.
func (p places) follow(actors map[coco.ActorID]bool, code []constitution.Code) (effects []Effect, err error) {
	for _, key := range slices.Sorted(maps.Keys(p.rows)) {
		if row := p.rows[key]; !actors[row.Owner] {
			delete(p.rows, key)
			effects = append(effects, Effect{Kind: PlaceForgotten, Actor: row.Owner, Address: row.Address})
		}
	}
	before, left := 0, 0
	for i := range p.nodes {
		rec := &p.nodes[i]
		if rec.State == table.Retired {
			continue
		}
		place, why := table.PlaceKey(rec.Owner, rec.Address), Cause("")
		switch {
		case !actors[rec.Owner]:
			why = OwnerGone
		case !slices.ContainsFunc(code, func(c constitution.Code) bool { return c.Measurement == rec.Measurement }):
			why = CodeGone
		case p.removed[string(place)] && p.rows[string(place)].Removed:
			// A place that was removed before may have a node: one that waits for a vote, or began a recovery.
			why = PlaceGone
		}
		if rec.State == table.Trusted {
			before++
			if why == "" {
				left++
			}
		}
		if why != "" {
			effects = append(effects, Effect{Kind: NodeRetired, Node: rec.ID, Actor: rec.Owner, Address: rec.Address, Cause: why})
		}
	}
	if before > 0 && left == 0 {
		return nil, impossible(reason.LastNode, "", "")
	}
	return effects, nil
}
