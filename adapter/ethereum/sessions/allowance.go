package sessions

import (
	"fmt"
	"sync"
	"time"

	"github.com/cocoframework/coco"
)

// Whoever signs in is unknown before the signature is checked, and anybody may send messages. So a node checks as many signatures of messages as users need, and
// not as many as come: at 0.2 ms each these are a fiftieth of one core.
const (
	checksPerSecond = 100
	checksAtOnce    = 200 // after a time without any
)

// allowance says how many signatures of messages may be checked. Its zero value has all that may be checked at once. It is safe for concurrent use.
type allowance struct {
	mu   sync.Mutex
	used time.Duration // what is not given back yet: a second is checksPerSecond checks; under mu
	at   time.Duration // when that was so; under mu
}

// take takes one check at a time of the host that goes on. The error is coco.ErrBusy if there is none left.
func (a *allowance) take(now time.Duration) error {
	const one = time.Second / checksPerSecond
	a.mu.Lock()
	defer a.mu.Unlock()
	if now > a.at {
		a.used, a.at = max(a.used-(now-a.at), 0), now
	}
	if a.used+one > checksAtOnce*one {
		return fmt.Errorf("%w: more sign-ins at a time than a node judges, which is %d a second: try again; sessions that have begun are not affected", coco.ErrBusy, checksPerSecond)
	}
	a.used += one
	return nil
}
