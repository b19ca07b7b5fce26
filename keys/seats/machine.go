package seats

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/dkg"
)

// Machine is one node's part. It never prints. It is not safe for concurrent use.
type Machine struct {
	self coco.NodeID
	part *part    // in the ceremony that runs; nil if none does
	held packages // of the committee in force

	restored packages // of an earlier life, until the committee in force is known

	ticks   int            // that have passed
	given   map[giving]int // at which of them a node was first given parts, of the packages that are held
	opening *opening       // of the archive of held's committee, on the node that leads
	asks    []*asking      // openings of expired epochs, the oldest first
	closed  closed         // epochs that no node opens

	nodes  []coco.NodeID // at the last tick at which a ceremony was needed
	same   int           // for so many ticks
	failed int           // ceremonies, one after the other
}

// packages are what a node holds of a committee, by the seats.
type packages struct {
	committee uint64 // its number
	of        map[uint32]*committee.Package
}

func (p *packages) wipe() {
	for _, k := range p.of {
		wipe(k)
	}
	*p = packages{}
}

func wipe(k *committee.Package) {
	clear(k.Share.Value[:])
	clear(k.Decryption[:])
}

// New returns the machine of a node that has no package yet.
func New(self coco.NodeID) *Machine {
	return &Machine{self: self, given: map[giving]int{}}
}

// Holds returns the committee whose packages this node has, and for which of its seats; 0 for none.
func (m *Machine) Holds() (number uint64, seats []uint32) {
	return m.held.committee, slices.Sorted(maps.Keys(m.held.of))
}

// Format writes a placeholder, whatever the verb.
func (*Machine) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[seats of a node]") }

// Step takes an input. The error is coco.ErrInvalid for a message that this node does not expect of its sender; the machine is as if it had not come.
func (m *Machine) Step(in Input, s State) (out Output, err error) {
	m.learn(s, &out)
	switch in := in.(type) {
	case Tick:
		m.ticks++
		m.begin(s, &out)
		m.speak(s, &out)
		m.install(s, true, &out)
		m.askAgain(s, &out)
	case Want:
		err = m.want(in, s, &out)
	case Committed:
		m.speak(s, &out)
		m.install(s, false, &out)
	case Received:
		err = m.receive(in.From, in.Message, s, &out)
	}
	return out, err
}

// learn follows the ceremonies that begin and end, and the committees that replace one another.
func (m *Machine) learn(s State, out *Output) {
	if m.part != nil && (s.Running == nil || s.Running.Number != m.part.number) {
		m.end(s)
	}
	m.adopt(s)
	if m.held.committee != 0 && (s.Newest == nil || s.Newest.Number != m.held.committee) {
		m.held.wipe()
	}
	if s.Running == nil {
		return
	}
	if m.part == nil {
		m.part = m.take(s, out)
		m.same = 0
	}
	m.part.forget(s.Running.Ceremony)
}

// end keeps the packages of a ceremony whose committee is in force, and wipes those of one that failed.
func (m *Machine) end(s State) {
	p := m.part
	m.part = nil
	if s.Newest == nil || s.Newest.Session != p.session {
		m.failed++
		p.wipe()
		return
	}
	m.failed = 0
	m.held.wipe()
	m.held = packages{committee: s.Newest.Number, of: map[uint32]*committee.Package{}}
	for _, r := range p.receivers {
		if r.own && r.holds != nil {
			m.held.of[r.number] = r.holds
			r.holds = nil
		}
	}
	m.given = map[giving]int{}
	p.wipe()
}

// take makes the parties of the seats that this node acts for in a ceremony. A dealer of a resharing is the node that has the old seat's package.
func (m *Machine) take(s State, out *Output) *part {
	c := s.Running.Ceremony
	p := &part{number: s.Running.Number, session: c.Digest()}
	fault := func(err error) {
		if err != nil {
			out.Faults = append(out.Faults, err)
		}
	}
	for i, seat := range s.Running.Seats {
		if seat.Node != m.self {
			continue
		}
		r := &receiver{number: uint32(i + 1), own: seat.Own}
		dealer := r.number
		if c.Session().Old != nil {
			dealer = 0
		}
		var err error
		r.party, err = dkg.NewParty(c, r.number, dealer, nil)
		if fault(err); err == nil {
			p.receivers = append(p.receivers, r)
		}
	}
	if c.Session().Old == nil {
		return p
	}
	for _, seat := range slices.Sorted(maps.Keys(m.held.of)) {
		party, err := dkg.NewParty(c, 0, seat, &m.held.of[seat].Share)
		if fault(err); err == nil {
			p.dealers = append(p.dealers, party)
		}
	}
	return p
}

// part is what a node does in one ceremony.
type part struct {
	number    uint64
	session   coco.Digest
	receivers []*receiver
	dealers   []*dkg.Party // of a resharing
}

// receiver is a seat of the new committee. A dealer of a new key is its receiver.
type receiver struct {
	number  uint32
	own     bool
	party   *dkg.Party
	holds   *committee.Package // from when it owes its confirmation
	confirm *dkg.Confirm
	failed  bool // it cannot know its share
}

func (p *part) wipe() {
	for _, r := range p.receivers {
		r.party.Forget()
		if r.holds != nil {
			wipe(r.holds)
			r.holds = nil
		}
	}
	for _, d := range p.dealers {
		d.Forget()
	}
}

// forget wipes the packages of seats that are others', once the ledger has them, sealed to their actors.
func (p *part) forget(c *dkg.Ceremony) {
	for _, r := range p.receivers {
		if !r.own && r.holds != nil && bytes.Equal(c.Sealed(r.number), r.confirm.Sealed) {
			wipe(r.holds)
			r.holds = nil
			r.party.Forget()
		}
	}
}

// speak says what the parties owe.
func (m *Machine) speak(s State, out *Output) {
	if m.part == nil {
		return
	}
	c := s.Running.Ceremony
	say := func(st dkg.Statement) {
		out.Statements = append(out.Statements, Speak{m.part.session, st})
	}
	phase, _ := c.Phase()
	for _, r := range m.part.receivers {
		switch owed := r.party.Owes(c); {
		case owed != nil:
			say(owed)
		case phase == dkg.Confirming && c.Sealed(r.number) == nil && !r.failed:
			if err := r.confirms(s.Running); err != nil {
				r.failed = true
				out.Faults = append(out.Faults, fmt.Errorf("receiver %d of ceremony %d: %w", r.number, m.part.number, err))
				continue
			}
			say(r.confirm)
		}
	}
	for _, d := range m.part.dealers {
		if owed := d.Owes(c); owed != nil {
			say(owed)
		}
	}
	if s.Leading && s.Closable && phase < dkg.Done {
		out.Statements = append(out.Statements, Close{})
	}
}

// confirms makes the package of a seat, and what the ledger is told of it.
func (r *receiver) confirms(running *Running) error {
	if r.confirm != nil {
		return nil
	}
	share, err := r.party.Share(running.Ceremony)
	if err != nil {
		return err
	}
	decryption, encryption, err := committee.NewDecryption()
	if err != nil {
		return err
	}
	holds := &committee.Package{Share: share, Decryption: decryption}
	sealed, err := running.Encrypt(r.number, holds)
	if err != nil {
		wipe(holds)
		return err
	}
	r.holds, r.confirm = holds, &dkg.Confirm{Receiver: r.number, Encryption: encryption, Sealed: sealed}
	return nil
}

// begin asks for a ceremony that is needed, once the nodes have been the same for a while.
func (m *Machine) begin(s State, out *Output) {
	if !s.Leading || !s.Need || s.Running != nil {
		m.same = 0
		return
	}
	if !slices.Equal(m.nodes, s.Nodes) {
		m.nodes, m.same = slices.Clone(s.Nodes), 0
	}
	wait := settled << min(m.failed, maxDelay)
	if s.Urgent && m.failed == 0 {
		wait = 0
	}
	if m.same++; m.same > wait {
		out.Statements = append(out.Statements, Begin{})
	}
}
