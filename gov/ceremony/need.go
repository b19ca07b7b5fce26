package ceremony

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/store"
)

// rules is the version of the rules that committees exist from.
const rules = 3

// Needed is a ceremony that is needed.
type Needed struct {
	Number  uint64
	Cause   table.CeremonyCause
	Session dkg.Session
	// Acting are the nodes that may act for the receivers, in their order: a member's own one with the smallest id where there is one, and nodes that were silent in the attempts before
	// only where there is no other. Whoever begins the ceremony may name other trusted ones.
	Acting []coco.NodeID
	// Dealing are the nodes that acted for the dealers of a resharing.
	Dealing []coco.NodeID
}

// Need returns which ceremony is needed now; nil if none is, or one is not over yet.
func Need(r store.Reader) (*Needed, error) {
	c, err := table.LoadCore(r)
	if err != nil {
		return nil, err
	}
	return NeedBy(r, c)
}

// NeedBy is Need for a caller that has read the state's constitution already.
func NeedBy(r store.Reader, c *constitution.Constitution) (*Needed, error) {
	if c.Rules < rules {
		return nil, nil
	}
	if closed, err := table.Closed(r); err != nil || closed {
		return nil, err // who holds the keys stays until members have opened the network that they recovered
	}
	last, has, err := table.NewestCeremony(r)
	if err != nil || has && (last.State == table.CeremonyRuns || last.State == table.CeremonyDone) {
		return nil, err
	}
	nodes, err := trusted(r)
	if err != nil {
		return nil, err
	}
	old, err := inForce(r, nodes)
	if err != nil {
		return nil, err
	}
	to := receivers(c)
	cause, err := old.cause(r, to, c.Shares.Threshold)
	if err != nil || cause == "" {
		return nil, err
	}
	network, err := table.Audience(r)
	if err != nil {
		return nil, err
	}
	lost, err := old.forsaken(r, last)
	if err != nil {
		return nil, err
	}
	n := &Needed{Number: last.Number + 1, Cause: cause}
	n.Session = dkg.Session{Network: network, Version: 1, Attempt: n.Number, Threshold: uint32(c.Shares.Threshold), Window: uint64(c.Keys.Window)}
	for _, m := range to {
		n.Session.Receivers = append(n.Session.Receivers, m.Actor)
	}
	switch {
	case old.rec == nil:
	case lost || old.renew(to, c.Shares.Threshold):
		n.Session.Version = old.rec.Version + 1
	default:
		n.Session.Version = old.rec.Version
		n.Session.Old = &dkg.Old{Commitment: old.rec.Commitment}
		for _, s := range old.rec.Seats {
			n.Session.Old.Holders = append(n.Session.Old.Holders, s.Actor)
			n.Dealing = append(n.Dealing, s.Node)
		}
	}
	silent, err := blamed(r, last, nodes)
	if err != nil {
		return nil, err
	}
	n.Acting = nodes.act(n.Session.Receivers, silent)
	return n, nil
}

// receivers returns the members with their encryption keys, in order of their ids.
func receivers(c *constitution.Constitution) []keys.Recipient {
	return slices.SortedFunc(slices.Values(c.Recipients()), func(a, b keys.Recipient) int { return bytes.Compare(a.Actor[:], b.Actor[:]) })
}

// nodeOf is what matters of a trusted node here.
type nodeOf struct {
	id    coco.NodeID
	owner coco.ActorID
	since uint64
}

// nodes are the trusted nodes, in order of their ids.
type nodes []nodeOf

func trusted(r store.Reader) (out nodes, err error) {
	list, err := table.TrustedNodes(r)
	for _, rec := range list {
		out = append(out, nodeOf{rec.ID, rec.Owner, rec.Since})
	}
	return out, err
}

func (n nodes) find(id coco.NodeID) (nodeOf, bool) {
	i := slices.IndexFunc(n, func(x nodeOf) bool { return x.id == id })
	if i < 0 {
		return nodeOf{}, false
	}
	return n[i], true
}

// own says whether a node is trusted, and the actor's own.
func (n nodes) own(id coco.NodeID, actor coco.ActorID) bool {
	x, ok := n.find(id)
	return ok && x.owner == actor
}

// act chooses who acts for receivers. Nodes that are to blame act only where there is no other.
func (n nodes) act(receivers []coco.ActorID, blamed map[coco.NodeID]bool) []coco.NodeID {
	good := n.without(blamed)
	if len(good) == 0 {
		good = n
	}
	acting := make([]coco.NodeID, len(receivers))
	for i, actor := range receivers {
		own := slices.DeleteFunc(slices.Clone(good), func(x nodeOf) bool { return x.owner != actor })
		if len(own) > 0 {
			acting[i] = own[0].id
		} else if len(good) > 0 {
			acting[i] = good[i%len(good)].id // those without a node are shared out
		}
	}
	return acting
}

func (n nodes) without(these map[coco.NodeID]bool) nodes {
	return slices.DeleteFunc(slices.Clone(n), func(x nodeOf) bool { return these[x.id] })
}

// maxBlamed is how many ceremonies that failed one after the other are looked back on.
const maxBlamed = 64

// blamed returns the nodes that ceremonies which failed one after the other name, the newest first, for as long as another trusted node is left. If the newest alone counted,
// two nodes that are silent in turn, also of one member, would let every ceremony fail.
func blamed(r store.Reader, newest table.CeremonyRecord, nodes nodes) (map[coco.NodeID]bool, error) {
	out := map[coco.NodeID]bool{}
	for c, n := newest, 0; c.State == table.CeremonyFailed && n < maxBlamed; n++ {
		more := blames(c)
		maps.Copy(more, out)
		if len(nodes.without(more)) == 0 {
			break
		}
		if out = more; c.Number == 1 {
			break
		}
		var err error
		if c, err = table.Ceremony(r, c.Number-1); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// blames returns the nodes that acted for those whom a failed ceremony names.
func blames(c table.CeremonyRecord) map[coco.NodeID]bool {
	out := map[coco.NodeID]bool{}
	add := func(actors []coco.ActorID, acting []coco.NodeID, actor coco.ActorID) {
		if i := slices.Index(actors, actor); i >= 0 && i < len(acting) {
			out[acting[i]] = true
		}
	}
	for _, f := range c.Faults {
		if f.Phase == dkg.Committing || f.Phase == dkg.Revealing || f.Code == dkg.WrongBox {
			add(c.Session.Dealers(), c.Deals(), f.Actor)
		} else {
			add(c.Session.Receivers, c.Acting, f.Actor)
		}
	}
	return out
}

// present is the committee in force.
type present struct {
	rec   *table.CommitteeRecord // nil if there is none
	nodes nodes
}

func inForce(r store.Reader, nodes nodes) (present, error) {
	rec, has, err := table.NewestCommittee(r)
	if err != nil || !has {
		return present{nil, nodes}, err
	}
	return present{&rec, nodes}, nil
}

// held returns how many seats have their package in a node's memory.
func (p present) held() (n int) {
	for _, s := range p.rec.Seats {
		if p.rec.Ceremony != 0 && p.nodes.own(s.Node, s.Actor) {
			n++
		}
	}
	return n
}

// patient is how many ceremonies that share a key anew may fail, one after the other, for want of dealers, before a new key is made: one may have met nodes that were cut off for a moment.
const patient = 2

// forsaken says whether the newest ceremonies shared the key of the committee in force anew and failed because fewer seats than the threshold dealt. Their nodes are trusted still and have no packages, as after a loss
// of power within a moment of the committee's beginning, before they had kept them. No attempt would do better.
func (p present) forsaken(r store.Reader, newest table.CeremonyRecord) (bool, error) {
	c := newest
	for n := 1; ; n++ {
		if p.rec == nil || c.State != table.CeremonyFailed || c.Session.Old == nil || c.Session.Version != p.rec.Version || c.Since <= p.rec.Since {
			return false, nil
		}
		silent := map[coco.ActorID]bool{}
		for _, f := range c.Faults {
			if f.Phase == dkg.Committing || f.Phase == dkg.Revealing {
				silent[f.Actor] = true
			}
		}
		if len(p.rec.Seats)-len(silent) >= p.rec.Threshold() {
			return false, nil
		}
		if n == patient {
			return true, nil
		}
		var err error
		if c, err = table.Ceremony(r, c.Number-1); err != nil {
			return false, err
		}
	}
}

// renew says whether the next ceremony makes a new key, whatever became of those before.
func (p present) renew(to []keys.Recipient, threshold int) bool {
	gone := slices.ContainsFunc(p.rec.Seats, func(s table.SeatRecord) bool {
		return !slices.ContainsFunc(to, func(m keys.Recipient) bool { return m.Actor == s.Actor })
	})
	return gone || threshold > p.rec.Threshold() || p.held() < p.rec.Threshold()
}

// cause returns why the committee must be replaced; empty if it need not be.
func (p present) cause(r store.Reader, to []keys.Recipient, threshold int) (table.CeremonyCause, error) {
	if p.rec == nil {
		return table.NoCommittee, nil
	}
	if !slices.EqualFunc(p.rec.Seats, to, func(s table.SeatRecord, m keys.Recipient) bool { return s.Actor == m.Actor }) {
		return table.MembersChanged, nil
	}
	if threshold != p.rec.Threshold() {
		return table.ThresholdChanged, nil
	}
	if !slices.EqualFunc(p.rec.Seats, to, func(s table.SeatRecord, m keys.Recipient) bool { return bytes.Equal(s.To, m.Key) }) {
		return table.KeyChanged, nil
	}
	began := p.rec.Since
	if p.rec.Ceremony != 0 {
		c, err := table.Ceremony(r, p.rec.Ceremony)
		if err != nil {
			return "", fmt.Errorf("committee %d: %w", p.rec.Number, err)
		}
		began = c.Since
	}
	for _, s := range p.rec.Seats {
		node, err := table.Node(r, s.Node)
		if err != nil {
			return "", fmt.Errorf("committee %d: %w", p.rec.Number, err)
		}
		switch own := node.Owner == s.Actor; {
		case own && node.State != table.Trusted && p.rec.Ceremony != 0: // who dealt a committee kept no package
			return table.SeatLost, nil
		// One that was there already was passed over for its silence.
		case !own && slices.ContainsFunc(p.nodes, func(x nodeOf) bool { return x.owner == s.Actor && x.since > began }):
			return table.SeatFound, nil
		}
	}
	voted, err := table.RefreshVotedAt(r)
	if err != nil || voted <= began {
		return "", err
	}
	return table.RefreshVoted, nil
}
