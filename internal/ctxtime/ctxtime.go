// Package ctxtime waits for a time that a context may cut short.
//
// Trust: host
package ctxtime

import (
	"context"
	"time"
)

// Sleep waits for a time. It reports false, at once, when ctx ends before the time is over.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
