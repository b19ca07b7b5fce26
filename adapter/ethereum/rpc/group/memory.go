package group

import (
	"context"

	"github.com/cocoframework/coco/internal/budget"
)

// Memory counts what a method keeps before its reply is built, against what a reply may take and against the share of the
// caller's organisation. It belongs to one goroutine.
type Memory struct {
	limit   int
	claim   *budget.Claim
	instead string
	used    int
	held    int // of used, what is claimed
	failed  error
}

// claimBytes are claimed at a time.
const claimBytes = 256 << 10

// Memory returns a counter. A refusal says what else to ask for.
func (s *Server) Memory(ctx context.Context, instead string) *Memory {
	return &Memory{limit: s.ReplyBytes(ctx), claim: s.Claim(ctx), instead: instead}
}

// Take counts n bytes more. Its first error stays.
func (m *Memory) Take(n int) error {
	if m.failed != nil {
		return m.failed
	}
	if m.used += n; m.used > m.limit {
		m.failed = Errorf(CodeReplyTooLarge, "response too large: more than %d bytes (rpc.reply_bytes): %s", m.limit, m.instead)
	} else if m.used > m.held {
		more := max(claimBytes, m.used-m.held)
		if m.failed = m.claim.Take(more); m.failed == nil {
			m.held += more
		}
	}
	return m.failed
}

// Err is the first error of Take.
func (m *Memory) Err() error { return m.failed }

// Release gives back what is claimed.
func (m *Memory) Release() { m.claim.Give(m.held) }
