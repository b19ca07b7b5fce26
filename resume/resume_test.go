package resume

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/mem"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/rotation"
	"github.com/cocoframework/coco/peer"
)

// The argument of the package comment, for every number of nodes: n voters, of whom q commit and r go on.
func TestAGenerationHasTwoNodesOfEveryMajorityAndLeavesNoQuorumBehind(t *testing.T) {
	for n := 2; n < 200; n++ {
		q, r := n/2+1, Needed(n, false)
		switch {
		case r > n || r < q:
			t.Errorf("%d of %d nodes go on, a majority is %d", r, n, q)
		case r+q-n < 2:
			t.Errorf("%d of %d nodes go on, and may have less than two of a majority", r, n)
		case 2*r-n < 2:
			t.Errorf("%d of %d nodes go on, and two generations may have less than two nodes in common", r, n)
		case n-r+1 >= q:
			t.Errorf("%d of %d nodes go on, and those that are left and a doubled one are a majority", r, n)
		}
		if all := Needed(n, true); all != max(n, r) {
			t.Errorf("%d of %d nodes go on, some of which do not vote", all, n)
		}
	}
	if Needed(1, false) <= 1 {
		t.Error("a network of one goes on by itself")
	}
}

func vault() Vault {
	disk := mem.New()
	return Vault{Disk: disk, Device: virtual.NewSealer(disk, virtual.Measure([]byte("program")))}
}

func state() *State {
	return &State{
		Network: coco.Digest{1}, Service: []byte("service"), ServiceKey: keys.SecretBytes("service key"), Origin: coco.NodeID{2}, Key: keys.SecretBytes("key"),
		Secrets: map[uint64]keys.Secret{1: {3}, 2: {4}}, Offers: []peer.Secret{{Sealed: coco.Digest{5}, Epoch: 3, Secret: keys.Secret{6}}}, View: 7,
	}
}

func TestTheSealedStateComesBack(t *testing.T) {
	v := vault()
	if got, err := v.Load(t.Context()); got != nil || err != nil {
		t.Errorf("nothing is kept: %v, %v", got, err)
	}
	if err := v.Save(t.Context(), state()); err != nil {
		t.Fatal(err)
	}
	got, err := v.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := state()
	want.Version = version
	if string(got.Key) != "key" || string(got.ServiceKey) != "service key" || got.View != 7 || got.Secrets[2] != want.Secrets[2] || got.Offers[0] != want.Offers[0] || got.Network != want.Network || got.Origin != want.Origin {
		t.Error("what is kept has changed")
	}
	if s := fmt.Sprintf("%v %+v", *got, *got); len(s) == 0 || strings.Contains(s, "service key") {
		t.Errorf("it prints: %s", s)
	}
	other := Vault{Disk: v.Disk, Device: virtual.NewSealer(v.Disk, virtual.Measure([]byte("the next release")))}
	if _, err := other.Load(t.Context()); !errors.Is(err, attest.ErrSealed) {
		t.Errorf("other code: %v", err)
	}
	f, err := v.Disk.Open(File)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(20); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if _, err := v.Load(t.Context()); !errors.Is(err, attest.ErrSealed) {
		t.Errorf("cut: %v", err)
	}
	if err := errors.Join(v.Wipe(), v.Wipe()); err != nil {
		t.Error(err)
	}
	if got, err := v.Load(t.Context()); got != nil || err != nil {
		t.Errorf("it is removed: %v, %v", got, err)
	}
}

func TestAKeeperWritesOnlyWhatHasChanged(t *testing.T) {
	v := vault()
	k := NewKeeper(v, slog.New(slog.DiscardHandler))
	ring := keys.NewRing()
	ring.Add(1, keys.Secret{1})
	if err := k.Offer(t.Context(), &rotation.Secret{Epoch: 2}); err != nil || k.Kept() {
		t.Errorf("a node that takes no part has kept an offer (%v)", err)
	}
	contents := func() string {
		f, err := v.Disk.Open(File)
		if err != nil {
			return ""
		}
		defer f.Close()
		size, _ := f.Size()
		b := make([]byte, size)
		_, _ = f.ReadAt(b, 0)
		return string(b)
	}
	now := func() *State { return &State{Network: coco.Digest{1}, Key: keys.SecretBytes("key")} }
	k.Keep(t.Context(), false, now(), ring)
	if contents() != "" {
		t.Fatal("something is kept that is not allowed")
	}
	k.Keep(t.Context(), true, now(), ring)
	first := contents()
	if k.Keep(t.Context(), true, now(), ring); first == "" || contents() != first {
		t.Error("the state is written again, and has not changed")
	}
	offer := &rotation.Secret{Sealed: coco.Digest{9}, Epoch: 2, Secret: keys.Secret{2}}
	if err := k.Offer(t.Context(), offer); err != nil || contents() == first {
		t.Errorf("an offer is not kept (%v)", err)
	}
	second := contents()
	if err := k.Offer(t.Context(), offer); err != nil || contents() != second {
		t.Errorf("an offer is kept twice (%v)", err)
	}
	ring.Add(2, keys.Secret{2})
	k.Keep(t.Context(), true, now(), ring)
	s, err := v.Load(t.Context())
	if err != nil || len(s.Offers) != 0 || s.Secrets[2] != (keys.Secret{2}) {
		t.Errorf("found %d offers and %d secrets (%v)", len(s.Offers), len(s.Secrets), err)
	}
	for i := range 3 * maxOffers {
		if err := k.Offer(t.Context(), &rotation.Secret{Sealed: coco.Digest{byte(i + 10)}, Epoch: 9}); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = v.Load(t.Context()); err != nil || len(s.Offers) != maxOffers || s.Offers[maxOffers-1].Sealed[0] != byte(3*maxOffers+9) {
		t.Errorf("found %d offers (%v)", len(s.Offers), err)
	}
	k.Keep(t.Context(), false, now(), ring)
	if contents() != "" || k.Kept() {
		t.Error("the state is kept after it is not allowed any more")
	}
	v.Disk.(*mem.Disk).Before = func(op, _ string) error {
		t.Errorf("the disk is asked to %s although nothing is there", op)
		return nil
	}
	k.Keep(t.Context(), false, now(), ring)
	v.Disk.(*mem.Disk).Before = nil
	if k.Keep(t.Context(), true, now(), ring); contents() == "" || !k.Kept() {
		t.Error("the state is not kept after it is allowed again")
	}
}

// A host may put an older ledger beside the state. The code that its constitution lists may have been removed since, because it gives secrets away.
func TestTheNewestConstitutionSaysWhichCodeMayHaveTheState(t *testing.T) {
	old, now := govtest.New(t).C, govtest.New(t).C
	v, ring := vault(), keys.NewRing()
	k := NewKeeper(v, slog.New(slog.DiscardHandler))
	keep := func(version uint64, c *constitution.Constitution) *State {
		t.Helper()
		k.Keep(t.Context(), true, &State{Decided: version, Constitution: c.Canonical()}, ring)
		s, err := v.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, c := range map[string]struct {
		state *State
		want  *constitution.Constitution
	}{
		"as old as the ledger":         {keep(1, old), old},
		"the ledger was rolled back":   {keep(2, now), now},
		"its tables are behind":        {keep(1, old), now},
		"kept by a program of before":  {&State{}, old},
		"older than the ledger":        {&State{Decided: 0, Constitution: now.Canonical()}, old},
		"it is unreadable and ignored": {&State{Decided: 1, Constitution: []byte("?")}, old},
	} {
		got, err := c.state.judge(&Ledger{Constitution: old, Decided: 1})
		if err != nil || got.Digest() != c.want.Digest() {
			t.Errorf("%s: another constitution says it (%v)", name, err)
		}
	}
	if _, err := (&State{Decided: 2, Constitution: []byte("?")}).judge(&Ledger{Constitution: old, Decided: 1}); err == nil {
		t.Error("a constitution that does not decode counts")
	}
}

func waiting(id byte, end peer.ResumeEnd, trusted ...byte) met {
	m := met{member: peer.ResumeMember{Node: coco.NodeID{id}, Certificate: coco.Digest{id}}, told: peer.ResumeTold{Waits: true, End: end, Nodes: map[coco.NodeID]string{}}}
	for _, id := range trusted {
		m.told.Nodes[coco.NodeID{id}] = fmt.Sprint(id)
	}
	return m
}

func TestTheLongestLedgerSaysWhoGoesOn(t *testing.T) {
	p := &Process{mu: host.NewLock()}
	at := func(view, index uint64) peer.ResumeEnd { return peer.ResumeEnd{View: view, Index: index} }
	old, now := []byte{1, 2, 3}, []byte{1, 2, 4}
	for name, c := range map[string]struct {
		met   []met
		group int
	}{
		"all of three":                  {[]met{waiting(1, at(1, 9), old...), waiting(2, at(1, 8), old...), waiting(3, at(1, 7), old...)}, 3},
		"two of three":                  {[]met{waiting(1, at(1, 9), old...), waiting(2, at(1, 8), old...)}, 0},
		"one was replaced":              {[]met{waiting(1, at(2, 9), now...), waiting(2, at(1, 99), old...), waiting(3, at(1, 99), old...)}, 0},
		"its successor is there":        {[]met{waiting(1, at(2, 9), now...), waiting(2, at(1, 99), old...), waiting(4, at(1, 99), old...)}, 3},
		"four of five":                  {[]met{waiting(1, at(1, 1), 1, 2, 3, 4, 5), waiting(2, at(1, 1), 1), waiting(3, at(1, 0), 1), waiting(4, at(1, 0), 1)}, 4},
		"three of five":                 {[]met{waiting(1, at(1, 1), 1, 2, 3, 4, 5), waiting(2, at(1, 1), 1), waiting(3, at(1, 0), 1)}, 0},
		"one that is no node of these":  {[]met{waiting(1, at(1, 1), 1, 2, 3), waiting(2, at(1, 0), 1), waiting(7, at(1, 0), 1)}, 0},
		"one takes part in a network":   {[]met{waiting(1, at(1, 9), old...), waiting(2, at(1, 8), old...), {told: peer.ResumeTold{Leads: true}}, waiting(3, at(1, 7), old...)}, 0},
		"one has begun with others":     {[]met{waiting(1, at(1, 9), old...), waiting(2, at(1, 8), old...), {told: peer.ResumeTold{End: at(1, 7)}}}, 0},
		"one does not vote, all of two": {[]met{allOf(waiting(1, at(1, 9), 1, 2, 3, 4)), waiting(2, at(1, 8), 1), waiting(3, at(1, 8), 1)}, 0},
	} {
		group, lacks := p.group(c.met)
		if len(group) != c.group || (lacks == "") != (c.group > 0) {
			t.Errorf("%s: %d nodes go on (%s), expected %d", name, len(group), lacks, c.group)
		}
	}
}

// An operator reads which nodes are to be started, by the addresses that the longest ledger has.
func TestANodeThatWaitsSaysForWhom(t *testing.T) {
	at := func(index uint64) peer.ResumeEnd { return peer.ResumeEnd{View: 1, Index: index} }
	began := met{told: peer.ResumeTold{End: at(7)}}
	fetches := waiting(1, at(9), 1, 2, 3)
	fetches.told.Waits = false
	for name, c := range map[string]struct {
		met  []met
		want string // of what is told; empty: nothing
	}{
		"one of two":                {[]met{waiting(1, at(9), 1, 2)}, "{1 2 2 [2] false}"},
		"two of five":               {[]met{waiting(3, at(9), 1, 2, 3, 4, 5), waiting(1, at(8), 1, 9)}, "{2 5 4 [2 4 5] false}"},
		"one that is none of these": {[]met{waiting(1, at(9), 1, 2, 3), waiting(7, at(8), 7)}, "{1 3 3 [2 3] false}"},
		"a network of one":          {[]met{waiting(1, at(9), 1)}, "{1 1 2 [] false}"},
		"others fetch a snapshot":   {[]met{fetches, waiting(2, at(9), 1, 2, 3)}, "{1 3 3 [3] false}"},
		"it fetches one itself":     {[]met{fetches, waiting(2, at(9), 1, 2, 3)}, "{1 3 3 [3] true}"},
		"it fetches, and is alone":  {[]met{fetches}, "{0 3 3 [2 3] true}"},
		"there is a leader":         {[]met{waiting(1, at(9), 1, 2), {told: peer.ResumeTold{Leads: true}}}, ""},
		"all have begun":            {[]met{began, began}, ""},
	} {
		got := ""
		p := &Process{mu: host.NewLock(), cfg: Config{Waits: func(w Waiting) { got = fmt.Sprint(w) }}, lacking: strings.HasPrefix(name, "it fetches")}
		p.tellWaits(c.met)
		if got != c.want {
			t.Errorf("%s: %s, expected %s", name, got, c.want)
		}
		if group, lacks := p.group(c.met); len(group) > 0 || lacks == "" {
			t.Errorf("%s: %d nodes go on", name, len(group))
		}
	}
}

func allOf(m met) met {
	m.told.All = true
	return m
}

// still is a clock that stands still.
type still struct{ host.Clock }

func (still) Elapsed() time.Duration { return 0 }

func TestAProcessIsOfOneGenerationAtATime(t *testing.T) {
	v := vault()
	self, other := peer.ResumeMember{Node: coco.NodeID{1}, Certificate: coco.Digest{1}}, peer.ResumeMember{Node: coco.NodeID{2}, Certificate: coco.Digest{2}}
	p := &Process{
		mu:     host.NewLock(),
		cfg:    Config{Log: slog.New(slog.DiscardHandler), Clock: still{}, Vault: v, State: state(), Ledger: &Ledger{End: peer.ResumeEnd{View: 5}}},
		member: self, begins: make(chan *peer.ResumeAsk, 1),
	}
	fine := func() error { return nil }
	ask := func(stage uint8, id byte, view uint64, members ...peer.ResumeMember) error {
		_, err := p.answer(other, &peer.ResumeAsk{Stage: stage, ID: coco.Digest{id}, View: view, Members: members}, fine)
		return err
	}
	for name, err := range map[string]error{
		"unproven code": func() error {
			_, err := p.answer(other, &peer.ResumeAsk{}, func() error { return coco.ErrVerify })
			return err
		}(),
		"no stage":                 ask(9, 1, 100, self, other),
		"a view from before":       ask(peer.ResumePromise, 1, 7, self, other),
		"without the one who asks": ask(peer.ResumePromise, 1, 100, self),
		"without this process":     ask(peer.ResumePromise, 1, 100, other, peer.ResumeMember{Node: self.Node, Certificate: coco.Digest{9}}),
		"begun without promise":    ask(peer.ResumeBegin, 1, 100, self, other),
	} {
		if err == nil {
			t.Errorf("%s: it is accepted", name)
		}
	}
	if p.accepted != nil {
		t.Error("a question that is refused has changed what the process promises")
	}
	if err := ask(peer.ResumePromise, 1, 100, self, other); err != nil {
		t.Fatal(err)
	}
	if kept, err := v.Load(t.Context()); err != nil || kept.View != 100 {
		t.Errorf("the promise is not on the disk: %v", err)
	}
	if err := ask(peer.ResumePromise, 2, 99, self, other); err == nil {
		t.Error("it promises to a generation of smaller views")
	}
	if err := ask(peer.ResumePromise, 2, 200, self, other); err != nil {
		t.Error(err)
	}
	if err := ask(peer.ResumeBegin, 1, 100, self, other); err == nil {
		t.Error("it begins with a generation that it has left")
	}
	p.recovered = &join.RecoveredError{}
	if err := ask(peer.ResumePromise, 3, 300, self, other); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("it promises after a node has shown that members have recovered the network: %v", err)
	}
	p.recovered = nil
	if p.away = true; ask(peer.ResumePromise, 3, 300, self, other) == nil {
		t.Error("it promises while it asks to be admitted")
	}
	p.away = false
	admitted := &Process{cfg: p.cfg, member: self, mu: host.NewLock()}
	if done, err := admitted.admitted(t.Context(), func(context.Context) (bool, error) { return true, nil }); !done || err != nil {
		t.Errorf("it is not admitted: %v", err)
	}
	if _, err := admitted.answer(other, &peer.ResumeAsk{Stage: peer.ResumePromise, ID: coco.Digest{4}, View: 400, Members: []peer.ResumeMember{self, other}}, fine); err == nil {
		t.Error("it promises, by its old key, after a network has admitted it")
	}
	if err := ask(peer.ResumeBegin, 2, 200); err != nil {
		t.Error(err)
	}
	if g := <-p.begins; g.ID != (coco.Digest{2}) || g.View != 200 || len(g.Members) != 2 {
		t.Errorf("it begins with %v", g)
	}
	if err := ask(peer.ResumePromise, 3, 300, self, other); err == nil {
		t.Error("it promises after it has begun")
	}
	told, err := p.answer(other, &peer.ResumeAsk{Stage: peer.ResumeMeet}, fine)
	if err != nil || told.Begun == nil || told.Waits {
		t.Errorf("a member of its generation is not told that it has begun (%v)", err)
	}
	told, err = p.answer(peer.ResumeMember{Node: other.Node}, &peer.ResumeAsk{Stage: peer.ResumeMeet}, fine)
	if err != nil || told.Begun != nil {
		t.Errorf("another process of a member is told the secrets (%v)", err)
	}
}

// A disk may take seconds to sync. Whoever waits for what is kept lets time pass meanwhile, and whether something is kept is told at once.
func TestADiskThatTakesLongStopsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, ring := vault(), keys.NewRing()
		k := NewKeeper(v, slog.New(slog.DiscardHandler))
		k.Keep(t.Context(), true, &State{Network: coco.Digest{1}}, ring)
		v.Disk.(*mem.Disk).Before = func(_, name string) error {
			if strings.HasPrefix(name, File) {
				time.Sleep(time.Second)
			}
			return nil
		}
		var both sync.WaitGroup
		both.Go(func() {
			k.Keep(t.Context(), true, &State{Network: coco.Digest{2}}, ring)
			ring.Add(1, keys.Secret{1})
			k.Keep(t.Context(), true, &State{Network: coco.Digest{2}}, ring)
		})
		time.Sleep(100 * time.Millisecond)
		both.Go(func() {
			if err := k.Offer(t.Context(), &rotation.Secret{Epoch: 2}); err != nil {
				t.Error(err)
			}
		})
		begun := time.Now()
		if kept := k.Kept(); !kept || time.Since(begun) > 0 {
			t.Errorf("kept: %t, told after %v", kept, time.Since(begun))
		}
		both.Wait()
		s, err := v.Load(t.Context())
		if err != nil || len(s.Offers) != 1 || len(s.Secrets) != 1 {
			t.Errorf("%+v, %v", s, err)
		}
	})
}

// What a process tells of its generation is encoded and sent while the process runs on, and erases secrets.
func TestWhatAProcessTellsOfItsGenerationIsTheReceivers(t *testing.T) {
	self, other := peer.ResumeMember{Node: coco.NodeID{1}, Certificate: coco.Digest{1}}, peer.ResumeMember{Node: coco.NodeID{2}, Certificate: coco.Digest{2}}
	p := &Process{
		mu:     host.NewLock(),
		cfg:    Config{Log: slog.New(slog.DiscardHandler), Clock: still{}, Vault: vault(), State: state(), Ledger: &Ledger{End: peer.ResumeEnd{View: 5}}},
		member: self, begins: make(chan *peer.ResumeAsk, 1),
	}
	ask := func(stage uint8, secrets map[uint64]keys.Secret) peer.ResumeTold {
		told, err := p.answer(other, &peer.ResumeAsk{Stage: stage, ID: coco.Digest{3}, View: 100, Members: []peer.ResumeMember{self, other}, Secrets: secrets}, func() error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		return told
	}
	promised := ask(peer.ResumePromise, nil)
	if clear(p.cfg.State.Secrets); len(promised.Secrets) != 2 {
		t.Error("what a promise tells changes with the process")
	}
	ask(peer.ResumeBegin, map[uint64]keys.Secret{1: {4}})
	begun := <-p.begins
	told, kept := ask(peer.ResumeMeet, nil), (&Node{state: state()}).State(begun)
	if clear(begun.Secrets); told.Begun == nil || len(told.Begun.Secrets) != 1 {
		t.Error("what a late member of the generation is told changes with the process")
	}
	if len(kept.Secrets) != 1 {
		t.Error("what the node keeps changes with the process")
	}
}
