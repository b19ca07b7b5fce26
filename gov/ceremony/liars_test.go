package ceremony_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/keys/seats"
	"github.com/cocoframework/coco/store"
)

// liars is a network whose nodes are the machines that real nodes run (package seats). What one of them says is altered on its way.
type liars struct {
	*world
	nodes    []coco.NodeID // of the members, in their order
	machines map[coco.NodeID]*seats.Machine
	leader   coco.NodeID
	liar     coco.NodeID
	lie      lie
	rogue    *rogue
	read     ceremony.Book // of those that follow
	seated   *seats.Committee
	mail     []mail
	held     [][]byte                   // statements that are kept back until their phase is over
	earlier  map[string][]byte          // of the liar, in the sessions before, by step
	given    map[uint64][]seats.Message // parts of the liar, by committee
	wrong    []coco.ActorID             // whose parts were found wrong
	refused  int                        // statements that the ledger has refused
	said     int                        // statements that it has taken
}

type mail struct {
	from, to coco.NodeID
	message  seats.Message
}

// lie is what the liar does in one step of each ceremony.
type lie struct {
	step, name string
	code       dkg.Code // by which the ledger names it; empty if it names nobody
	refused    bool     // the ledger refuses what it says
	old        bool     // there is such a lie only if a key is shared anew
	// say returns what is said in the place of a statement of the step.
	say func(*liars, dkg.Statement) []dkg.Statement
	// give returns what is given in the place of parts; nil for nothing.
	give func(*liars, seats.Given) seats.Message
}

const opening = "opening"

// stepOf returns the phase that a statement belongs to.
func stepOf(st dkg.Statement) string {
	switch st.(type) {
	case *dkg.Register:
		return dkg.Registering.String()
	case *dkg.Commit:
		return dkg.Committing.String()
	case *dkg.Reveal:
		return dkg.Revealing.String()
	case *dkg.Verdict:
		return dkg.Judging.String()
	}
	return dkg.Confirming.String()
}

func newLiars(t *testing.T) *liars {
	l := &liars{world: newWorld(t), machines: map[coco.NodeID]*seats.Machine{}, earlier: map[string][]byte{}, given: map[uint64][]seats.Message{}}
	l.nodes = []coco.NodeID{l.first.ID, l.join(1, "b:1").ID, l.join(2, "c:1").ID}
	for _, id := range l.nodes {
		l.machines[id] = seats.New(id)
	}
	l.leader = l.nodes[0]
	return l
}

// state is what a node has of the ledger.
func (l *liars) state(id coco.NodeID) seats.State {
	l.t.Helper()
	s := seats.State{Leading: id == l.leader, Leader: l.leader}
	for id, state := range l.States() {
		if state == table.Trusted {
			s.Nodes = append(s.Nodes, id)
		}
	}
	slices.SortFunc(s.Nodes, func(a, b coco.NodeID) int { return bytes.Compare(a[:], b[:]) })
	if rec := l.newest(); l.seated == nil || l.seated.Number != rec.Number {
		l.seated = l.committee(rec)
	}
	s.Newest = l.seated
	l.Read(func(r store.Reader) {
		running, err := l.read.Running(r)
		if err != nil {
			s.Need = l.need() != nil
			return
		}
		s.Running = &seats.Running{Number: running.Number, Ceremony: running.Ceremony}
		to, err := ceremony.Recipients(r, &running.CeremonyRecord)
		if err != nil {
			l.t.Fatal(err)
		}
		session := running.Ceremony.Digest()
		s.Running.Encrypt = func(receiver uint32, p *committee.Package) ([]byte, error) {
			return committee.SealPackage(p, to[receiver-1], committee.Place{Of: session[:], Seat: receiver, Actor: running.Session.Receivers[receiver-1]})
		}
		for i, node := range running.Acting {
			s.Running.Seats = append(s.Running.Seats, seats.Seat{Node: node, Own: l.ownerOf(node) == running.Session.Receivers[i]})
		}
	})
	s.Closable = s.Leading && s.Running != nil && l.closable()
	return s
}

func (l *liars) committee(rec table.CommitteeRecord) *seats.Committee {
	l.t.Helper()
	c, err := rec.Committee()
	if err != nil {
		l.t.Fatal(err)
	}
	a, of, err := rec.ParseArchive(l.Audience())
	if err != nil {
		l.t.Fatal(err)
	}
	out := &seats.Committee{
		Number: rec.Number, Session: rec.Session, Threshold: rec.Threshold(),
		Sealing: seats.Sealing{
			Part: func(p *committee.Package) (committee.Part, error) { return a.Part(c, of, p) },
			Combine: func(parts []committee.Part) (keys.Secret, []error, error) {
				secret, faults, err := a.Combine(c, of, parts)
				for _, fault := range faults {
					if wrong := (*committee.PartError)(nil); errors.As(fault, &wrong) {
						l.wrong = append(l.wrong, rec.Seats[wrong.Seat-1].Actor)
					}
				}
				return secret, faults, err
			},
		},
	}
	for _, s := range rec.Seats {
		out.Seats = append(out.Seats, seats.Seat{Node: s.Node, Own: rec.Ceremony != 0 && l.ownerOf(s.Node) == s.Actor})
	}
	return out
}

// step steps a node, and reports whether the ledger has taken something that it said.
func (l *liars) step(id coco.NodeID, in seats.Input) (progress bool) {
	l.t.Helper()
	out, err := l.machines[id].Step(in, l.state(id))
	if err != nil && id != l.liar && !errors.Is(err, coco.ErrInvalid) {
		l.t.Fatal(err)
	}
	for _, e := range out.Messages {
		l.mail = append(l.mail, l.altered(id, mail{id, e.To, e.Message})...)
	}
	for _, st := range out.Statements {
		progress = l.commit(id, st) || progress
	}
	return progress
}

// altered is what the liar sends.
func (l *liars) altered(id coco.NodeID, m mail) []mail {
	g, ok := m.message.(seats.Given)
	if !ok || id != l.liar {
		return []mail{m}
	}
	l.given[g.Committee] = append(l.given[g.Committee], g)
	if l.lie.give == nil {
		return []mail{m}
	}
	if m.message = l.lie.give(l, g); m.message == nil {
		return nil
	}
	return []mail{m}
}

func (l *liars) commit(id coco.NodeID, st seats.Statement) bool {
	l.t.Helper()
	switch st := st.(type) {
	case seats.Begin:
		return l.Transact(func(tx *store.Tx) error { _, err := l.book.Begin(tx, nil); return err }) == nil
	case seats.Close:
		return l.close() == nil
	case seats.Install:
		past := archive.Past{Earlier: st.Archive}
		if st.Archive == nil {
			past.Epochs = l.secrets
		}
		err := l.Transact(func(tx *store.Tx) error {
			if _, err := l.book.Install(tx, past); err != nil {
				return err
			}
			return l.announce(tx)
		})
		return err == nil
	case seats.Speak:
		say := []dkg.Statement{st.Statement}
		if id == l.liar {
			say = l.lies(st)
		}
		progress := false
		for _, s := range say {
			raw, err := dkg.Marshal(st.Session, s)
			if err != nil {
				l.t.Fatal(err)
			}
			progress = l.tell(id, raw) || progress
		}
		return progress
	}
	return false
}

// tell has a node say something, and reports whether the ledger has taken it.
func (l *liars) tell(id coco.NodeID, raw []byte) bool {
	l.t.Helper()
	err := l.speak(id, raw)
	switch {
	case err == nil:
		l.said++
	case errors.Is(err, coco.ErrInvalid):
		l.refused++
	default:
		l.t.Fatal(err)
	}
	return err == nil
}

// lies returns what the liar says in the place of a statement.
func (l *liars) lies(st seats.Speak) []dkg.Statement {
	if step := stepOf(st.Statement); l.lie.say != nil {
		if l.rogue != nil || l.lie.step == step {
			return l.lie.say(l, st.Statement)
		}
	} else if raw, err := dkg.Marshal(st.Session, st.Statement); err == nil {
		l.earlier[step] = raw
	}
	return []dkg.Statement{st.Statement}
}

// spoken returns the statements of the ceremony that runs.
func (l *liars) spoken() (raws [][]byte) {
	l.Read(func(r store.Reader) {
		rec, _, err := table.NewestCeremony(r)
		if err != nil {
			l.t.Fatal(err)
		}
		r.Range(table.CeremoniesTable, table.StatementKey(rec.Number, 0), table.NumberKey(rec.Number+1), func(key, value []byte) bool {
			st, err := table.DecodeStatement(key, value)
			if err != nil {
				l.t.Fatal(err)
			}
			raws = append(raws, st.Raw)
			return true
		})
	})
	return raws
}

// phase returns how far the ceremony is that runs; empty if none does.
func (l *liars) phase() (phase string) {
	l.Read(func(r store.Reader) {
		if c, err := l.read.Running(r); err == nil {
			at, _ := c.Ceremony.Phase()
			phase = at.String()
		}
	})
	return phase
}

// until lets time pass until a committee is in force, and reports whether it came to be.
func (l *liars) until(number uint64, within time.Duration) bool {
	l.t.Helper()
	for begun := l.Now; l.Now.Sub(begun) < within; l.pass(seats.TickMillis * time.Millisecond) {
		progress := false
		for _, id := range l.nodes {
			progress = l.step(id, seats.Tick{}) || progress
		}
		for more := true; more; {
			more = false
			for len(l.mail) > 0 {
				i := max(0, slices.IndexFunc(l.mail, func(m mail) bool { return m.from == l.liar || m.to == l.liar })) // its part counts before it is of no use any more
				m := l.mail[i]
				l.mail = slices.Delete(l.mail, i, i+1)
				more = l.step(m.to, seats.Received{From: m.from, Message: m.message}) || more
			}
			for _, id := range l.nodes {
				more = l.step(id, seats.Committed{}) || more
			}
			progress = progress || more
		}
		if len(l.held) > 0 && l.phase() != l.lie.step {
			for _, raw := range l.held { // too late
				if l.tell(l.liar, raw) {
					l.t.Errorf("a statement of %s counts though its phase is over", l.lie.step)
				}
			}
			l.held = nil
		}
		if l.newest().Number >= number {
			return true
		}
		if phase := l.phase(); !progress && phase != "" && phase != dkg.Done.String() {
			l.pass(20 * time.Second) // it waits for somebody
		}
	}
	return false
}

// silent says nothing in a step.
func silent(step string) lie {
	return lie{step: step, name: "silence", code: dkg.Silent, say: func(*liars, dkg.Statement) []dkg.Statement { return nil }}
}

// late says what it has to say once the phase is over.
func late(step string) lie {
	return lie{step: step, name: "late", code: dkg.Silent, refused: true, say: func(l *liars, s dkg.Statement) []dkg.Statement {
		if len(l.held) == 0 {
			l.Read(func(r store.Reader) {
				c, err := l.read.Running(r)
				if err != nil {
					l.t.Fatal(err)
				}
				raw, err := dkg.Marshal(c.Ceremony.Digest(), s)
				if err != nil {
					l.t.Fatal(err)
				}
				l.held = append(l.held, raw)
			})
		}
		return nil
	}}
}

// replayed says what it has said in an earlier session: as it was, and as if it were of this one.
func replayed(step string) lie {
	return lie{step: step, name: "replay", code: dkg.Silent, refused: true, say: func(l *liars, _ dkg.Statement) []dkg.Statement {
		raw := l.earlier[step]
		if raw == nil {
			l.t.Fatalf("the liar has said nothing in an earlier %s", step)
		}
		if l.tell(l.liar, raw) {
			l.t.Errorf("a statement of another session counts in %s", step)
		}
		_, old, err := dkg.Parse(raw)
		if err != nil {
			l.t.Fatal(err)
		}
		if step == dkg.Judging.String() || step == dkg.Confirming.String() {
			return nil // one without disputes binds nothing, and a package that was confirmed before is its member's own loss
		}
		return []dkg.Statement{old}
	}}
}

// broken says something that the ledger can refuse.
func broken(step string) lie {
	return lie{step: step, name: "broken", code: dkg.Silent, refused: true, say: func(l *liars, s dkg.Statement) []dkg.Statement {
		switch s := s.(type) {
		case *dkg.Register:
			b := *s
			b.Proof[3] ^= 1
			return []dkg.Statement{&b}
		case *dkg.Commit:
			b := *s
			b.Proof[3] ^= 1
			return []dkg.Statement{&b}
		case *dkg.Reveal: // another dealing than it has committed to
			b := *s
			b.Boxes = slices.Clone(s.Boxes)
			b.Boxes[0][3] ^= 1
			return []dkg.Statement{&b}
		case *dkg.Verdict: // a dispute without a proof
			b := *s
			b.Disputes = []dkg.Dispute{{Dealer: 1}}
			return []dkg.Statement{&b}
		case *dkg.Confirm:
			b := *s
			b.Sealed = s.Sealed[:len(s.Sealed)-1]
			return []dkg.Statement{&b}
		}
		l.t.Fatalf("no lie for %T", s)
		return nil
	}}
}

// allLies are the lies in each step.
func allLies() (all []lie) {
	for _, phase := range []dkg.Phase{dkg.Registering, dkg.Committing, dkg.Revealing, dkg.Judging, dkg.Confirming} {
		step := phase.String()
		all = append(all, silent(step), late(step), replayed(step), broken(step))
	}
	all = append(all, rogueLies()...)
	return append(all,
		lie{step: opening, name: "silence", give: func(*liars, seats.Given) seats.Message { return nil }},
		lie{step: opening, name: "refusal", give: func(_ *liars, g seats.Given) seats.Message {
			return seats.Refused{Lock: seats.Lock{Committee: g.Committee}, Reason: seats.NotHeld}
		}},
		lie{step: opening, name: "wrong part", give: func(_ *liars, g seats.Given) seats.Message {
			g.Parts = slices.Clone(g.Parts)
			for i := range g.Parts {
				g.Parts[i].Share[3] ^= 1
			}
			return g
		}},
		lie{step: opening, name: "another one's part", give: func(_ *liars, g seats.Given) seats.Message {
			g.Parts = slices.Clone(g.Parts)
			for i := range g.Parts {
				g.Parts[i].Partial.Holder = g.Parts[i].Partial.Holder%3 + 1
			}
			return g
		}},
		lie{step: opening, name: "replay", give: func(l *liars, g seats.Given) seats.Message {
			for number, before := range l.given {
				if number < g.Committee {
					old := before[0].(seats.Given)
					return seats.Given{Lock: seats.Lock{Committee: g.Committee}, Parts: old.Parts}
				}
			}
			l.t.Fatal("the liar has given no part before")
			return nil
		}},
	)
}

// Whatever a node says in whichever step, of a new key and of one that is shared anew, whether or not it leads: the ledger names it and nobody else, the others have a committee soon,
// and its members open the past. Each step is hit by each lie.
func TestALiarIsNamedInEveryStepAndTheNetworkGoesOn(t *testing.T) {
	hit := map[string]int{}
	list := allLies()
	for i, x := range list {
		for _, anew := range []bool{true, false} {
			cell := fmt.Sprintf("%s, %s, shared anew: %t", x.step, x.name, anew)
			if testing.Short() && i%4 != 0 || x.old && !anew {
				continue
			}
			t.Run(cell, func(t *testing.T) {
				if lied(t, x, anew, i) {
					hit[cell]++
				}
			})
			if hit[cell] == 0 && !t.Failed() {
				t.Errorf("never hit: %s", cell)
			}
		}
	}
}

// lied plays a lie, and reports whether it was told.
func lied(t *testing.T, x lie, anew bool, seed int) bool {
	l := newLiars(t)
	who := 1 + seed%2 // the first one signs the batches of this test
	l.liar = l.nodes[who]
	for n := range uint64(2) { // of these sessions it may replay what it has said
		if n > 0 {
			l.Decide(action.Action{Kind: action.Refresh})
		}
		if !l.until(n+2, 10*time.Minute) {
			t.Fatalf("no committee %d", n+2)
		}
	}
	l.lie, l.said, l.refused = x, 0, 0
	if seed%3 == 0 && x.step != opening {
		l.leader = l.liar
	}
	if x.step != opening && x.code != dkg.Silent {
		l.rogue = newRogue()
	}
	before := l.newest()
	gave := len(l.given[before.Number])
	if anew {
		l.Decide(action.Action{Kind: action.Refresh})
	} else { // the threshold rises, and falls again later
		l.Decide(action.Action{Kind: action.Set, Args: action.Args{Setting: "shares.threshold", Value: "3"}})
	}
	if !l.until(before.Number+1, 2*time.Hour) {
		t.Fatalf("no committee follows, the newest ceremony is %s: %+v", l.ceremony().State, l.ceremony().Faults)
	}
	after := l.newest()
	if same := after.Commitment[0] == before.Commitment[0]; same != anew {
		t.Errorf("the key is the same: %t, expected %t", same, anew)
	}
	named := map[dkg.Code]bool{}
	liar := l.Members[who].Actor()
	l.Read(func(r store.Reader) {
		for n := before.Ceremony + 1; n <= after.Ceremony; n++ {
			c, err := table.Ceremony(r, n)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range c.Faults {
				if f.Actor != liar {
					t.Errorf("ceremony %d names %s, who has said the truth: %s, %s", n, f.Actor.Short(), f.Phase, f.Code)
				}
				named[f.Code] = true
			}
		}
	})
	if x.code != "" && !named[x.code] {
		t.Errorf("the ledger names the liar for %v, expected %q", named, x.code)
	}
	if x.refused && l.refused == 0 {
		t.Error("the ledger has refused nothing")
	}
	if x.give != nil && len(l.given[before.Number]) == gave && l.leader != l.liar {
		t.Error("the liar was not asked for its part")
	}
	for _, actor := range l.wrong {
		if actor != liar {
			t.Errorf("the part of %s was found wrong, who has given its own", actor.Short())
		}
	}
	if x.step == opening && (x.name == "wrong part" || x.name == "replay") && len(l.wrong) == 0 {
		t.Error("a wrong part was not named")
	}
	need := after.Threshold()
	l.same(l.recovered(l.Members[:need]...))
	l.same(l.recovered(l.Members[3-need:]...))
	if l.recovered(l.Members[:need-1]...) != nil {
		t.Error("too few members open the past")
	}
	if _, err := l.audited(); err != nil {
		t.Errorf("an audit: %v", err)
	}
	return true
}
