package seats

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
)

// asking is how a node has an epoch opened whose secret it holds no more. It asks the nodes of the seats of the committee in force, and again those that have not given a part, until it has
// those of a threshold. What it has of them it wipes after lapse ticks, or when the committee is replaced: then it begins anew if the epoch is wanted still.
type asking struct {
	lock     Lock
	sealing  *Sealing
	epochs   []uint64 // that it gives; the first is lock's
	since    int      // the tick at which it began
	parts    []committee.Part
	answered map[coco.NodeID]bool
	refused  map[coco.NodeID]Reason
	wrong    map[uint32]bool // seats whose part was
	fault    error           // the parts were right, and what they open was not
}

// want begins an opening, unless it is under way. The error is a ClosedError if that was tried, and no node opens the epoch.
func (m *Machine) want(w Want, s State, out *Output) error {
	c := s.Newest
	if c == nil || !s.Expires {
		return fmt.Errorf("%w: epoch %d: there is no committee whose seats would open it", coco.ErrNotFound, w.Epoch)
	}
	sealing, err := c.Epoch(w.Epoch)
	if err != nil {
		return err
	}
	if fault := m.closed.of(&s, w.Epoch); fault != nil && sealing == nil {
		return fault
	}
	a := &asking{
		lock: Lock{Committee: c.Number, Epoch: w.Epoch, Archive: sealing == nil}, sealing: sealing, epochs: []uint64{w.Epoch}, since: m.ticks,
		answered: map[coco.NodeID]bool{m.self: true}, refused: map[coco.NodeID]Reason{}, wrong: map[uint32]bool{},
	}
	if m.ask(w.Epoch) != nil || len(m.asks) >= maxWanted {
		return nil // it is under way, or wanted again
	}
	if a.lock.Archive {
		a.sealing = &c.Sealing
		for _, epoch := range w.Ahead {
			if other, err := c.Epoch(epoch); err == nil && other == nil && len(a.epochs) < MaxAhead && m.ask(epoch) == nil && m.closed.of(&s, epoch) == nil && !slices.Contains(a.epochs, epoch) {
				a.epochs = append(a.epochs, epoch)
			}
		}
	}
	m.asks = append(m.asks, a)
	parts, err := m.parts(c.Number, a.sealing)
	if err != nil {
		out.Faults = append(out.Faults, err)
	}
	if m.bring(a, parts, s, out); slices.Contains(m.asks, a) {
		out.ask(&s, a.lock, a.answered)
	}
	return nil
}

// ask returns the opening that gives an epoch; nil if none is under way.
func (m *Machine) ask(epoch uint64) *asking {
	i := slices.IndexFunc(m.asks, func(a *asking) bool { return slices.Contains(a.epochs, epoch) })
	if i < 0 {
		return nil
	}
	return m.asks[i]
}

// askAgain asks on, and gives up what has lasted for too long, or is of a committee that is replaced.
func (m *Machine) askAgain(s State, out *Output) {
	m.asks = slices.DeleteFunc(m.asks, func(a *asking) bool {
		over := s.Newest == nil || a.lock.Committee != s.Newest.Number || m.ticks-a.since > lapse
		if over {
			wipeParts(&a.parts)
		}
		return over
	})
	for _, a := range m.asks {
		if (m.ticks-a.since)%repeat == 0 {
			out.ask(&s, a.lock, a.answered)
		}
	}
}

// bring takes parts, and opens once there are enough. A part that is wrong does not count, whoever has given it is not asked again, and others' parts stay.
func (m *Machine) bring(a *asking, parts []committee.Part, s State, out *Output) {
	a.parts = append(a.parts, parts...)
	if len(a.parts) < s.Newest.Threshold {
		return
	}
	secret, faults, err := a.sealing.Combine(a.parts)
	for _, fault := range faults {
		out.Faults = append(out.Faults, fmt.Errorf("%s: %w", a.lock, fault))
		if wrong := (*committee.PartError)(nil); errors.As(fault, &wrong) {
			a.wrong[wrong.Seat] = true
			a.parts = slices.DeleteFunc(a.parts, func(p committee.Part) bool { return p.Partial.Holder == wrong.Seat })
		}
	}
	if err != nil {
		if len(a.parts) >= s.Newest.Threshold { // no other parts would do
			a.fault = err
			wipeParts(&a.parts)
		}
		return
	}
	defer clear(secret[:])
	m.asks = slices.DeleteFunc(m.asks, func(o *asking) bool { return o == a })
	wipeParts(&a.parts)
	if !a.lock.Archive {
		own := secret
		out.Opened = append(out.Opened, Opened{a.lock.Epoch, &own, a.lock})
		return
	}
	opened, faulty := s.Newest.Past(secret, a.epochs)
	m.closed.add(&s, faulty, out)
	for _, epoch := range slices.Sorted(maps.Keys(opened)) {
		own := opened[epoch]
		opened[epoch] = keys.Secret{}
		out.Opened = append(out.Opened, Opened{epoch, &own, a.lock})
	}
}

// takeParts takes parts that another node gives.
func (m *Machine) takeParts(from coco.NodeID, g Given, s State, out *Output) error {
	i := slices.IndexFunc(m.asks, func(a *asking) bool { return a.lock == g.Lock })
	if i < 0 || s.Newest == nil || s.Newest.Number != g.Committee || m.asks[i].answered[from] {
		return nil // of no use any more
	}
	if err := s.Newest.own(from, g.Parts); err != nil {
		return err
	}
	a := m.asks[i]
	a.answered[from] = true
	delete(a.refused, from)
	m.bring(a, g.Parts, s, out)
	return nil
}

// refused takes note of why a node gives no part. It is asked again.
func (m *Machine) refused(from coco.NodeID, r Refused) {
	for _, a := range m.asks {
		if a.lock == r.Lock && !a.answered[from] {
			a.refused[from] = r.Reason
		}
	}
}

// Missing is a seat without a right part in an opening.
type Missing struct {
	Seat   uint32
	Reason Lack
}

// Lack says why there is no part of a seat.
type Lack uint8

// The reasons.
const (
	NoNode Lack = iota + 1 // no trusted node has its package
	Silent                 // its node does not answer
	Denied                 // its node refuses
	Wrong                  // its part was wrong
)

// Waiting says how far the opening of an epoch is.
type Waiting struct {
	Ticks      int // since it began
	Have, Need int // parts
	Missing    []Missing
	Fault      error // what was opened is wrong, and no parts help
}

// Waiting returns how far the opening of an epoch is; ok is false if none is under way.
func (m *Machine) Waiting(epoch uint64, s State) (w Waiting, ok bool) {
	a := m.ask(epoch)
	if a == nil || s.Newest == nil || s.Newest.Number != a.lock.Committee {
		return w, false
	}
	w = Waiting{Ticks: m.ticks - a.since, Have: len(a.parts), Need: s.Newest.Threshold, Fault: a.fault}
	for i, seat := range s.Newest.Seats {
		number := uint32(i + 1)
		if slices.ContainsFunc(a.parts, func(p committee.Part) bool { return p.Partial.Holder == number }) {
			continue
		}
		why := Silent
		switch {
		case a.wrong[number]:
			why = Wrong
		case !s.Lives(seat):
			why = NoNode
		case a.refused[seat.Node] != 0:
			why = Denied
		}
		w.Missing = append(w.Missing, Missing{number, why})
	}
	return w, true
}
