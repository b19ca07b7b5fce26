// Package rotation lets a new epoch begin: it decides which node makes its secret, which nodes are given it,
// and when batches may be sealed under it.
//
// When the members change, so do the secrets: the secret of a new epoch is shared among the members of
// that moment, and members who have left cannot open what is written later. An epoch begins in rounds:
//
//	leader                               other nodes
//	Propose: makes the secret
//	   │ transaction, committed: the epoch's public form, sealed to the members ──► announced
//	Tick: has the secret ── Secret ────► hold it, and say so
//	   ◄──────────────────── Held ──────
//	Tick: a majority holds it
//	   │ Output.Begin: batches are sealed under it
//	   └─ a batch of the epoch ─────────► a node without the secret cannot open it
//	                         ◄─ Wanted ── Lack: it asks every other node, again and again
//	each node that has it ── Secret ───►
//
// A node that catches up may lack an epoch whose secret all have given up since. Then the leader has it opened again (package seats), and gives it.
//
// Before a majority holds the secret no batch is sealed under it, because the crash of the leader would
// lose the secret and with it the batch. A crash after the announcement leaves an epoch that is never
// used: a later leader that no node can give the secret announces another one. A node that asks in vain
// although the network has a leader has lost contact with the secret, and must join again.
//
// Machine is a pure machine. It has no clock, no goroutine, no network and no log: a step takes an
// input and the committed state, and returns messages for other nodes, statements for the ledger, and
// what the node may do from now on. So a script can play every order of events. A key generation
// among several nodes is further inputs, messages and statements, in rounds of its own; nothing here
// expects that one call makes the secret.
//
// Trust: enclave
package rotation

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
)

// The driver MUST step Tick and Lack at these intervals, in milliseconds: the bounds below count them.
const (
	TickMillis = 250
	LackMillis = 100
)

const (
	maxTicks  = 13 // without the secret of the epoch that this leader should let begin: three seconds
	maxAsked  = 30 // times that a node asks for a secret while the network has a leader: three seconds
	maxOffers = 16 // secrets of epochs that were never announced
)

// State is what the network has committed, and what consensus says, as of a step.
type State struct {
	Leading bool          // this node leads
	Leader  coco.NodeID   // the node that leads, as far as this one knows; zero if none
	Nodes   []coco.NodeID // that the network trusts, in order
	Epochs  []Announced   // in order; only those after Newest count
	Over    bool          // the epoch in use is as long as the constitution lets it be; only a tick of the node that leads needs to know
}

func (s *State) trusts(id coco.NodeID) bool { return slices.Contains(s.Nodes, id) }

// Announced is an epoch whose announcement is committed.
type Announced struct {
	Epoch  uint64
	Sealed coco.Digest // SHA-256 of its public form
}

// Input is one of Tick, Committed, Lack and Received.
type Input interface{ input() }

// Tick says that TickMillis have passed.
type Tick struct{}

// Committed says that the ledger has committed something new.
type Committed struct{}

// Lack says that a batch is sealed under an epoch that the ring does not hold. It is stepped again every
// LackMillis, until the ring holds the epoch or Output.Lost is set.
type Lack struct{ Epoch uint64 }

// Received is a message of another node, over an attested connection.
type Received struct {
	From    coco.NodeID
	Message Message
}

func (Tick) input()      {}
func (Committed) input() {}
func (Lack) input()      {}
func (Received) input()  {}

// Message is one of Secret, Held and Wanted. It MUST travel inside an attested connection only.
type Message interface{ message() }

// Secret carries an epoch's secret to a node that lacks it. As a message it is a pointer, which several envelopes share: its secret is erased once all are sent, or the message has been stepped.
type Secret struct {
	Sealed coco.Digest // SHA-256 of the epoch's public form
	Epoch  uint64
	Secret keys.Secret
}

// Held says that the sender holds an epoch's secret.
type Held struct{ Sealed coco.Digest }

// Wanted says that the sender needs an epoch's secret.
type Wanted struct{ Epoch uint64 }

func (*Secret) message() {}

// Erase clears the secret.
func (s *Secret) Erase() { clear(s.Secret[:]) }
func (Held) message()    {}
func (Wanted) message()  {}

// Output is the result of a step.
type Output struct {
	Messages   []Envelope
	Statements []Statement
	// Begin, unless zero, is an epoch to be used for the next batch (keys.Ring.Use).
	Begin uint64
	// Lost says that asking for the secret of an epoch (Lack) is in vain: the node must join again.
	Lost bool
	// Open, unless zero, is an epoch that another node lacks and this one, which leads, holds no more: it is to be opened again. The other node asks on.
	Open uint64
}

// Envelope is a message and the node that it is for. A message may be lost: it is sent again.
type Envelope struct {
	To      coco.NodeID
	Message Message
}

// Statement is something that this node must have committed. There is one kind so far, Announce.
type Statement interface{ statement() }

// Announce asks for a transaction with a new epoch (Machine.Propose). Lost is the newest one, if no node that can be
// reached holds its secret, and 0 if the epoch in use is over. If the transaction fails, a later Tick asks again.
type Announce struct{ Lost uint64 }

func (Announce) statement() {}

// Machine is one node's part in rotations. It is not safe for concurrent use.
type Machine struct {
	self coco.NodeID
	ring *keys.Ring

	announced []Announced // in order
	offers    []Secret    // of epochs that are not known to be announced; the oldest first

	held    coco.Digest // the epoch that holders belongs to
	holders map[coco.NodeID]bool
	ticks   int // since when this leader lacks the secret of the newest epoch

	wanted uint64 // the epoch that this node asks for
	asked  int    // times, while the network had a leader
}

// New returns the machine of a node, which adds to the ring the secrets of epochs that are announced.
func New(self coco.NodeID, ring *keys.Ring) *Machine {
	return &Machine{self: self, ring: ring, holders: map[coco.NodeID]bool{}, offers: make([]Secret, 0, maxOffers)} // that never grows, which would leave copies
}

// Newest returns the newest epoch that the machine knows to be announced; 0 if it knows none.
func (m *Machine) Newest() uint64 {
	if n := len(m.announced); n > 0 {
		return m.announced[n-1].Epoch
	}
	return 0
}

// Propose makes the next epoch for a transaction of this node's. Its secret is kept until the epoch is
// announced. The newest epoch is the one before it, as that transaction sees it.
func (m *Machine) Propose(newest uint64, recipients []keys.Recipient, threshold int) (*keys.SealedEpoch, error) {
	secret, sealed, err := keys.NewEpoch(newest+1, recipients, threshold)
	if err != nil {
		return nil, err
	}
	recent := m.ring.Recent()
	defer keys.Wipe(recent)
	if err := sealed.SealPrevious(secret, recent); err != nil {
		return nil, err
	}
	public, err := sealed.Marshal()
	if err != nil {
		return nil, err
	}
	m.offer(Secret{Sealed: sha256.Sum256(public), Epoch: sealed.Epoch, Secret: secret})
	return sealed, nil
}

// Offer keeps the secret of an epoch that the caller has sealed for a transaction of this node's, until the epoch is announced.
func (m *Machine) Offer(s Secret) { m.offer(s) }

// Step takes an input. The error is coco.ErrInvalid for a message that this node neither asked for nor
// expects of its sender; the machine is as if it had not come.
func (m *Machine) Step(in Input, s State) (Output, error) {
	m.learn(s.Epochs)
	switch in := in.(type) {
	case Tick:
		return m.tick(s), nil
	case Lack:
		return m.lack(in.Epoch, s), nil
	case Received:
		return m.receive(in.From, in.Message, s)
	}
	return Output{}, nil
}

// learn takes note of the epochs that are announced. Announcements are never taken back, so a state that
// is older than the last one teaches nothing.
func (m *Machine) learn(epochs []Announced) {
	for _, e := range epochs {
		if n := len(m.announced); n == 0 || m.announced[n-1].Epoch < e.Epoch {
			m.announced = append(m.announced, e)
			m.adopt(e)
		}
	}
}

// adopt moves the secret of an announced epoch from the offers to the ring.
func (m *Machine) adopt(e Announced) {
	i := slices.IndexFunc(m.offers, func(o Secret) bool { return o.Sealed == e.Sealed && o.Epoch == e.Epoch })
	if i >= 0 {
		m.ring.Add(e.Epoch, m.offers[i].Secret)
		m.offers = slices.Delete(m.offers, i, i+1)
	}
}

// find returns the announcement of an epoch.
func (m *Machine) find(epoch uint64) (Announced, bool) {
	i, ok := slices.BinarySearchFunc(m.announced, epoch, func(e Announced, epoch uint64) int {
		return cmp.Compare(e.Epoch, epoch)
	})
	if !ok {
		return Announced{}, false
	}
	return m.announced[i], true
}

// offer keeps a secret until its epoch is announced.
func (m *Machine) offer(o Secret) {
	m.offers = slices.DeleteFunc(m.offers, func(old Secret) bool { return old.Sealed == o.Sealed })
	if len(m.offers) == maxOffers {
		m.offers = slices.Delete(m.offers, 0, 1)
	}
	m.offers = append(m.offers, o)
	if e, ok := m.find(o.Epoch); ok {
		m.adopt(e)
	}
}

// tick lets the newest epoch begin while this node leads.
func (m *Machine) tick(s State) Output {
	used, _ := m.ring.Current()
	n := len(m.announced)
	if !s.Leading || n == 0 || m.announced[n-1].Epoch <= used {
		m.ticks = 0
		if s.Leading && s.Over && n > 0 && m.announced[n-1].Epoch == used {
			return Output{Statements: []Statement{Announce{}}}
		}
		return Output{}
	}
	newest := m.announced[n-1]
	if secret, err := m.ring.Secret(newest.Epoch); err == nil {
		m.ticks = 0
		return m.handOut(&Secret{newest.Sealed, newest.Epoch, secret}, s)
	}
	if m.ticks++; m.ticks <= maxTicks {
		return Output{}
	}
	m.ticks = 0
	return Output{Statements: []Statement{Announce{Lost: newest.Epoch}}}
}

// handOut gives a secret to the nodes that lack it, and lets the epoch begin once a majority holds it. The secret is a copy of its own, which it takes over.
func (m *Machine) handOut(secret *Secret, s State) (out Output) {
	if m.held != secret.Sealed {
		m.held, m.holders = secret.Sealed, map[coco.NodeID]bool{}
	}
	count := 0
	for _, id := range s.Nodes {
		if id == m.self || m.holders[id] {
			count++
			continue
		}
		out.Messages = append(out.Messages, Envelope{id, secret})
	}
	if count >= len(s.Nodes)/2+1 {
		out.Begin = secret.Epoch
	}
	if len(out.Messages) == 0 {
		secret.Erase() // nobody is sent it, and erases it then
	}
	return out
}

// Proposed returns the secret of an epoch that this node has proposed, and that is not announced yet.
func (m *Machine) Proposed(sealed coco.Digest) (keys.Secret, bool) {
	i := slices.IndexFunc(m.offers, func(o Secret) bool { return o.Sealed == sealed })
	if i < 0 {
		return keys.Secret{}, false
	}
	return m.offers[i].Secret, true
}

// HandOut returns the messages that hand out the secret of an epoch that this node has proposed, and not announced yet, and whether a majority of the
// nodes holds it. The nodes of a network that go on together after all of them have stopped seal nothing under an epoch from before, so the batch
// that announces the first epoch of theirs is sealed under it. It MUST be called every TickMillis, while this node leads, until a majority holds the secret.
func (m *Machine) HandOut(sealed coco.Digest, s State) (messages []Envelope, held bool) {
	i := slices.IndexFunc(m.offers, func(o Secret) bool { return o.Sealed == sealed })
	if i < 0 {
		return nil, false
	}
	own := m.offers[i]
	out := m.handOut(&own, s)
	return out.Messages, out.Begin != 0
}

// Opened has the machine take note of an epoch that a batch announces which is sealed under it, before that batch is opened: its secret is one that
// was handed out. A secret of another announcement of the same epoch, which was never committed, is forgotten.
func (m *Machine) Opened(e Announced) {
	m.ring.Forget(e.Epoch)
	m.learn([]Announced{e})
}

// lack asks all other nodes for the secret of an epoch. An attempt counts only if the answer is to be
// expected: the network has a leader, and trusts this node. A node that is being removed is given no
// secret, and votes until consensus does without it.
func (m *Machine) lack(epoch uint64, s State) (out Output) {
	if m.wanted != epoch {
		m.wanted, m.asked = epoch, 0
	}
	if m.asked >= maxAsked {
		m.asked = 0
		return Output{Lost: true}
	}
	if s.Leader != (coco.NodeID{}) && s.trusts(m.self) {
		m.asked++
	}
	for _, id := range s.Nodes {
		if id != m.self {
			out.Messages = append(out.Messages, Envelope{id, Wanted{epoch}})
		}
	}
	return out
}

func (m *Machine) receive(from coco.NodeID, msg Message, s State) (Output, error) {
	if !s.trusts(from) {
		return Output{}, fmt.Errorf("%w: a message about epochs from node %s, which is not trusted", coco.ErrInvalid, from.Short())
	}
	switch msg := msg.(type) {
	case *Secret:
		if from != s.Leader && msg.Epoch != m.wanted {
			return Output{}, fmt.Errorf("%w: the secret of epoch %d from node %s, which does not lead and was not asked for it",
				coco.ErrInvalid, msg.Epoch, from.Short())
		}
		m.offer(*msg)
		return Output{Messages: []Envelope{{from, Held{msg.Sealed}}}}, nil
	case Held:
		if msg.Sealed == m.held {
			m.holders[from] = true
		}
	case Wanted:
		e, announced := m.find(msg.Epoch)
		secret, err := m.ring.Secret(msg.Epoch)
		switch {
		case announced && err == nil:
			return Output{Messages: []Envelope{{from, &Secret{e.Sealed, e.Epoch, secret}}}}, nil
		case announced && s.Leading: // of all nodes, the one that is sure to know the committee in force
			return Output{Open: msg.Epoch}, nil
		}
	}
	return Output{}, nil
}
