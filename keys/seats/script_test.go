package seats_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/keys/ristretto"
	"github.com/cocoframework/coco/keys/seats"
)

// script plays the machines of a network and its ledger. What a machine asks for is committed at once, unless the script says otherwise; messages wait until they are
// delivered or dropped.
type script struct {
	t        *testing.T
	machines map[int]*seats.Machine
	actors   []coco.ActorID // in order; actor i has node i, if that runs
	trusted  []int
	leader   int
	seqno    uint64
	need     bool
	urgent   bool
	running  *seats.Running
	acting   []int // of the next ceremony
	fresh    bool  // the next ceremony makes a new key
	newest   *seats.Committee
	key      []ristretto.Point // of newest
	archive  keys.Secret
	number   uint64
	expires  bool
	made     *committee.Committee // newest
	epochs   []epoch              // the first is epoch 1
	lost     map[int]bool         // those that the archive does not give
	packages map[string]bool      // that were encrypted to actors
	mute     map[int]bool         // nodes whose statements get lost
	abandon  bool                 // installations get lost
	wire     []sent
	out      strings.Builder
}

// epoch is an epoch that was announced to a committee.
type epoch struct {
	committee uint64
	secret    keys.Secret
	sealing   seats.Sealing
}

type sent struct {
	from, to int
	message  seats.Message
}

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{machines: map[int]*seats.Machine{}, mute: map[int]bool{}, lost: map[int]bool{}, seqno: 1}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.t = t
			s.out.Reset()
			s.run(d)
			if s.out.Len() == 0 {
				return "ok\n"
			}
			return s.out.String()
		})
	})
}

func id(n int) coco.NodeID { return coco.NodeID{byte(n)} }

func (s *script) say(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

func (s *script) run(d *datadriven.TestData) {
	arg := func(name string, otherwise int) int {
		if d.HasArg(name) {
			d.ScanArgs(s.t, name, &otherwise)
		}
		return otherwise
	}
	switch d.Cmd {
	case "network": // nodes=N: as many actors, and node 1 leads
		for n := 1; n <= arg("nodes", 3); n++ {
			s.machines[n] = seats.New(id(n))
			s.trusted = append(s.trusted, n)
			s.actors = append(s.actors, sha256.Sum256([]byte{byte(n)}))
		}
		slices.SortFunc(s.actors, func(a, b coco.ActorID) int { return slices.Compare(a[:], b[:]) })
		s.leader = 1
	case "need": // acting=1.2.1 new urgent: a ceremony is needed, those nodes act in it; 12 is another node of the actor of node 2
		s.need, s.fresh, s.urgent, s.acting = true, d.HasArg("new"), d.HasArg("urgent"), nil
		var list string
		d.ScanArgs(s.t, "acting", &list)
		for _, a := range strings.Split(list, ".") {
			n, err := strconv.Atoi(a)
			if err != nil {
				s.t.Fatal(err)
			}
			s.acting = append(s.acting, n)
		}
	case "tick": // id=N times=M: all nodes, or one
		for range arg("times", 1) {
			s.out.Reset() // the last one shows
			for _, n := range s.nodes() {
				if arg("id", n) == n {
					s.step(n, seats.Tick{})
				}
			}
		}
	case "play": // until nothing is said any more
		for s.round() {
		}
	case "round": // each node is stepped once
		s.round()
	case "deliver": // to=N
		s.deliver(arg("to", 0))
	case "drop":
		s.wire = nil
	case "elect":
		s.leader = arg("id", 0)
	case "mute":
		s.mute[arg("id", 0)] = true
	case "abandon": // what installs is not committed, until "commit"
		s.abandon = true
	case "commit":
		s.abandon = false
	case "pass": // seqnos=N: other transactions
		s.seqno += uint64(arg("seqnos", 0))
	case "crash": // id=N replaced=M: its packages are lost, and another node comes in its place
		delete(s.machines, arg("id", 0))
		s.trusted = slices.DeleteFunc(s.trusted, func(n int) bool { return n == arg("id", 0) })
		if n := arg("replaced", 0); n != 0 {
			s.machines[n] = seats.New(id(n))
			s.trusted = append(s.trusted, n)
			slices.Sort(s.trusted)
		}
	case "ask": // from=N to=M committee=C epoch=E archive times=N
		for range arg("times", 1) {
			s.step(arg("to", 0), seats.Received{From: id(arg("from", 0)), Message: seats.Wanted{Lock: s.lock(d, arg)}})
		}
	case "fill": // from=N to=M committee=C epochs=E: node N wants parts in epochs 1 to E
		given := 0
		for n := range arg("epochs", 0) {
			s.step(arg("to", 0), seats.Received{From: id(arg("from", 0)), Message: seats.Wanted{Lock: seats.Lock{Committee: uint64(arg("committee", 0)), Epoch: uint64(n + 1)}}})
		}
		given = strings.Count(s.out.String(), "its parts")
		refused := strings.Count(s.out.String(), "too often")
		s.out.Reset()
		s.say("%d given, %d refused", given, refused)
	case "expires": // nodes give up the secrets of old epochs
		s.expires = true
	case "announce": // times=N: epochs that are sealed to the committee in force
		for range arg("times", 1) {
			s.announce()
		}
	case "lose": // epoch=E: the archive does not give it
		s.lost[arg("epoch", 0)] = true
	case "regain": // epoch=E: it does again
		delete(s.lost, arg("epoch", 0))
	case "want": // id=N epoch=E ahead=M: and so many after it
		w := seats.Want{Epoch: uint64(arg("epoch", 0))}
		for n := range arg("ahead", 0) {
			w.Ahead = append(w.Ahead, w.Epoch+uint64(n)+1)
		}
		s.step(arg("id", 0), w)
	case "waiting": // id=N epoch=E
		w, ok := s.machines[arg("id", 0)].Waiting(uint64(arg("epoch", 0)), s.state(arg("id", 0)))
		if !ok {
			s.say("no opening")
			return
		}
		s.say("%d of %d parts after %d ticks", w.Have, w.Need, w.Ticks)
		for _, missing := range w.Missing {
			s.say("seat %d: %s", missing.Seat, [...]string{"", "no node", "silent", "denied", "wrong"}[missing.Reason])
		}
	case "spoil": // from=N: the parts that node N has sent are wrong
		for _, m := range s.wire {
			if g, ok := m.message.(seats.Given); ok && m.from == arg("from", 0) {
				g.Parts[0].Share[0] ^= 1
			}
		}
	case "forge": // from=N to=M of=S: a part of seat S that is none
		part := committee.Part{}
		part.Partial.Holder = uint32(arg("of", 1))
		s.step(arg("to", 0), seats.Received{From: id(arg("from", 0)), Message: seats.Given{Lock: seats.Lock{Committee: s.newest.Number, Epoch: uint64(arg("epoch", 0))}, Parts: []committee.Part{part}}})
	case "hold":
		for _, n := range s.nodes() {
			number, held := s.machines[n].Holds()
			s.say("%d holds of committee %d the seats %v", n, number, held)
		}
	default:
		s.t.Fatalf("no command %q", d.Cmd)
	}
}

func (s *script) nodes() []int { return slices.Sorted(maps.Keys(s.machines)) }

func (s *script) round() (spoke bool) {
	for _, n := range s.nodes() {
		spoke = s.step(n, seats.Committed{}) || spoke
	}
	return spoke
}

func (s *script) deliver(to int) {
	wire := s.wire
	s.wire = nil
	for _, m := range wire {
		switch {
		case to != 0 && m.to != to:
			s.wire = append(s.wire, m)
		case s.machines[m.to] != nil:
			s.step(m.to, seats.Received{From: id(m.from), Message: m.message})
		}
	}
}

func (s *script) state(n int) seats.State {
	st := seats.State{Leading: n == s.leader, Leader: id(s.leader), Newest: s.newest, Running: s.running, Need: s.need && s.running == nil, Urgent: s.urgent, Expires: s.expires}
	if s.running != nil {
		_, closable := s.running.Ceremony.Phase()
		st.Closable = s.seqno+1 >= closable
	}
	for _, t := range s.trusted {
		st.Nodes = append(st.Nodes, id(t))
	}
	return st
}

// step steps a machine, and says whether the ledger or a node heard of it.
func (s *script) step(n int, in seats.Input) bool {
	out, err := s.machines[n].Step(in, s.state(n))
	if err != nil {
		s.say("%d: %v", n, err)
	}
	for _, fault := range out.Faults {
		s.say("%d: fault: %v", n, fault)
	}
	if out.Unopened {
		s.say("%d: the old archive does not open", n)
	}
	for _, g := range out.Gave {
		s.say("%d gives %d its parts in %s", n, g.To[0], name(g.Lock))
	}
	for _, g := range out.Refused {
		s.say("%d gives %d no part in %s: %s", n, g.To[0], name(g.Lock), g.Reason)
	}
	for _, e := range out.Messages {
		s.wire = append(s.wire, sent{n, int(e.To[0]), e.Message})
		if w, ok := e.Message.(seats.Wanted); ok {
			s.say("%d → %d: parts in %s wanted", n, e.To[0], name(w.Lock))
		}
	}
	for _, c := range out.Closed {
		s.say("%d finds epoch %d closed by archive %d", n, c.Epoch, c.Committee)
	}
	for _, o := range out.Opened {
		s.say("%d has opened epoch %d by %s", n, o.Epoch, name(o.Lock))
		if !o.Secret.Equal(s.epochs[o.Epoch-1].secret) {
			s.t.Fatal("the epoch's secret is another one")
		}
	}
	spoke := false
	for _, st := range out.Statements {
		spoke = s.commit(n, st) || spoke
	}
	return spoke
}

// commit does what a statement asks for, as the ledger would.
func (s *script) commit(n int, st seats.Statement) bool {
	switch st := st.(type) {
	case seats.Begin:
		s.begin(n)
	case seats.Speak:
		if s.mute[n] {
			return false
		}
		s.seqno++
		s.say("%d: %s", n, strings.TrimPrefix(fmt.Sprintf("%T", st.Statement), "*dkg."))
		s.apply(st.Statement)
	case seats.Close:
		s.seqno++
		phase, _ := s.running.Ceremony.Phase()
		s.say("%d closes %s", n, phase)
		s.apply(&dkg.Close{Phase: phase})
	case seats.Install:
		if s.abandon {
			return false
		}
		s.seqno++
		s.install(n, st)
	}
	return true
}

func (s *script) begin(n int) {
	session := dkg.Session{Version: s.number + 1, Attempt: 1, Receivers: s.actors, Threshold: uint32(len(s.actors)/2 + 1), Window: 20}
	if s.newest != nil && !s.fresh {
		session.Old = &dkg.Old{Holders: s.actors, Commitment: s.key}
	}
	s.number++
	s.seqno++
	c, err := dkg.Begin(session, s.seqno)
	if err != nil {
		s.t.Fatal(err)
	}
	s.running, s.need = &seats.Running{Number: s.number, Ceremony: c}, false
	s.packages = map[string]bool{}
	s.running.Encrypt = func(receiver uint32, p *committee.Package) ([]byte, error) {
		sealed := sha256.Sum256(append(p.Share.Value[:], p.Decryption[:]...)) // stands for it: nobody opens it here
		s.packages[string(sealed[:])] = true
		return sealed[:], nil
	}
	for i, a := range s.acting {
		s.running.Seats = append(s.running.Seats, seats.Seat{Node: id(a), Own: a%10 == i+1})
	}
	s.say("%d begins ceremony %d", n, s.number)
}

func (s *script) apply(st dkg.Statement) {
	before, _ := s.running.Ceremony.Phase()
	if err := s.running.Ceremony.Apply(s.seqno, st); err != nil {
		s.say("refused: %v", errors.Unwrap(err))
	}
	after, _ := s.running.Ceremony.Phase()
	if after != before {
		s.say("-- %s", after)
	}
	if after == dkg.Failed {
		for _, f := range s.running.Ceremony.Faults() {
			s.say("   actor %d was %s", slices.Index(s.actors, f.Actor)+1, f.Code)
		}
		s.running = nil
	}
}

func (s *script) install(n int, st seats.Install) {
	made, err := s.running.Ceremony.Committee()
	if err != nil {
		s.t.Fatal(err)
	}
	how := "the old archive stays closed"
	if st.Archive != nil {
		how = "with what the old archive holds"
		if !st.Archive.Equal(s.archive) {
			s.t.Fatal("the archive's secret is another one")
		}
	}
	s.say("%d installs committee %d: %s", n, st.Ceremony, how)
	label := []byte{byte(st.Ceremony)}
	var sealed *committee.Sealed
	if s.archive, sealed, err = made.Seal(label); err != nil {
		s.t.Fatal(err)
	}
	s.key, s.made = made.Key().Commitment(), made
	number, secret := st.Ceremony, s.archive
	s.newest = &seats.Committee{
		Number: number, Session: s.running.Ceremony.Digest(), Seats: s.running.Seats, Threshold: made.Threshold(), Sealing: sealing(made, sealed, label),
		Epoch: func(n uint64) (*seats.Sealing, error) {
			switch {
			case n < 1 || n > uint64(len(s.epochs)):
				return nil, fmt.Errorf("%w: no epoch %d", coco.ErrNotFound, n)
			case s.epochs[n-1].committee < number:
				return nil, nil
			}
			return &s.epochs[n-1].sealing, nil
		},
		Past: func(archive keys.Secret, epochs []uint64) (map[uint64]keys.Secret, map[uint64]error) {
			if !archive.Equal(secret) {
				s.t.Fatal("the archive's secret is another one")
			}
			out, faults := map[uint64]keys.Secret{}, map[uint64]error{}
			for _, n := range epochs {
				if s.lost[int(n)] {
					faults[n] = nil
					continue
				}
				out[n] = s.epochs[n-1].secret
			}
			return out, faults
		},
	}
	s.running = nil
}

// sealing is of what is sealed to a committee.
func sealing(c *committee.Committee, sealed *committee.Sealed, label []byte) seats.Sealing {
	return seats.Sealing{
		Part:    func(p *committee.Package) (committee.Part, error) { return c.Open(p, sealed, label) },
		Combine: func(parts []committee.Part) (keys.Secret, []error, error) { return c.Combine(sealed, label, parts) },
	}
}

// announce seals an epoch to the committee in force.
func (s *script) announce() {
	label := []byte{byte(s.newest.Number), byte(len(s.epochs) + 1)}
	secret, sealed, err := s.made.Seal(label)
	if err != nil {
		s.t.Fatal(err)
	}
	s.epochs = append(s.epochs, epoch{s.newest.Number, secret, sealing(s.made, sealed, label)})
}

func (s *script) lock(d *datadriven.TestData, arg func(string, int) int) seats.Lock {
	return seats.Lock{Committee: uint64(arg("committee", 0)), Epoch: uint64(arg("epoch", 0)), Archive: d.HasArg("archive")}
}

// name names what parts open as the scripts do.
func name(l seats.Lock) string {
	switch {
	case l.Epoch == 0:
		return fmt.Sprintf("archive %d", l.Committee)
	case l.Archive:
		return fmt.Sprintf("archive %d for epoch %d", l.Committee, l.Epoch)
	}
	return fmt.Sprintf("epoch %d", l.Epoch)
}
