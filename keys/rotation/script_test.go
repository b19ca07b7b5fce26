package rotation_test

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/rotation"
)

// script plays the machines of a network. Messages wait until they are delivered or dropped, and what is
// proposed waits until it is committed.
type script struct {
	t        *testing.T
	machines map[int]*rotation.Machine
	rings    map[int]*keys.Ring
	trusted  []int
	leader   int
	epochs   []rotation.Announced
	known    map[int]int // so many of the epochs are in a node's own committed state
	proposed []rotation.Announced
	wire     []sent
	over     bool
	out      strings.Builder
}

type sent struct {
	from, to int
	message  rotation.Message
}

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &script{machines: map[int]*rotation.Machine{}, rings: map[int]*keys.Ring{}, known: map[int]int{}}
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
	case "network": // nodes=N: all begin with epoch 1, and node 1 leads
		secret, _, err := keys.NewEpoch(1, s.recipients(), 1)
		if err != nil {
			s.t.Fatal(err)
		}
		s.epochs, s.leader = []rotation.Announced{{Epoch: 1, Sealed: coco.Digest{1}}}, 1
		for n := 1; n <= arg("nodes", 3); n++ {
			s.start(n, map[uint64]keys.Secret{1: secret})
			s.trusted = append(s.trusted, n)
		}
	case "join": // id=N sponsor=M: with the secrets that the sponsor has
		n := arg("id", 0)
		s.start(n, s.rings[arg("sponsor", 1)].All())
		s.trusted = append(s.trusted, n)
	case "remove": // id=N: the network does not trust it any more
		s.trusted = slices.DeleteFunc(s.trusted, func(n int) bool { return n == arg("id", 0) })
	case "elect": // id=N, or 0 for none
		s.leader = arg("id", 0)
	case "propose": // id=N: it makes an epoch
		s.propose(arg("id", s.leader))
	case "commit": // to=N: what was proposed is committed, and that node (or all) hears of it
		s.epochs = append(s.epochs, s.proposed...)
		s.proposed = nil
		for _, n := range s.nodes() {
			if arg("to", n) == n {
				s.known[n] = len(s.epochs)
				s.step(n, rotation.Committed{})
			}
		}
	case "abandon": // what was proposed is not committed
		s.proposed = nil
	case "tick": // id=N times=M over: the epoch in use is as long as it may be
		s.over = d.HasArg("over")
		for range arg("times", 1) {
			s.step(arg("id", s.leader), rotation.Tick{})
		}
		s.over = false
	case "lack": // id=N epoch=E times=M
		for range arg("times", 1) {
			s.out.Reset() // the last step shows
			s.step(arg("id", 0), rotation.Lack{Epoch: uint64(arg("epoch", 0))})
		}
	case "deliver": // to=N: of the messages that wait, those for that node (or all)
		wire := s.wire
		s.wire = nil
		for _, m := range wire {
			if arg("to", m.to) == m.to {
				s.step(m.to, rotation.Received{From: id(m.from), Message: m.message})
			} else {
				s.wire = append(s.wire, m)
			}
		}
	case "drop": // to=N
		s.wire = slices.DeleteFunc(s.wire, func(m sent) bool { return arg("to", m.to) == m.to })
	case "forge": // from=N to=M epoch=E: a secret of a node's own making
		s.wire = append(s.wire, sent{arg("from", 0), arg("to", 0), &rotation.Secret{Epoch: uint64(arg("epoch", 0)), Sealed: coco.Digest{9}, Secret: keys.Secret{9}}})
	case "use": // id=N epoch=E
		s.rings[arg("id", 0)].Use(uint64(arg("epoch", 0)))
	case "rings":
		for _, n := range s.nodes() {
			used, _ := s.rings[n].Current()
			s.say("%d holds %v, seals under %d", n, slices.Sorted(maps.Keys(s.rings[n].All())), used)
		}
	default:
		s.t.Fatalf("no command %q", d.Cmd)
	}
}

func (s *script) nodes() []int { return slices.Sorted(maps.Keys(s.machines)) }

func (s *script) recipients() []keys.Recipient {
	k, err := keys.GenerateMemberKey()
	if err != nil {
		s.t.Fatal(err)
	}
	return []keys.Recipient{{Actor: coco.ActorID{1}, Key: k.Public()}}
}

func (s *script) start(n int, secrets map[uint64]keys.Secret) {
	s.rings[n] = keys.NewRing()
	for epoch, secret := range secrets {
		s.rings[n].Add(epoch, secret)
	}
	s.rings[n].Use(1)
	s.known[n] = len(s.epochs)
	s.machines[n] = rotation.New(id(n), s.rings[n])
}

func (s *script) propose(n int) {
	newest := s.epochs[len(s.epochs)-1].Epoch
	sealed, err := s.machines[n].Propose(newest, s.recipients(), 1)
	if err != nil {
		s.t.Fatal(err)
	}
	public, err := sealed.Marshal()
	if err != nil {
		s.t.Fatal(err)
	}
	s.proposed = []rotation.Announced{{Epoch: sealed.Epoch, Sealed: sha256.Sum256(public)}}
	s.say("%d proposes epoch %d", n, sealed.Epoch)
}

func (s *script) step(n int, in rotation.Input) {
	st := rotation.State{Leading: n == s.leader, Epochs: s.epochs[:s.known[n]], Over: s.over}
	if s.leader != 0 {
		st.Leader = id(s.leader)
	}
	for _, t := range s.trusted {
		st.Nodes = append(st.Nodes, id(t))
	}
	out, err := s.machines[n].Step(in, st)
	if err != nil {
		s.say("%d: %v", n, err)
	}
	for _, e := range out.Messages {
		to := int(e.To[0])
		s.wire = append(s.wire, sent{n, to, e.Message})
		switch m := e.Message.(type) {
		case *rotation.Secret:
			s.say("%d → %d: secret of epoch %d", n, to, m.Epoch)
		case rotation.Held:
			s.say("%d → %d: held", n, to)
		case rotation.Wanted:
			s.say("%d → %d: epoch %d wanted", n, to, m.Epoch)
		}
	}
	for _, statement := range out.Statements {
		if lost := statement.(rotation.Announce).Lost; lost != 0 {
			s.say("%d announces another epoch: nobody has the secret of %d", n, lost)
		} else {
			s.say("%d announces another epoch: the last one is over", n)
		}
	}
	if out.Begin != 0 {
		began := s.rings[n].Use(out.Begin)
		s.say("%d may seal under epoch %d (new: %t)", n, out.Begin, began)
	}
	if out.Lost {
		s.say("%d asks in vain", n)
	}
}
