package keyset

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/cocoframework/coco/caller/callertest"
	"github.com/cocoframework/coco/gov/access"
)

// An outage is told while the keys that are known still count, though no user asks, and ends with the issuer's return.
func TestAnIssuersOutageIsToldBeforeItsUsersAreLockedOut(t *testing.T) {
	is, err := callertest.Start("coco")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(is.Stop)
	terms := access.Terms{URL: is.URL, Audience: "coco"}
	terms.Complete()
	issuers := []access.Issuer{{Name: "login", Roots: [][]byte{is.Root.Raw}, Terms: terms}}
	life, now := time.Duration(terms.KeysSeconds)*time.Second, time.Now()
	s := New(Config{Dial: func(ctx context.Context, at string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", at)
	}, Now: func() time.Time { return now }, After: time.After, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(s.Close)
	told := func() []Outage { // once the attempt has ended that asking begins
		s.Outages(issuers)
		s.mu.Lock()
		running := s.sets[nameOf(&issuers[0])].running
		s.mu.Unlock()
		if running != nil {
			<-running
		}
		return s.Outages(issuers)
	}
	if out := told(); len(out) != 0 || s.sets[nameOf(&issuers[0])].fetched.IsZero() {
		t.Fatalf("an issuer that answers: %+v", out)
	}
	fetched := now
	is.Down.Store(true)
	now = now.Add(life / 2)
	down := now
	if out := told(); len(out) != 0 {
		t.Errorf("at the first attempt that fails: %+v", out)
	}
	now = now.Add(long)
	want := Outage{Issuer: "login", Since: down, Until: fetched.Add(life)}
	if out := told(); len(out) != 1 || out[0] != want {
		t.Fatalf("after two minutes: %+v, expected %+v", out, want)
	}
	if keys, err := s.Keys(t.Context(), &issuers[0], ""); err != nil || len(keys) == 0 {
		t.Errorf("keys that are known still count: %v", err)
	}
	if out := s.Outages(nil); len(out) != 0 {
		t.Errorf("of an issuer that members have removed: %+v", out)
	}
	is.Down.Store(false)
	now = now.Add(lookEvery)
	if out := told(); len(out) != 0 {
		t.Errorf("when the issuer is back: %+v", out)
	}

	// A node that has never reached the issuer says so, too.
	other := []access.Issuer{{Name: "never", Roots: issuers[0].Roots, Terms: terms}}
	other[0].Terms.URL = "https://127.0.0.1:1"
	issuers = other
	told()
	now = now.Add(long)
	if out := told(); len(out) != 1 || out[0].Issuer != "never" || !out[0].Until.IsZero() {
		t.Errorf("of keys that were never there: %+v", out)
	}
}
