package adapter

import (
	"fmt"
	"time"

	"github.com/cocoframework/coco"
)

// Reading says how new a state a read asks for.
type Reading struct {
	// Latest asks for all that was committed anywhere before the read began. It costs a round of messages to a quorum, and trusts no clock.
	Latest bool
	// MaxAge is how old the state may be at most; negative for what the constitution allows. It cannot be more than that.
	MaxAge time.Duration
}

// Age says how old the state may be that a node shows.
type Age struct {
	// Of is the time since the last moment at which a quorum confirmed that this node held all that was committed, as this node's host counts it.
	Of    time.Duration
	Stale bool // more than the constitution's reads.stale_seconds
}

// StaleError refuses a read of a state that may be too old. It is of kind coco.ErrBusy.
type StaleError struct{ Age, Most time.Duration }

func (e *StaleError) Error() string {
	return fmt.Sprintf("this node's state may be %v old, expected at most %v: it has not heard of a majority of the nodes for so long; ask another node", e.Age.Truncate(time.Millisecond), e.Most)
}

// Unwrap returns the error's kind.
func (e *StaleError) Unwrap() error { return coco.ErrBusy }

// WireCode selects the row of the table of errors.
func (e *StaleError) WireCode() string { return "stale" }
