package node

import (
	"errors"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov"
	"github.com/cocoframework/coco/wire"
)

// refusedPause is how long a joiner waits after it was refused for a reason that only people can remove: a
// vote, another program, a signature.
const refusedPause = 2 * time.Second

// RefusedError is why the network, or what this node found out about it, keeps a node from joining. It goes on
// asking; Config.Refused is told.
type RefusedError struct {
	Address string     // of the node that was asked
	Reason  gov.Reason // empty if no rule of the constitution is the reason
	err     error
}

func (e *RefusedError) Error() string { return e.err.Error() }
func (e *RefusedError) Unwrap() error { return e.err }

// reasonOf is the rule of the constitution by which a node is refused; empty for none.
func reasonOf(err error) gov.Reason {
	var refusal *gov.Refusal
	if errors.As(err, &refusal) {
		return refusal.Reason
	}
	return ""
}

// refusal is the error that a node answered.
func (a *joinAnswer) refusal(address string) error {
	return &RefusedError{Address: address, Reason: a.Rule, err: wire.FromNumber(max(1, a.Kind), a.Reason)}
}

// pauseAfter is how long to wait before asking again.
func pauseAfter(err error) time.Duration {
	var refused *RefusedError
	if errors.As(err, &refused) && refused.Reason != "" || errors.Is(err, coco.ErrVerify) {
		return refusedPause
	}
	return joinPause
}

// tellRefused tells whoever started this node why it is not admitted yet.
func (n *node) tellRefused(address string, err error) {
	if n.cfg.Refused == nil || errors.Is(err, coco.ErrNotCommitted) { // nobody leads: soon somebody will
		return
	}
	var refused *RefusedError
	if !errors.As(err, &refused) {
		refused = &RefusedError{Address: address, err: err}
	}
	n.cfg.Refused(refused)
}
