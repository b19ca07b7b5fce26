package ceremony_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/granting"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/grant"
	"github.com/cocoframework/coco/store"
)

// granted is a network whose members have let an auditor read epochs.
type granted struct {
	*world
	nodes   []table.NodeRecord // of the members, in their order
	auditor *govtest.Org
}

// newGranted has a committee of three nodes in force, and a vote for the epochs 1 and 2.
func newGranted(t testing.TB) *granted {
	w := newWorld(t)
	g := &granted{world: w, nodes: []table.NodeRecord{w.first, w.join(1, "b:1"), w.join(2, "c:1")}, auditor: govtest.Issue(t, "auditor", nil, true, nil)}
	w.run()
	g.vote("1-2")
	return g
}

func (g *granted) vote(epochs string) {
	g.t.Helper()
	out := g.Decide(govtest.Act(action.GrantEpochs, action.Args{Name: "kpmg", Certificate: g.auditor.Cert.Raw, EncryptionKey: g.auditor.Encryption.Public(), Epochs: epochs}))
	if out.State != table.Accepted {
		g.t.Fatalf("the proposal is %s", out.State)
	}
}

func (g *granted) seal(number uint64) error {
	return g.Transact(func(tx *store.Tx) error { return granting.Seal(tx, number) })
}

func (g *granted) load(number uint64) (out *granting.Grant) {
	g.t.Helper()
	g.Read(func(r store.Reader) {
		var err error
		if out, err = granting.Load(r, number); err != nil {
			g.t.Fatal(err)
		}
	})
	return out
}

// boxes makes the boxes of epochs for a grant's key.
func (g *granted) boxes(number uint64, epochs ...uint64) map[uint64][]byte {
	g.t.Helper()
	s, err := grant.Parse(g.load(number).Sealing.Sealing)
	if err != nil {
		g.t.Fatal(err)
	}
	out := map[uint64][]byte{}
	for _, epoch := range epochs {
		if out[epoch], err = keys.GrantEpoch(g.Audience(), epoch, g.secrets[epoch], s.Public); err != nil {
			g.t.Fatal(err)
		}
	}
	return out
}

func (g *granted) add(number uint64, boxes map[uint64][]byte) error {
	at := g.load(number).Sealing.Committee
	return g.Transact(func(tx *store.Tx) error { return granting.Add(tx, number, at, boxes) })
}

// part makes the part of a seat with the package that its node has.
func (g *granted) part(number uint64, seat uint32) *granting.Part {
	g.t.Helper()
	l := g.load(number)
	rec := g.newest()
	c, err := rec.Committee()
	if err != nil {
		g.t.Fatal(err)
	}
	s, err := grant.Parse(l.Sealing.Sealing)
	if err != nil {
		g.t.Fatal(err)
	}
	p := &granting.Part{Grant: number, Committee: l.Sealing.Committee, Seat: seat}
	if p.Box, err = s.Part(c, l.Of(g.Audience(), l.Sealing.Committee, l.Sealing.Key), g.memory[g.at(seat)].packages[seat]); err != nil {
		g.t.Fatal(err)
	}
	return p
}

// at is the node of a seat of the committee in force.
func (g *granted) at(seat uint32) coco.NodeID { return g.newest().Seats[seat-1].Node }

func (g *granted) give(from coco.NodeID, p *granting.Part) error {
	raw, err := p.Marshal()
	if err != nil {
		g.t.Fatal(err)
	}
	return g.Transact(func(tx *store.Tx) error { return granting.Give(tx, from, raw) })
}

func (g *granted) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// opens returns the epochs that the auditor reads, as the tables of an audit have it.
func (g *granted) opens(number uint64) []uint64 {
	g.t.Helper()
	a, err := g.audited()
	if err != nil {
		g.t.Fatal(err)
	}
	l, err := granting.Load(a.Tables(), number)
	if err != nil {
		g.t.Fatal(err)
	}
	c, err := l.Sealing.ToCombine()
	if err != nil {
		g.t.Fatal(err)
	}
	s, err := grant.Parse(l.Sealing.Sealing)
	if err != nil {
		g.t.Fatal(err)
	}
	parts := map[uint32][]byte{}
	for seat, p := range l.Parts {
		parts[seat] = p.Box
	}
	private, faults, err := s.Open(c, l.Of(g.Audience(), l.Sealing.Committee, l.Sealing.Key), g.auditor.Encryption, parts)
	if err != nil || len(faults) > 0 {
		g.t.Fatal(faults, err)
	}
	var out []uint64
	for epoch := l.First; epoch <= l.Last; epoch++ {
		row, ok := a.Tables().Get(table.GrantsTable, table.GrantKey(number, epoch, 0))
		if !ok {
			continue
		}
		box, err := table.DecodeGrantBox(row)
		if err != nil {
			g.t.Fatal(err)
		}
		if _, err := private.OpenGrant(g.Audience(), epoch, box.Box); err != nil {
			g.t.Fatal(err)
		}
		out = append(out, epoch)
	}
	return out
}

func TestSeatsLetAnAuditorReadWhatMembersVotedFor(t *testing.T) {
	g := newGranted(t)
	if l := g.load(1); l.Sealing != nil || l.Complete() || len(l.Missing) != 2 {
		t.Errorf("before anything is given: %+v", l)
	}
	g.must(g.seal(1))
	g.must(g.add(1, g.boxes(1, 1)))
	g.must(g.give(g.at(1), g.part(1, 1)))
	if l := g.load(1); l.Enough() || l.Complete() || !slices.Equal(l.Missing, []uint64{2}) {
		t.Errorf("one part of two: %+v", l)
	}
	g.must(g.give(g.at(3), g.part(1, 3)))
	if l := g.load(1); !l.Enough() || l.Complete() {
		t.Errorf("two parts, one box of two: %+v", l)
	}
	g.must(g.add(1, g.boxes(1, 2)))
	if l := g.load(1); !l.Complete() || l.Whole() {
		t.Errorf("two parts, all boxes: %+v", l)
	}
	if got := g.opens(1); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("the auditor reads %v", got)
	}
	g.must(g.give(g.at(2), g.part(1, 2))) // a wrong one may be among them
	if l := g.load(1); !l.Whole() {
		t.Errorf("all parts: %+v", l)
	}
	a, err := g.audited()
	if err != nil {
		t.Fatal(err)
	}
	if k := a.Keys(); k.Sealings != 1 || k.Boxes != 2 || k.Parts != 3 {
		t.Errorf("an audit counts %+v", k)
	}
	g.Read(func(r store.Reader) {
		if list, err := granting.Pending(r, g.Ms()); err != nil || len(list) != 0 {
			t.Errorf("%d grants are pending, %v", len(list), err)
		}
	})
}

// What no seat, node or leader may have written is refused, and nothing is written.
func TestWhatIsNotDueIsNotGranted(t *testing.T) {
	g := newGranted(t)
	g.must(g.seal(1))
	right := g.part(1, 1)
	other := g.at(2)
	with := func(change func(*granting.Part)) *granting.Part {
		p := *right
		change(&p)
		return &p
	}
	for name, do := range map[string]func() error{
		"a second sealing":       func() error { return g.seal(1) },
		"a grant without a vote": func() error { return g.seal(2) },
		"no box":                 func() error { return g.add(1, nil) },
		"a box of another epoch": func() error {
			g.secrets[3] = keys.Secret{1}
			defer delete(g.secrets, 3)
			return g.add(1, g.boxes(1, 3))
		},
		"a box of epoch 0":       func() error { return g.add(1, map[uint64][]byte{0: make([]byte, grant.BoxSize)}) },
		"a box that is too long": func() error { return g.add(1, map[uint64][]byte{1: make([]byte, grant.BoxSize+1)}) },
		"a box for another key": func() error {
			return g.Transact(func(tx *store.Tx) error { return granting.Add(tx, 1, 1, g.boxes(1, 1)) })
		},
		"another node's part":     func() error { return g.give(other, right) },
		"a stranger's part":       func() error { return g.give(coco.NodeID{9}, right) },
		"a part of another seat":  func() error { return g.give(g.at(1), with(func(p *granting.Part) { p.Seat = 2 })) },
		"a part of seat 0":        func() error { return g.give(g.at(1), with(func(p *granting.Part) { p.Seat = 0 })) },
		"a part of seat 4":        func() error { return g.give(g.at(1), with(func(p *granting.Part) { p.Seat = 4 })) },
		"a part of another grant": func() error { return g.give(g.at(1), with(func(p *granting.Part) { p.Grant = 2 })) },
		"an old committee's part": func() error { return g.give(g.at(1), with(func(p *granting.Part) { p.Committee = 1 })) },
		"a part that is too long": func() error {
			return g.give(g.at(1), with(func(p *granting.Part) { p.Box = append(slices.Clone(p.Box), 0) }))
		},
		"an empty part": func() error { return g.give(g.at(1), with(func(p *granting.Part) { p.Box = nil })) },
		"no message": func() error {
			return g.Transact(func(tx *store.Tx) error { return granting.Give(tx, g.at(1), []byte{0xff}) })
		},
		"a message that is too long": func() error {
			return g.Transact(func(tx *store.Tx) error { return granting.Give(tx, g.at(1), make([]byte, 5<<10)) })
		},
	} {
		if err := do(); !errors.Is(err, coco.ErrInvalid) && !errors.Is(err, coco.ErrNotFound) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", name, err)
		}
	}
	g.must(g.add(1, g.boxes(1, 1)))
	if err := g.add(1, g.boxes(1, 1)); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("the same box again: %v", err)
	}
	g.must(g.give(g.at(1), right))
	if err := g.give(g.at(1), right); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("the same part again: %v", err)
	}
	g.must(g.Transact(func(tx *store.Tx) error { return table.RetireNode(tx, other) }))
	if err := g.give(other, g.part(1, 2)); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("the part of a node that is trusted no more: %v", err)
	}
	g.pass(granting.Millis*time.Millisecond + time.Hour)
	for name, do := range map[string]func() error{
		"a part":    func() error { return g.give(g.at(3), g.part(1, 3)) },
		"a box":     func() error { return g.add(1, g.boxes(1, 2)) },
		"a sealing": func() error { return g.seal(1) },
	} {
		if err := do(); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "ended") {
			t.Errorf("%s after the grant has ended: %v", name, err)
		}
	}
	g.Read(func(r store.Reader) {
		if list, err := granting.Pending(r, g.Ms()); err != nil || len(list) != 0 {
			t.Errorf("%d grants are pending after their end, %v", len(list), err)
		}
	})
}

// A committee that is replaced before enough of its seats have given their parts gives none any more: the grant begins anew for the next one. One that was replaced later has given enough.
func TestAGrantOutlivesItsCommittee(t *testing.T) {
	g := newGranted(t)
	g.must(g.seal(1))
	g.must(g.add(1, g.boxes(1, 1)))
	g.must(g.give(g.at(1), g.part(1, 1)))
	g.nodes[2] = g.restart(g.nodes[2])
	g.run()
	if l := g.load(1); l.Sealing.Committee != 2 || len(l.Parts) != 1 {
		t.Fatalf("%+v", l)
	}
	late := g.load(1).Sealing
	g.must(g.seal(1))
	if l := g.load(1); l.Sealing.Committee != 3 || len(l.Parts) != 0 || len(l.Missing) != 2 || string(l.Sealing.Sealing) == string(late.Sealing) {
		t.Errorf("sealed anew: %+v", l)
	}
	g.must(g.add(1, g.boxes(1, 1, 2)))
	g.must(g.give(g.at(2), g.part(1, 2)))
	g.must(g.give(g.at(3), g.part(1, 3)))
	g.nodes[1] = g.restart(g.nodes[1])
	g.run()
	if err := g.seal(1); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a grant that is complete is sealed anew: %v", err)
	}
	if got := g.opens(1); !slices.Equal(got, []uint64{1, 2}) {
		t.Errorf("the auditor reads %v", got)
	}

	// An epoch whose secret comes late is added to a key for which a committee that is gone gave enough.
	g.vote("2-3")
	g.must(g.seal(2))
	g.must(g.give(g.at(2), g.part(2, 2)))
	g.must(g.give(g.at(1), g.part(2, 1)))
	g.nodes[1] = g.restart(g.nodes[1])
	g.run()
	g.must(g.add(2, g.boxes(2, 2, 3)))
	if got := g.opens(2); !slices.Equal(got, []uint64{2, 3}) {
		t.Errorf("the auditor reads %v", got)
	}
}

// Nothing is sealed to seats that cannot give their parts: to a committee that one enclave has dealt, or while fewer seats than a threshold have their package with a node.
func TestAKeyIsSealedToSeatsThatCanGive(t *testing.T) {
	w := newWorld(t)
	g := &granted{world: w, auditor: govtest.Issue(t, "auditor", nil, true, nil)}
	g.vote("1")
	if err := g.seal(1); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "0 seats") {
		t.Errorf("a dealt committee: %v", err)
	}
	b, c := w.join(1, "b:1"), w.join(2, "c:1")
	w.run()
	g.must(g.Transact(func(tx *store.Tx) error { return table.RetireNode(tx, b.ID) }))
	g.must(g.Transact(func(tx *store.Tx) error { return table.RetireNode(tx, c.ID) }))
	if err := g.seal(1); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "1 seats") {
		t.Errorf("one seat of three is held: %v", err)
	}
}

func TestAnAuditRefusesWhatNoGrantWouldWrite(t *testing.T) {
	g := newGranted(t)
	g.vote("1")
	g.must(g.seal(1))
	sealing := len(g.Records) - 1
	g.must(g.add(1, g.boxes(1, 1, 2)))
	added := len(g.Records) - 1
	g.must(g.give(g.at(1), g.part(1, 1)))
	part := len(g.Records) - 1
	g.must(g.give(g.at(2), g.part(1, 2)))
	g.must(g.seal(2))
	second := len(g.Records) - 1
	// A second network, whose sealings and parts are of other keys.
	other := newGranted(t)
	other.must(other.seal(1))
	foreign := other.load(1).Sealing.Sealing

	on := func(tx int, change func(*table.GrantSealing)) func() error {
		return func() error { return forged(g.world, tx, table.GrantsTable, 20, change) }
	}
	onPart := func(change func(*table.GrantPart)) func() error {
		return func() error { return forged(g.world, part, table.GrantsTable, 20, change) }
	}
	onBox := func(change func(*table.GrantBox)) func() error {
		return func() error { return forged(g.world, added, table.GrantsTable, 20, change) }
	}
	sealed := func(change func(*grant.Sealing)) func() error {
		return on(sealing, func(s *table.GrantSealing) {
			in, err := grant.Parse(s.Sealing)
			g.must(err)
			change(in)
			s.Sealing, err = in.Marshal()
			g.must(err)
		})
	}
	// moved writes the rows of a transaction in other places.
	moved := func(tx int, to func(table.GrantPlace) []byte) func() error {
		return func() error {
			writes := slices.Clone(g.writes(tx))
			for i := range writes {
				p, err := table.ParseGrantKey(writes[i].Key)
				g.must(err)
				writes[i].Key = to(p)
			}
			return g.with(tx, writes)
		}
	}
	for name, c := range map[string]struct {
		text string
		do   func() error
	}{
		"a sealing for another committee":   {"is not what the grant", on(sealing, func(s *table.GrantSealing) { s.Committee++ })},
		"a sealing of another key":          {"is not what the grant", on(sealing, func(s *table.GrantSealing) { s.Key++ })},
		"a sealing of another time":         {"is not what the grant", on(sealing, func(s *table.GrantSealing) { s.Time++ })},
		"a sealing with another commitment": {"is not what the grant", on(sealing, func(s *table.GrantSealing) { s.Commitment[0] = s.Commitment[1] })},
		"a sealing with a seat less":        {"is not what the grant", on(sealing, func(s *table.GrantSealing) { s.Seats = s.Seats[1:] })},
		"a sealing with another node":       {"is not what the grant", on(sealing, func(s *table.GrantSealing) { s.Seats[0].Node[0] ^= 1 })},
		"another network's sealing":         {"its proof is wrong", on(sealing, func(s *table.GrantSealing) { s.Sealing = foreign })},
		"another grant's sealing":           {"its proof is wrong", on(second, func(s *table.GrantSealing) { s.Sealing = g.load(1).Sealing.Sealing })},
		"a sealing's proof":                 {"its proof is wrong", sealed(func(s *grant.Sealing) { s.Sealed.Ciphertext.Proof[0] ^= 1 })},
		"a sealing without boxes":           {"expected 3 boxes", sealed(func(s *grant.Sealing) { s.Sealed.Boxes = nil })},
		"a sealing with a box too long":     {"box 1 has", sealed(func(s *grant.Sealing) { s.Sealed.Boxes[0] = append(s.Sealed.Boxes[0], 0) })},
		"a sealing without a key":           {"X-Wing", sealed(func(s *grant.Sealing) { s.Public = nil })},
		"a sealing that is none":            {"sealing of a grant", on(sealing, func(s *table.GrantSealing) { s.Sealing = []byte{0xa0, 0} })},
		"a grant that nobody voted for":     {"there is no grant 9", moved(sealing, func(table.GrantPlace) []byte { return table.GrantKey(9, 0, 0) })},
		"a sealing twice":                   {"not to be sealed now", func() error { return g.with(second, g.writes(sealing)) }},

		"a box that is too short":                {"the box of epoch", onBox(func(b *table.GrantBox) { b.Box = b.Box[1:] })},
		"a box of another transaction":           {"is not what the grant", onBox(func(b *table.GrantBox) { b.Since++ })},
		"a box of an epoch that was not granted": {"is not one of 1 to 2", moved(added, func(p table.GrantPlace) []byte { return table.GrantKey(1, p.Epoch+1, 0) })},
		"boxes of another grant":                 {"whose key is not sealed", moved(added, func(p table.GrantPlace) []byte { return table.GrantKey(2, p.Epoch, 0) })},
		"a box of an epoch and a seat":           {"of an epoch and of a seat", moved(added, func(p table.GrantPlace) []byte { return table.GrantKey(1, p.Epoch, 1) })},
		"boxes again":                            {"which has one", func() error { return g.with(second, g.writes(added)) }},

		"another node's part":           {"whose package it has not", onPart(func(p *table.GrantPart) { p.Node = g.at(2) })},
		"a stranger's part":             {"not found", onPart(func(p *table.GrantPart) { p.Node[0] ^= 1 })},
		"a part of another time":        {"is not what the grant", onPart(func(p *table.GrantPart) { p.Time++ })},
		"a part that is too long":       {"a part for the auditor has", onPart(func(p *table.GrantPart) { p.Box = append(p.Box, 0) })},
		"a part of a seat that is none": {"expected 1 to 3", moved(part, func(table.GrantPlace) []byte { return table.GrantKey(1, 0, 4) })},
		"a part of another seat":        {"whose package it has not", moved(part, func(table.GrantPlace) []byte { return table.GrantKey(1, 0, 2) })},
		"a part again":                  {"has given its part", func() error { return g.with(second, g.writes(part)) }},
		"a part for another grant":      {"whose key is not sealed", moved(part, func(table.GrantPlace) []byte { return table.GrantKey(2, 0, 1) })},
		"a part that vanishes": {"", func() error {
			return g.with(second, []store.Write{{Table: table.GrantsTable, Key: table.GrantKey(1, 0, 1), Delete: true}})
		}},
		"a grant that vanishes": {"without a decision", func() error {
			return g.with(second, []store.Write{{Table: table.GrantsTable, Key: table.NumberKey(1), Delete: true}})
		}},
		"a vote that nobody cast": {"without a decision", func() error {
			b, err := canon.Marshal(g.load(1).GrantRecord)
			g.must(err)
			return g.with(second, []store.Write{{Table: table.GrantsTable, Key: table.NumberKey(3), Value: b}})
		}},
		"a row of no form": {"is none of a grant", func() error {
			return g.with(second, []store.Write{{Table: table.GrantsTable, Key: []byte("grant one"), Value: []byte{1}}})
		}},
	} {
		if err := c.do(); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: error %v, expected coco.ErrVerify about %q", name, err, c.text)
		}
	}
	if _, err := g.audited(); err != nil {
		t.Errorf("without any of it: %v", err)
	}
}

// FuzzGive: whatever a node asks for is refused with a kind, or it is the part that it may give.
func FuzzGive(f *testing.F) {
	g := newGranted(f)
	g.must(g.seal(1))
	for _, seat := range []uint32{1, 2, 3} {
		raw, err := g.part(1, seat).Marshal()
		g.must(err)
		f.Add(raw)
	}
	f.Add([]byte{0xa0})
	from := g.at(1)
	f.Fuzz(func(t *testing.T, raw []byte) {
		errKept := errors.New("it would be written")
		err := g.Try(func(tx *store.Tx) error {
			if err := granting.Give(tx, from, raw); err != nil {
				return err
			}
			p, err := granting.ParsePart(raw)
			if err != nil {
				return err
			}
			if again, err := p.Marshal(); err != nil || string(again) != string(raw) {
				t.Fatalf("what parses is written as something else: %v", err)
			}
			if p.Grant != 1 || p.Committee != 2 || p.Seat != 1 {
				t.Fatalf("a part of grant %d, committee %d, seat %d was taken", p.Grant, p.Committee, p.Seat)
			}
			return errKept
		})
		if !errors.Is(err, errKept) && !errors.Is(err, coco.ErrInvalid) && !errors.Is(err, coco.ErrNotFound) {
			t.Fatalf("error %v, expected coco.ErrInvalid", err)
		}
	})
}
