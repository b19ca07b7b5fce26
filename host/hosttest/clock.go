package hosttest

import (
	"testing"
	"time"
)

var clockTests = []contract{
	{"waiting takes its time", after},
	{"a ticker ticks until it is stopped", ticker},
	{"a deadline is as far away as it says", deadline},
}

func after(t *testing.T, e Env) {
	const d = 2 * time.Millisecond
	start := e.Host.Clock.Now()
	<-e.Host.Clock.After(d)
	if waited := e.Host.Clock.Now().Sub(start); waited < d {
		t.Errorf("waited %v of %v", waited, d)
	}
	<-e.Host.Clock.After(0)
}

func deadline(t *testing.T, e Env) {
	c := e.Host.Clock
	if d := c.Deadline(time.Hour).Sub(c.Deadline(0)); d < time.Hour-time.Minute || d > time.Hour+time.Minute {
		t.Errorf("a deadline of an hour is %v after one of now", d)
	}
}

func ticker(t *testing.T, e Env) {
	const d = 2 * time.Millisecond
	start := e.Host.Clock.Now()
	ticks := e.Host.Clock.NewTicker(d)
	for range 3 {
		<-ticks.C()
	}
	ticks.Stop()
	if waited := e.Host.Clock.Now().Sub(start); waited < 3*d {
		t.Errorf("three ticks of %v took %v", d, waited)
	}
	select {
	case <-ticks.C():
		t.Error("a stopped ticker ticked")
	default:
	}
}
