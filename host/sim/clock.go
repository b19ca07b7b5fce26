package sim

import (
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco/host"
)

// clock is package time with another idea of the time of day. It goes on when its host crashes,
// so that what waits on it can end.
type clock struct{ offset atomic.Int64 }

func (c *clock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

// epoch is before the time of every bubble.
var epoch = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)

func (c *clock) Elapsed() time.Duration { return time.Since(epoch) }

func (c *clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

func (c *clock) NewTicker(d time.Duration) host.Ticker { return ticker{time.NewTicker(d)} }

type ticker struct{ t *time.Ticker }

func (t ticker) C() <-chan time.Time { return t.t.C }
func (t ticker) Stop()               { t.t.Stop() }
