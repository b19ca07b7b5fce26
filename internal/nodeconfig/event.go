package nodeconfig

import (
	"errors"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// Event is a line that a node's process writes to its standard output for the supervisor.
type Event struct {
	Event  string      `json:"event"` // "recovering", "waiting", "not_kept", "ready", "failed" or "retired"
	Node   coco.NodeID `json:"node,omitzero"`
	Peer   string      `json:"peer,omitempty"`
	Client string      `json:"client,omitempty"`
	Error  string      `json:"error,omitempty"`
	Code   int         `json:"code,omitempty"` // of the error's kind; see FailedEvent
	// Of "recovering": the last transaction of the ledger, its time in milliseconds since 1970, the Merkle root, and
	// the digest that members' shares are released for.
	Last  coco.TxID   `json:"last,omitzero"`
	Time  uint64      `json:"time,omitempty"`
	Root  coco.Digest `json:"root,omitzero"`
	Point coco.Digest `json:"point,omitzero"`
}

// The events.
const (
	EventRecovering = "recovering" // it goes on from its ledger, whose end it has shown before any key was used
	EventWaiting    = "waiting"    // members have to vote before it is admitted; Error says why. It goes on asking
	EventNotKept    = "not_kept"   // what it has kept to go on after all nodes have stopped is of no use; Error says why. It asks to be admitted
	EventReady      = "ready"
	EventFailed     = "failed"
	EventRetired    = "retired" // it has left the network for good, and ends
)

// codeAddressInUse is what a node's process tells its supervisor, beside the exit codes of commands, when
// another process has its address: the supervisor then chooses another one.
const codeAddressInUse = 7

// FailedEvent tells the supervisor why a node's process failed.
func FailedEvent(err error) Event {
	code := wire.ExitCode(err)
	if code == wire.ExitError && errors.Is(err, ErrAddressInUse) {
		code = codeAddressInUse
	}
	return Event{Event: EventFailed, Error: err.Error(), Code: code}
}

// Failure returns the error that a FailedEvent was made of.
func (e Event) Failure() error {
	if e.Code == codeAddressInUse {
		return &addressInUse{e.Error}
	}
	return wire.FromExit(e.Code, e.Error)
}

// addressInUse is an error that a node's process reported with codeAddressInUse.
type addressInUse struct{ text string }

func (e *addressInUse) Error() string { return e.text }
func (e *addressInUse) Unwrap() error { return ErrAddressInUse }
