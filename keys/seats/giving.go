package seats

import (
	"fmt"

	"github.com/cocoframework/coco"
)

// giving is a node and what it was given parts in.
type giving struct {
	to coco.NodeID
	Lock
}

// give answers a node that wants this one's parts.
func (m *Machine) give(from coco.NodeID, w Wanted, s State, out *Output) error {
	refuse := func(r Reason) error {
		out.Messages = append(out.Messages, Envelope{from, Refused{w.Lock, r}})
		out.Refused = append(out.Refused, Gave{from, w.Lock, r})
		return nil
	}
	sealing, err := m.entitled(from, w.Lock, &s)
	if err != nil {
		return err
	}
	if sealing == nil {
		return refuse(NotEntitled)
	}
	if m.held.committee != w.Committee || len(m.held.of) == 0 {
		return refuse(NotHeld)
	}
	of := giving{from, w.Lock}
	first, before := m.given[of]
	recent := before && m.ticks-first < Window
	if recent && m.ticks-first > again || !recent && !m.room(from, &s) {
		return refuse(TooOften)
	}
	parts, err := m.parts(w.Committee, sealing)
	if err != nil {
		return err
	}
	if !recent {
		m.given[of] = m.ticks
		out.Gave = append(out.Gave, Gave{To: from, Lock: w.Lock})
	}
	out.Messages = append(out.Messages, Envelope{from, Given{w.Lock, parts}})
	return nil
}

// entitled returns what a node may have this one's part in, nil if the ledger, as far as this node has it, does not entitle it. Each cause is a function.
func (m *Machine) entitled(from coco.NodeID, l Lock, s *State) (*Sealing, error) {
	for _, cause := range []func(*State, coco.NodeID, Lock) (*Sealing, error){replacing, reading} {
		if sealing, err := cause(s, from, l); sealing != nil || err != nil {
			return sealing, err
		}
	}
	return nil, nil
}

// replacing entitles the node that leads to the archive of the committee that is about to be replaced.
func replacing(s *State, from coco.NodeID, l Lock) (*Sealing, error) {
	if old := s.replaces(); old != nil && l == (Lock{Committee: old.Number}) && from == s.Leader {
		return &old.Sealing, nil
	}
	return nil, nil
}

// reading entitles each node that is trusted to the epochs that the ledger has announced, where nodes give up old epochs' secrets.
func reading(s *State, from coco.NodeID, l Lock) (*Sealing, error) {
	if !s.Expires || s.Newest == nil || l.Committee != s.Newest.Number || l.Epoch == 0 || !s.trusts(from) {
		return nil, nil
	}
	sealing, err := s.Newest.Epoch(l.Epoch)
	switch {
	case err != nil:
		return nil, fmt.Errorf("node %s wants a part: %w", from.Short(), err)
	case l.Archive && sealing == nil:
		return &s.Newest.Sealing, nil
	case !l.Archive:
		return sealing, nil
	}
	return nil, nil
}

// room says whether a node may be given parts in something more, and forgets what was given long ago.
func (m *Machine) room(to coco.NodeID, s *State) bool {
	n := 0
	for of, first := range m.given {
		switch {
		case m.ticks-first >= Window:
			delete(m.given, of)
		case of.to == to:
			n++
		}
	}
	return n < max(fewest, perWindow/max(1, len(s.Nodes)))
}
