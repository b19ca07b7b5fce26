package hosttest

import (
	"testing"
	"time"
)

var clockTests = []contract{
	{"waiting takes its time", after},
	{"a ticker ticks until it is stopped", ticker},
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
