package store

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cocoframework/coco"
)

var acme, bank, carrier = coco.ActorID{1}, coco.ActorID{2}, coco.ActorID{3}

func audienceOf(t *testing.T, actors ...coco.ActorID) Audience {
	t.Helper()
	a, err := NewAudience(actors...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// parties returns a store with a table of rows with audiences, and writes a value for each audience under one key.
func parties(t *testing.T, audiences ...Audience) (*Store, *Scope) {
	t.Helper()
	s := New()
	c, err := s.Scope("kv", Table{Name: "kv.open", Ordered: true}, Table{Name: "kv.parties", Private: true, Ordered: true, Audience: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range audiences {
		set := s.Begin(1, 0)
		tx := set.Part(c).Begin()
		p, err := tx.For(c, a[0], a)
		if err != nil {
			t.Fatal(err)
		}
		p.Put("kv.parties", []byte("k"), fmt.Append(nil, i))
		if v, ok := p.Get("kv.parties", []byte("k")); !ok || string(v) != fmt.Sprint(i) {
			t.Errorf("the transaction reads %q, %v", v, ok)
		}
		tx.Commit()
		if err := set.Install(); err != nil {
			t.Fatal(err)
		}
		s.Commit(uint64(i + 1))
	}
	return s, c
}

func keysOf(r Reader) (keys []string) {
	r.Range("kv.parties", nil, nil, func(key, value []byte) bool {
		keys = append(keys, string(key)+"="+string(value))
		return true
	})
	return keys
}

func TestOnlyActorsOfAnAudienceReadItsRows(t *testing.T) {
	both, all := audienceOf(t, bank, acme), audienceOf(t, acme, bank, carrier)
	high := audienceOf(t, coco.ActorID(bytes.Repeat([]byte{0xff}, 32)))
	_, c := parties(t, both, all, high)
	snap := c.Snapshot()
	defer snap.Release()
	for _, x := range []struct {
		actor    coco.ActorID
		audience Audience
		want     string
	}{
		{acme, both, "0"},
		{bank, both, "0"},
		{carrier, both, ""},
		{carrier, all, "1"},
		{acme, high, ""},
		{high[0], high, "2"},
		{acme, audienceOf(t, acme), ""},
		{acme, nil, ""},
	} {
		p := snap.For(c, x.actor, x.audience)
		got, ok := p.Get("kv.parties", []byte("k"))
		if string(got) != x.want || ok != (x.want != "") {
			t.Errorf("%s of %d actors: %q, %v, expected %q", x.actor.Short(), len(x.audience), got, ok, x.want)
		}
		var want []string
		if x.want != "" {
			want = []string{"k=" + x.want}
		}
		if got := keysOf(p); !slices.Equal(got, want) {
			t.Errorf("%s of %d actors lists %q, expected %q", x.actor.Short(), len(x.audience), got, want)
		}
	}
}

func TestAnOutsiderWritesNothing(t *testing.T) {
	both := audienceOf(t, acme, bank)
	s, c := parties(t, both)
	set := s.Begin(1, 0)
	tx := set.Part(c).Begin()
	if p, err := tx.For(c, carrier, both); p != nil || !errors.Is(err, coco.ErrDenied) {
		t.Errorf("an outsider's part is %v, %v", p, err)
	}
	p, err := tx.For(c, acme, both)
	if err != nil {
		t.Fatal(err)
	}
	p.Delete("kv.parties", []byte("k"))
	if _, ok := p.Get("kv.parties", []byte("k")); ok {
		t.Error("a row that was deleted is there")
	}
	mustPanic(t, "a table without audiences", func() { p.Put("kv.open", []byte("k"), nil) })
	tx.Abort()
	mustPanic(t, "Put after the end", func() { p.Put("kv.parties", []byte("k"), nil) })
}

func TestAScopeReachesRowsWithAnAudienceForAnActorOnly(t *testing.T) {
	s, c := parties(t, audienceOf(t, acme))
	if c.Has("kv.parties") || !c.Has("kv.open") {
		t.Error("the past of rows with an audience can be read without an actor")
	}
	snap := c.Snapshot()
	defer snap.Release()
	mustPanic(t, "snapshot: Get", func() { snap.Get("kv.parties", []byte("k")) })
	mustPanic(t, "snapshot: Each", func() { _ = snap.Each("kv.parties", func(string, []byte) error { return nil }) })
	set := s.Begin(1, 0)
	part := set.Part(c)
	mustPanic(t, "part: Get", func() { part.Get("kv.parties", []byte("k")) })
	tx := part.Begin()
	mustPanic(t, "transaction: Put", func() { tx.Put("kv.parties", []byte("k"), nil) })
	mustPanic(t, "transaction: Range", func() { tx.Range("kv.parties", nil, nil, func(_, _ []byte) bool { return true }) })
}

func TestDigestsConfirmNoGuessAtARowWithAnAudience(t *testing.T) {
	digest := func() coco.Digest {
		s, _ := parties(t, audienceOf(t, acme))
		snap := s.Snapshot()
		defer snap.Release()
		return s.Digest(snap)
	}
	if one, other := digest(), digest(); one == other {
		t.Error("two states with the same rows have the same digest: their values are not salted")
	}
}

func TestTablesWithAudiencesArePrivateAndNoArchives(t *testing.T) {
	for _, tab := range []Table{{Name: "a", Audience: true}, {Name: "a", Audience: true, Private: true, Archive: true}} {
		if err := New().Create(tab); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%+v: %v", tab, err)
		}
	}
}

func TestAnAudienceHasOneEncoding(t *testing.T) {
	if _, err := NewAudience(); !errors.Is(err, coco.ErrInvalid) {
		t.Error(err)
	}
	if _, err := NewAudience(acme, bank, acme); !errors.Is(err, coco.ErrInvalid) {
		t.Error(err)
	}
	if _, err := NewAudience(make([]coco.ActorID, MaxAudience+1)...); !errors.Is(err, coco.ErrInvalid) {
		t.Error(err)
	}
	turned := slices.Concat([]byte{2}, bank[:], acme[:])
	for _, key := range [][]byte{nil, {0}, {1}, {17}, turned, slices.Concat([]byte{2}, acme[:], acme[:])} {
		if _, _, err := CutAudience(key); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%x: %v", key, err)
		}
	}
}

func FuzzAudience(f *testing.F) {
	f.Add(slices.Concat([]byte{2}, acme[:], bank[:], []byte("key")))
	f.Fuzz(func(t *testing.T, key []byte) {
		a, rest, err := CutAudience(key)
		if err != nil {
			return
		}
		if again := append(a.Append(nil), rest...); !bytes.Equal(again, key) || a.Size() != len(key)-len(rest) {
			t.Errorf("%x is encoded as %x", key, again)
		}
		if b, err := NewAudience(a...); err != nil || !slices.Equal(a, b) {
			t.Errorf("%v, %v", b, err)
		}
	})
}
