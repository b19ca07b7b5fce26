package join

import (
	"errors"
	"fmt"
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

// RecoveredError is that members have recovered the network that a node belongs to, under a service that follows the one that the node knows. The old service's key has signed for it. It is
// coco.ErrDenied.
type RecoveredError struct {
	// Last is the last transaction of the time of the service that the node knows which members have recovered.
	Last coco.TxID
	// Gone says that the node goes on, or was about to, with others that had stopped like it. It MUST end.
	Gone bool
}

func (e *RecoveredError) Error() string {
	text := fmt.Sprintf("%v: members have recovered this network up to transaction %s, under a new service that follows the one known here", coco.ErrDenied, e.Last)
	if e.Gone {
		text += ": this node does not go on by itself any more, and has removed what it had kept for that. What was committed here after that transaction is not in the recovered network"
	}
	return text + ": check the new service and accept it by `coco recovery accept`, name its certificate as service in node.toml, and start the node again"
}

// Unwrap returns coco.ErrDenied.
func (e *RecoveredError) Unwrap() error { return coco.ErrDenied }

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
