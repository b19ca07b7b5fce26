package join

import (
	"errors"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/wire"
)

const (
	// retryPause is how long a joiner waits before it asks the next node.
	retryPause = 100 * time.Millisecond
	// refusedPause is how long it waits after it was refused for a reason that only people can remove: a
	// vote, another program, a signature.
	refusedPause = 2 * time.Second
)

// RefusedError is why the network, or what this node found out about it, keeps a node from joining. The joiner
// goes on asking; Joiner.Refused is told.
type RefusedError struct {
	Address string         // of the node that was asked
	Reason  members.Reason // empty if no rule of the constitution is the reason
	err     error
}

func (e *RefusedError) Error() string { return e.err.Error() }
func (e *RefusedError) Unwrap() error { return e.err }

// reasonOf returns the rule of the constitution by which a node is refused; empty for none.
func reasonOf(err error) members.Reason {
	var refusal *members.Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	return ""
}

// refusal returns the error that a sponsor answered.
func refusal(a *peer.JoinAnswer, address string) error {
	return &RefusedError{Address: address, Reason: members.Reason(a.Rule), err: wire.FromNumber(max(1, a.Kind), a.Reason)}
}

// pauseAfter returns how long to wait before asking again.
func pauseAfter(err error) time.Duration {
	var refused *RefusedError
	if errors.As(err, &refused) && refused.Reason != "" || errors.Is(err, coco.ErrVerify) {
		return refusedPause
	}
	return retryPause
}

// tell reports why this node is not admitted yet.
func (j *Joiner) tell(address string, err error) {
	if j.Refused == nil || errors.Is(err, coco.ErrNotCommitted) { // no node leads: soon one will
		return
	}
	var refused *RefusedError
	if !errors.As(err, &refused) {
		refused = &RefusedError{Address: address, err: err}
	}
	j.Refused(refused)
}
