package growth_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/growth"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/store"
)

func sizes(t *testing.T, n *govtest.Network, view uint64) map[string]growth.Size {
	t.Helper()
	out := map[string]growth.Size{}
	n.Read(func(r store.Reader) {
		all, err := growth.Measure(r, view)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			out[s.Of] = s
		}
	})
	return out
}

func TestWhatStaysForEverIsCounted(t *testing.T) {
	n := govtest.New(t)
	n.Genesis()
	before := sizes(t, n, 1)
	n.Decide(govtest.Act(action.Set, action.Args{Setting: "limits.queue", Value: "5000"}))
	n.Propose(n.Members[1], govtest.AddCode(govtest.OtherCode))
	n.Admit(n.Node(n.Members[1], "beta:7000"))
	n.Admit(n.Node(n.Members[1], "beta:7000"))
	leaf := govtest.Issue(t, "leaf", n.Members[1], false, nil)
	n.Decide(govtest.Act(action.RemoveCertificate, action.Args{Actor: n.Members[1].Name, Certificate: leaf.Cert.Raw}))
	if err := n.Transact(func(tx *store.Tx) error { return n.Rotate(tx, n.Load()) }); err != nil {
		t.Fatal(err)
	}
	after := sizes(t, n, 7)
	for of, more := range map[string]uint64{
		"versions": 2, "proposals": 3, "open_proposals": 1, "ballots": 4, "revoked": 1, "nodes": 2, "places": 0, "epochs": 1, "members": 0, "participants": 0, "view": 6,
	} {
		if got := after[of].Now - before[of].Now; got != more {
			t.Errorf("%s: %d more, expected %d", of, got, more)
		}
	}
	if grown := after["bytes"].Now - before["bytes"].Now; grown < 5000 || grown > 50_000 {
		t.Errorf("%d bytes more", grown)
	}
	for of, s := range after {
		if s.Near() || s.Most == 0 {
			t.Errorf("%s: %+v", of, s)
		}
	}
}

func TestAHeaderHasRoomForTheLastView(t *testing.T) {
	h, again := batch.Header{View: growth.MaxView, Index: 1, Version: 1, First: 1, Count: 1, Epoch: 1}, batch.Header{}
	b, err := h.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if err := again.UnmarshalBinary(b); err != nil || again.View != growth.MaxView {
		t.Errorf("view %d: %v", again.View, err)
	}
}

// Half way to a limit a node says so in its log once a day, in its metrics, its status and its health.
func TestALimitIsAlarmedLongBeforeItIsMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := govtest.New(t)
		n.Genesis()
		view, log := uint64(1), new(bytes.Buffer)
		w := &growth.Watch{Log: slog.New(slog.NewTextHandler(log, nil)), Clock: sim.New(1).Host("a").Clock, State: n.Store.Snapshot, View: func() uint64 { return view }}
		w.Look(1)
		if w.Warning() != "" || w.Near() != nil || log.Len() > 0 {
			t.Errorf("a young network: %q %v %s", w.Warning(), w.Near(), log)
		}
		registry := prometheus.NewRegistry()
		registry.MustRegister(w)
		if families, err := registry.Gather(); err != nil || len(families) != 2 || len(families[0].Metric) != len(w.Sizes()) || len(w.Sizes()) == 0 {
			t.Errorf("%d metrics of %d sizes: %v", len(families), len(w.Sizes()), err)
		}
		view = growth.MaxView/2 + 1
		w.Look(2)
		if log.Len() > 0 {
			t.Error("it measures all the time")
		}
		for day := range 3 {
			time.Sleep(24 * time.Hour)
			for i := range 5 {
				time.Sleep(11 * time.Minute)
				w.Look(uint64(3 + 5*day + i))
			}
		}
		if said := strings.Count(log.String(), "event=limit_near of=view"); said != 3 {
			t.Errorf("said %d times in three days: %s", said, log)
		}
		for range 2 { // elections change no table
			view++
			time.Sleep(25 * time.Hour)
			w.Look(17)
		}
		if said := strings.Count(log.String(), "event=limit_near of=view"); said != 5 {
			t.Errorf("said %d times in five days, of which the last two changed no table", said)
		}
		near := w.Near()
		if len(near) != 1 || near[0].Of != "view" || near[0].Now != view || !strings.Contains(w.Warning(), fmt.Sprint(view)) {
			t.Errorf("%v, %q", near, w.Warning())
		}
	})
}
