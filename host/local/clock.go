package local

import (
	"time"

	"github.com/cocoframework/coco/host"
)

// Clock is the operating system's clock.
type Clock struct{}

var _ host.Clock = Clock{}

// Now implements host.Clock.
func (Clock) Now() time.Time { return time.Now() }

// start is when the program began.
var start = time.Now()

// Elapsed implements host.Clock.
func (Clock) Elapsed() time.Duration { return time.Since(start) }

// Deadline implements host.Clock.
func (Clock) Deadline(d time.Duration) time.Time { return time.Now().Add(d) }

// After implements host.Clock.
func (Clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// NewTicker implements host.Clock.
func (Clock) NewTicker(d time.Duration) host.Ticker { return ticker{time.NewTicker(d)} }

type ticker struct{ t *time.Ticker }

func (t ticker) C() <-chan time.Time { return t.t.C }
func (t ticker) Stop()               { t.t.Stop() }
