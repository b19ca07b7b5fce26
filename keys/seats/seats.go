package seats

import (
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/dkg"
)

// TickMillis is at which intervals, in milliseconds, the driver MUST step Tick: the bounds below count them.
const TickMillis = 250

// Bounds, in ticks.
const (
	settled  = 12  // so long are the nodes the same before a ceremony begins that is not urgent: a network that starts has one, and not one for each node that joins
	patience = 40  // for the parts of an old archive; after that the new committee is installed without them
	Window   = 240 // a node is given parts in the same archive once in so many ticks
	again    = 20  // but for so many ticks it is answered once more: an answer may get lost
	maxDelay = 8   // doublings of settled between ceremonies that fail
)

// Bounds of reading expired epochs.
const (
	maxWanted = 16  // epochs that a node has opened at a time
	lapse     = 220 // ticks after which a node gives up what it has of an opening: less than Window, so that what it then asks for anew it is soon given
	repeat    = 4   // ticks after which it asks a seat again that has not answered
	MaxAhead  = 64  // epochs that one opening of an archive gives
	perWindow = 256 // locks that a node's seats give parts in, within Window, to all nodes together; each node has an equal share
	fewest    = 8   // of it at least, however many nodes there are
)

// State is what the network has committed, and what consensus says, as of a step.
type State struct {
	Leading  bool          // this node leads
	Leader   coco.NodeID   // the node that leads, as far as this one knows; zero if none
	Nodes    []coco.NodeID // that the network trusts, in order
	Newest   *Committee    // the committee in force; nil if there is none
	Running  *Running      // the ceremony that runs; nil if none does
	Need     bool          // a ceremony is needed and none runs
	Urgent   bool          // it is needed because of what members decided: it does not wait until the nodes have been the same for a while
	Closable bool          // the ledger would end the phase of the ceremony that runs; only the node that leads needs to know
	Expires  bool          // the constitution has nodes give up the secrets of old epochs, so nodes may have them opened again
}

func (s *State) trusts(id coco.NodeID) bool { return slices.Contains(s.Nodes, id) }

// Lives reports whether a node that is trusted has the package of a seat of the committee in force.
func (s *State) Lives(seat Seat) bool { return seat.Own && s.trusts(seat.Node) }

// Seat is a seat as the ledger has it: the node that acts for it, and whether that is the actor's own, which keeps the package.
type Seat struct {
	Node coco.NodeID
	Own  bool
}

// Committee is a committee that is in force.
type Committee struct {
	Number    uint64
	Session   coco.Digest // of the key generation that made it; zero if it was dealt
	Seats     []Seat
	Threshold int
	Sealing   // of the committee's archive
	// Epoch returns what an epoch is sealed as; nil if it is sealed to an earlier committee, so that the archive opens it. The error is coco.ErrNotFound if it is not
	// announced.
	Epoch func(epoch uint64) (*Sealing, error)
	// Past returns the secrets of epochs, given the archive's, and for each other epoch what is wrong with the rows that have it: nil if the chain of archives ends before them. Whatever else
	// it opens on the way it wipes. Both MUST follow from the committed rows alone.
	Past func(archive keys.Secret, epochs []uint64) (secrets map[uint64]keys.Secret, faults map[uint64]error)
}

// Sealing is something that is sealed to a committee: Part makes a part in opening it, and Combine opens it; see package archive.
type Sealing struct {
	Part    func(*committee.Package) (committee.Part, error)
	Combine func([]committee.Part) (secret keys.Secret, faults []error, err error)
}

// Lock is what parts open: the archive of a committee if Epoch is 0; otherwise an epoch, by what it is sealed as, or by the archive if Archive says so.
type Lock struct {
	Committee uint64
	Epoch     uint64
	Archive   bool
}

// String names the lock for people.
func (l Lock) String() string {
	switch {
	case l.Epoch == 0:
		return fmt.Sprintf("the archive of committee %d", l.Committee)
	case l.Archive:
		return fmt.Sprintf("epoch %d, by the archive of committee %d", l.Epoch, l.Committee)
	}
	return fmt.Sprintf("epoch %d", l.Epoch)
}

// Running is a ceremony that has begun, and not ended.
type Running struct {
	Number   uint64
	Ceremony *dkg.Ceremony
	Seats    []Seat // of the receivers, in their order
	// Encrypt encrypts a receiver's package to its actor.
	Encrypt func(receiver uint32, p *committee.Package) ([]byte, error)
}

// Input is one of Tick, Committed, Want and Received.
type Input interface{ input() }

// Tick says that TickMillis have passed.
type Tick struct{}

// Committed says that the ledger has committed something new about ceremonies or nodes.
type Committed struct{}

// Received is a message of another node, over an attested connection.
type Received struct {
	From    coco.NodeID
	Message Message
}

// Want says that this node needs an epoch's secret, which it does not hold. Ahead are epochs that it will need next: they are opened along with the first if that takes
// no more parts. It is stepped for as long as the secret is needed.
type Want struct {
	Epoch uint64
	Ahead []uint64
}

func (Want) input()      {}
func (Tick) input()      {}
func (Committed) input() {}
func (Received) input()  {}

// Message is one of Wanted, Given and Refused. It MUST travel inside an attested connection only.
type Message interface{ message() }

// Wanted asks for the receiver's parts in opening something.
type Wanted struct{ Lock }

// Given has the parts of the seats that the sender acts for.
type Given struct {
	Lock
	Parts []committee.Part
}

// Refused says why a node gives no part.
type Refused struct {
	Lock
	Reason Reason
}

func (Wanted) message()  {}
func (Given) message()   {}
func (Refused) message() {}

// Reason says why a node gives no part. Its numbers are on the wire.
type Reason uint64

// The reasons.
const (
	NotEntitled Reason = iota + 1 // the ledger, as far as the node has it, does not entitle the asker
	NotHeld                       // the node has no package of the committee
	TooOften                      // the asker had them, or too many others, less than Window ticks ago
)

// String returns a reason's name.
func (r Reason) String() string {
	switch r {
	case NotEntitled:
		return "not entitled"
	case NotHeld:
		return "not held"
	case TooOften:
		return "too often"
	}
	return "unknown"
}

// Envelope is a message and the node that it is for. A message may be lost: it is sent again.
type Envelope struct {
	To      coco.NodeID
	Message Message
}

// Statement is one of Begin, Speak, Close and Install: something that this node must have committed. If that fails, a later step asks again.
type Statement interface{ statement() }

// Begin asks the leader's own node for a transaction that begins a ceremony.
type Begin struct{}

// Speak is a statement of a party that this node acts for.
type Speak struct {
	Session   coco.Digest
	Statement dkg.Statement
}

// Close asks the leader's own node to end a phase.
type Close struct{}

// Install asks the leader's own node for a transaction that puts the committee of a ceremony in force. Archive is the secret of the old committee's archive; nil if
// there is none, or it could not be opened. It belongs to the caller, who wipes it.
type Install struct {
	Ceremony uint64
	Archive  *keys.Secret
}

func (Begin) statement()   {}
func (Speak) statement()   {}
func (Close) statement()   {}
func (Install) statement() {}

// Output is the result of a step.
type Output struct {
	Messages   []Envelope
	Statements []Statement
	Gave       []Gave  // parts that this node has given
	Refused    []Gave  // parts that it was asked for and has not given, with the reason
	Faults     []error // what an operator should hear of: a part that is wrong, a share that does not come about
	Unopened   bool    // the old archive does not open: the committee is installed without it
	Opened     []Opened
	Closed     []*ClosedError // what no node opens, as this step has found
}

// Gave says to which node parts went, or why not.
type Gave struct {
	To coco.NodeID
	Lock
	Reason Reason // 0: they were given
}

// Opened is an epoch that this node wanted opened. The secret is the caller's, who wipes it.
type Opened struct {
	Epoch  uint64
	Secret *keys.Secret
	Lock   // by which
}
