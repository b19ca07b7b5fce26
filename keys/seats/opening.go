package seats

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/dkg"
)

// opening is how the node that leads opens the archive of the committee in force, which a ceremony replaces.
type opening struct {
	ceremony uint64
	since    int // the tick at which it began
	parts    []committee.Part
	answered map[coco.NodeID]bool
	secret   *keys.Secret
	over     bool // there will be no secret
}

func (o *opening) wipe() {
	wipeParts(&o.parts)
	if o.secret != nil {
		clear(o.secret[:])
	}
}

// installs asks for the new committee, with a copy of the secret.
func (o *opening) installs() Install {
	st := Install{Ceremony: o.ceremony}
	if o.secret != nil {
		secret := *o.secret
		st.Archive = &secret
	}
	return st
}

// Opens reports whether as many seats as open something have their package with a node that is trusted. Of a committee that was dealt none has.
func (c *Committee) Opens(s *State) bool {
	n := 0
	for _, seat := range c.Seats {
		if s.Lives(seat) {
			n++
		}
	}
	return n >= c.Threshold
}

// replaces returns the committee that the ceremony which runs is about to replace: nil if there is none, or the ceremony is not done.
func (s *State) replaces() *Committee {
	if s.Running == nil {
		return nil
	}
	if phase, _ := s.Running.Ceremony.Phase(); phase != dkg.Done {
		return nil
	}
	return s.Newest
}

// install has the leader open the old archive and then install the new committee. Without the parts it does so, too, after a while: what the old archive
// holds is not lost, because the actors' own packages open it.
func (m *Machine) install(s State, tick bool, out *Output) {
	done := false
	if s.Leading && s.Running != nil {
		phase, _ := s.Running.Ceremony.Phase()
		done = phase == dkg.Done
	}
	if o := m.opening; o != nil && (!done || o.ceremony != s.Running.Number) {
		o.wipe()
		m.opening = nil
	}
	if !done {
		return
	}
	old := s.replaces()
	if m.opening == nil {
		m.opening = &opening{ceremony: s.Running.Number, since: m.ticks, answered: map[coco.NodeID]bool{m.self: true}, over: old == nil || !old.Opens(&s)}
		if !m.opening.over {
			parts, err := m.parts(old.Number, &old.Sealing)
			if err != nil {
				out.Faults = append(out.Faults, err)
			}
			m.add(old, parts, out)
		}
		tick = true // ask at once
	}
	o := m.opening
	if !o.over && o.secret == nil && m.ticks-o.since > patience {
		o.over, out.Unopened = true, true
	}
	if o.over || o.secret != nil {
		out.Statements = append(out.Statements, o.installs())
		return
	}
	if tick {
		out.ask(&s, Lock{Committee: old.Number}, o.answered)
	}
}

// ask asks the nodes of the seats of the committee in force for their parts, but for those that have answered.
func (out *Output) ask(s *State, l Lock, answered map[coco.NodeID]bool) {
	for _, seat := range s.Newest.Seats {
		if e := (Envelope{seat.Node, Wanted{l}}); s.Lives(seat) && !answered[seat.Node] && !slices.Contains(out.Messages, e) {
			out.Messages = append(out.Messages, e)
		}
	}
}

// wipeParts clears the shares of parts, and drops these.
func wipeParts(parts *[]committee.Part) {
	for i := range *parts {
		clear((*parts)[i].Share[:])
	}
	*parts = nil
}

// add takes parts, and opens the archive once there are enough.
func (m *Machine) add(old *Committee, parts []committee.Part, out *Output) {
	o := m.opening
	o.parts = append(o.parts, parts...)
	if len(o.parts) < old.Threshold {
		return
	}
	secret, faults, err := old.Combine(o.parts)
	for _, fault := range faults {
		out.Faults = append(out.Faults, fault)
		if wrong := (*committee.PartError)(nil); errors.As(fault, &wrong) {
			o.parts = slices.DeleteFunc(o.parts, func(p committee.Part) bool { return p.Partial.Holder == wrong.Seat })
		}
	}
	if err == nil {
		o.secret = &secret
		wipeParts(&o.parts)
	}
}

// parts makes this node's parts in something that is sealed to a committee, if it has packages of it.
func (m *Machine) parts(number uint64, sealing *Sealing) (parts []committee.Part, err error) {
	if m.held.committee != number {
		return nil, nil
	}
	for _, seat := range slices.Sorted(maps.Keys(m.held.of)) {
		part, err := sealing.Part(m.held.of[seat])
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func (m *Machine) receive(from coco.NodeID, msg Message, s State, out *Output) error {
	if !s.trusts(from) {
		return fmt.Errorf("%w: a message about committees from node %s, which is not trusted", coco.ErrInvalid, from.Short())
	}
	switch msg := msg.(type) {
	case Wanted:
		return m.give(from, msg, s, out)
	case Given:
		if msg.Epoch != 0 {
			return m.takeParts(from, msg, s, out)
		}
		return m.collect(from, msg, s, out)
	case Refused:
		m.refused(from, msg) // of an archive that is replaced, it is asked again, for as long as there is patience
		return nil
	}
	return nil
}

// collect takes parts that another node gives.
func (m *Machine) collect(from coco.NodeID, g Given, s State, out *Output) error {
	old, o := s.replaces(), m.opening
	if o == nil || old == nil || old.Number != g.Committee || o.over || o.secret != nil || o.answered[from] {
		return nil // of no use any more
	}
	if err := old.own(from, g.Parts); err != nil {
		return err
	}
	o.answered[from] = true
	m.add(old, g.Parts, out)
	if o.secret != nil {
		out.Statements = append(out.Statements, o.installs())
	}
	return nil
}

// own fails with coco.ErrInvalid if parts are of seats whose node is another one.
func (c *Committee) own(from coco.NodeID, parts []committee.Part) error {
	for _, p := range parts {
		n := p.Partial.Holder
		if n < 1 || int(n) > len(c.Seats) || c.Seats[n-1].Node != from {
			return fmt.Errorf("%w: node %s gives a part of seat %d, which is not its", coco.ErrInvalid, from.Short(), n)
		}
	}
	return nil
}
