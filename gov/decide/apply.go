package decide

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
)

// Present is what actions change.
type Present struct {
	Constitution *constitution.Constitution // with the settings of the adapters that the actions are about
	Nodes        []table.NodeRecord         // trusted and pending ones, and those that the actions name
	Places       []table.PlaceRecord
	Now          uint64 // milliseconds since 1970
}

// Apply returns the constitution that follows from actions, one after the other, and what else
// they change. It writes nothing. The error is coco.ErrInvalid if they are not possible.
//
// The constitution is the same if only places and nodes change; otherwise its version is one more.
func Apply(now Present, actions []action.Action) (*constitution.Constitution, []Effect, error) {
	d := newDraft(now)
	for i := range actions {
		if err := d.apply(&actions[i]); err != nil {
			return nil, nil, inAction(err, actions, i)
		}
	}
	next, err := d.finish()
	if err != nil {
		return nil, nil, err
	}
	return next, d.effects, nil
}

// draft is a constitution under change.
type draft struct {
	old, c   *constitution.Constitution
	nodes    []table.NodeRecord
	places   map[string]table.PlaceRecord // by key
	removed  map[string]bool              // places that these actions remove, by key
	changed  map[string]bool              // adapters whose settings changed
	effects  []Effect
	forced   bool
	now      uint64
	governed bool // policies or members changed
}

func newDraft(now Present) *draft {
	d := &draft{old: now.Constitution, c: now.Constitution.Draft(), nodes: now.Nodes, places: map[string]table.PlaceRecord{}, removed: map[string]bool{}, changed: map[string]bool{}, now: now.Now}
	for _, p := range now.Places {
		d.places[string(table.PlaceKey(p.Owner, p.Address))] = p
	}
	return d
}

func (d *draft) effect(e Effect) { d.effects = append(d.effects, e) }

// impossible is the error that an action is not possible.
func impossible(code reason.Code, subject, other string) error {
	return &reason.Error{Reason: reason.New(code, subject, other)}
}

// because is impossible for a cause whose words are not stored.
func because(code reason.Code, subject string, cause error) error {
	return &reason.Error{Reason: reason.New(code, subject, ""), Cause: cause}
}

// inAction says in which one of several actions an error is.
func inAction(err error, actions []action.Action, i int) error {
	e := new(reason.Error)
	if !errors.As(err, &e) {
		return err
	}
	if e.Context = actions[i].String(); len(actions) > 1 {
		e.Action = uint64(i) + 1
	}
	return e
}

func (d *draft) apply(a *action.Action) error {
	d.forced = d.forced || a.Args.Force
	switch a.Kind {
	case action.AddMember, action.AddParticipant:
		return d.addActor(a)
	case action.RemoveMember, action.RemoveParticipant:
		return d.removeActor(a)
	case action.AddCertificate, action.RemoveCertificate:
		return d.certificate(a)
	case action.AddNode, action.RemoveNode:
		return d.place(a)
	case action.AddCode, action.Upgrade:
		return d.addCode(a)
	case action.RemoveCode:
		return d.removeCode(a)
	case action.SetTEE:
		return d.setTEE(a)
	case action.SetPolicy, action.RemovePolicy:
		return d.setPolicy(a)
	case action.Set:
		return d.set(a)
	}
	return impossible(reason.UnknownAction, string(a.Kind), "")
}

// finish checks the whole, and says what follows for nodes and places.
func (d *draft) finish() (*constitution.Constitution, error) {
	if err := d.follow(); err != nil {
		return nil, err
	}
	next, err := d.c.Succeed(d.old, d.changed)
	if err != nil {
		return nil, err
	}
	if d.governed && !d.forced {
		if err := CheckPath(next, d.now); err != nil {
			return nil, err
		}
	}
	if Rotates(d.old, next) {
		d.effect(Effect{Kind: EpochRotated, Text: fmt.Sprintf("a new epoch begins: %d members hold shares, and %d of them open it", len(next.Members), next.Shares.Threshold)})
	}
	return next, nil
}

// CheckPath checks that the members can still change the rules and who makes them. The error is coco.ErrInvalid.
func CheckPath(c *constitution.Constitution, now uint64) error {
	policies, err := compileAll(c)
	if err != nil {
		return err
	}
	err = policy.CanPass(policies, policy.Input{Members: memberFacts(c), Constitution: constitutionFacts(c, nil), Now: now})
	if locked := (*policy.LockOutError)(nil); errors.As(err, &locked) {
		return &reason.Error{
			Reason: reason.New(reason.LockOut, locked.Kind, ""), Cause: err,
			Detail: fmt.Sprintf("constitution: %v (to have it all the same, the action needs force = %q)", err, action.ForceSentence),
		}
	}
	return err
}

// follow forgets the places of actors that are gone and retires nodes that the constitution no longer
// has room for. One node at least stays, or the network would stop for good.
func (d *draft) follow() error {
	actors := map[coco.ActorID]bool{}
	for _, m := range d.c.Members {
		actors[m.Actor()] = true
	}
	for _, p := range d.c.Participants {
		actors[p.Actor()] = true
	}
	for _, key := range slices.Sorted(maps.Keys(d.places)) {
		if p := d.places[key]; !actors[p.Owner] {
			delete(d.places, key)
			d.effect(Effect{Kind: PlaceForgotten, Actor: p.Owner, Address: p.Address, Text: "the place " + p.Address + " of an actor that is removed is forgotten"})
		}
	}
	before, left := 0, 0
	for i := range d.nodes {
		rec := &d.nodes[i]
		if rec.State == table.Retired {
			continue
		}
		place, why := table.PlaceKey(rec.Owner, rec.Address), ""
		switch {
		case !actors[rec.Owner]:
			why = "its owner is removed"
		case !slices.ContainsFunc(d.c.Code, func(c constitution.Code) bool { return c.Measurement == rec.Measurement }):
			why = "its code is removed"
		case d.removed[string(place)] && d.places[string(place)].Removed:
			// A place that was removed before may have a node: one that waits for a vote, or began a recovery.
			why = "its place is removed"
		}
		if rec.State == table.Trusted {
			before++
			if why == "" {
				left++
			}
		}
		if why != "" {
			d.effect(Effect{Kind: NodeRetired, Node: rec.ID, Actor: rec.Owner, Address: rec.Address, Text: fmt.Sprintf("node %s at %s retires: %s", rec.ID.Short(), rec.Address, why)})
		}
	}
	if before > 0 && left == 0 {
		return impossible(reason.LastNode, "", "")
	}
	return nil
}
