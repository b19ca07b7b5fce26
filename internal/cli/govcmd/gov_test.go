package govcmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/wire"
)

func TestEveryKindOfActionCanBeWritten(t *testing.T) {
	var kinds []action.Kind
	for _, f := range actionForms() {
		kinds = append(kinds, f.kind)
		least, most := f.arguments()
		if n := len(strings.Fields(f.args)); least < min(1, n) && !strings.HasPrefix(f.args, "[") || most < least || most > n {
			t.Errorf("%s: %d to %d arguments of %q", f.kind, least, most, f.args)
		}
		if !strings.HasPrefix(f.example+" ", dashed(f.kind)+" ") || f.short == "" {
			t.Errorf("%s: example %q, short %q", f.kind, f.example, f.short)
		}
	}
	if !slices.Equal(kinds, action.Kinds()) {
		t.Errorf("found %v, expected %v", kinds, action.Kinds())
	}
}

// Of a name that stands twice members would vote on one value, and its proposer had written two.
func TestASettingIsRefusedInWhichANameStandsTwice(t *testing.T) {
	for _, value := range []string{`{"a/":{"read":["alpha"]},"a/":{"write":[]}}`, `{"a/":{"read":["alpha"],"read":["bravo"]}}`} {
		var x action.Args
		if err := setting(&x, []string{"adapters.kv.prefixes", value}, nil); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "stands twice") {
			t.Errorf("%s: %v, and %q", value, err, x.Value)
		}
	}
	for value, want := range map[string]string{`{"b":1,"a":[]}`: `{"a":[],"b":1}`, "17": "17", "closed": `"closed"`, `{"a":`: `"{\"a\":"`} {
		var x action.Args
		if err := setting(&x, []string{"adapters.kv.prefixes", value}, nil); err != nil || x.Value != want {
			t.Errorf("%s: %q, %v; expected %q", value, x.Value, err, want)
		}
	}
}

func TestAnEventIsToldAgainUntilItIsTaken(t *testing.T) {
	var got []wire.GovEvent
	refuse := true
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse {
			refuse = false
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		var e wire.GovEvent
		if err := json.NewDecoder(r.Body).Decode(&e); err != nil || r.Method != http.MethodPost {
			t.Errorf("%s: %v", r.Method, err)
		}
		got = append(got, e)
	}))
	defer srv.Close()
	a := &app{&cli.App{Out: cli.NewPrinter(new(bytes.Buffer)), Err: cli.NewPrinter(new(bytes.Buffer))}}
	w := &watching{webhook: srv.URL}
	event := wire.GovEvent{Event: "voted", Since: 7, Number: 3, Member: "bravo", Vote: "yes"}
	if err := a.tell(t.Context(), w, event); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("refused: %v, expected what it answers", err)
	}
	if err := a.tell(t.Context(), w, event); err != nil || len(got) != 1 || got[0] != event {
		t.Errorf("taken: %v, %+v", err, got)
	}
	w = &watching{command: "false"}
	if err := a.tell(t.Context(), w, event); err == nil {
		t.Error("a command that failed has taken the event")
	}
}

func TestAWatchGoesOnWhereItEnded(t *testing.T) {
	w := &watching{state: filepath.Join(t.TempDir(), "seen")}
	if err := w.begin(false); err != nil || w.after != fromNow {
		t.Errorf("at first: after %d, %v", w.after, err)
	}
	if err := w.save(17); err != nil {
		t.Fatal(err)
	}
	again := &watching{state: w.state}
	if err := again.begin(false); err != nil || again.after != 17 {
		t.Errorf("again: after %d, %v; expected 17", again.after, err)
	}
	told := &watching{state: w.state, after: 3}
	if err := told.begin(true); err != nil || told.after != 3 {
		t.Errorf("told: after %d, %v; expected 3", told.after, err)
	}
	if err := os.WriteFile(w.state, []byte("seventeen"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := again.begin(false); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a damaged file: %v, expected coco.ErrInvalid", err)
	}
}

// The list says when voting ends, and of what is not open any more, when it ended: not when voting would have.
func TestTheListSaysWhenAProposalWasDecided(t *testing.T) {
	now := time.Date(2026, 11, 30, 1, 0, 0, 0, time.UTC)
	ends, at := now.Add(7*day), now.Add(-3*time.Hour)
	for _, c := range []struct {
		p          wire.Proposal
		says, lack string
	}{
		{wire.Proposal{State: "open", Expires: ends}, "ends " + moment(ends, now), "ago"},
		{wire.Proposal{State: "accepted", Expires: ends, Decided: 9, DecidedTime: at}, "decided " + moment(at, now), "in 7 days"},
		{wire.Proposal{State: "rejected", Expires: ends, Decided: 9, DecidedTime: at}, "decided ", "in 7 days"},
		{wire.Proposal{State: "withdrawn", Expires: ends, Decided: 9, DecidedTime: at}, "ended " + moment(at, now), "in 7 days"},
		{wire.Proposal{State: "accepted", Expires: ends, Decided: 9}, "decided at seqno 9", "0001"},
	} {
		if got := voting(c.p, now); !strings.Contains(got, c.says) || strings.Contains(got, c.lack) {
			t.Errorf("%s: %q, expected %q", c.p.State, got, c.says)
		}
	}
}
