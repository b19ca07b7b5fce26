package replica

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"log/slog"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/consensus/reconfig"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/pulse"
)

// follower is the loop of node 1 of a few, with an empty log.
type follower struct {
	*loop
	t     *testing.T
	clock *manual
	keys  *batch.Keys
	key   *ecdsa.PrivateKey
	round uint64 // of the last beat
}

// emptyLog is a ledger without entries.
type emptyLog struct{}

func (emptyLog) ViewOf(uint64) (uint64, bool)                               { return 0, false }
func (emptyLog) Read(uint64, uint64, int) (none []consensus.Entry, _ error) { return none, nil }

// deaf is a network that loses everything.
type deaf struct{ Network }

func (deaf) SendConsensus(consensus.Message)        {}
func (deaf) SendBeat(consensus.ID, pulse.Beat)      {}
func (deaf) Connected(consensus.ID) (there bool)    { return false }
func (f *follower) day() uint64                     { return uint64(f.clock.Now().UnixMilli()) }
func (f *follower) later(d time.Duration) uint64    { return f.day() + uint64(d.Milliseconds()) }
func (f *follower) put(from consensus.ID, b []byte) { f.recv <- received{from, b} }

func newFollower(t *testing.T, voters, learners ids) *follower {
	t.Helper()
	f := &follower{t: t, clock: &manual{}, keys: batch.NewKeys(1, [32]byte{})}
	var err error
	if f.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	machine, err := raft.New(raft.Config{
		Self: 1, Voters: voters, Members: consensus.Membership{Voters: voters, Learners: learners}, Log: emptyLog{}, ElectionTicks: electionTicks, HeartbeatTicks: heartbeatTicks,
		Accept: func(view uint64, e consensus.Entry) error { return f.accept(view, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	f.loop = &loop{
		log: slog.New(slog.DiscardHandler), clock: f.clock, machine: machine, inbox: newMailbox[event](), recv: make(chan received, 16),
		exec: newMailbox[task](), disk: newMailbox[*raft.Append](), network: deaf{}, progress: newProgress(), status: newStatus(),
		members: reconfig.New(1, electionTicks), pulse: newHeart(1),
	}
	return f
}

type ids = []consensus.ID

// hears hears from nodes with right clocks.
func (f *follower) hears(from ...consensus.ID) {
	f.t.Helper()
	for _, id := range from {
		f.tells(id, f.day())
	}
	if err := f.receive(); err != nil {
		f.t.Fatal(err)
	}
}

// tells puts a node's word of the time into the inbox.
func (f *follower) tells(from consensus.ID, at uint64) {
	f.round++
	b := pulse.Beat{Time: at, Round: f.round}
	f.inbox.put(event{do: func(l *loop) { l.hear(from, b) }})
}

// offers puts a leader's message with one batch, the first entry, and its commit index behind it.
func (f *follower) offers(from consensus.ID, view, at uint64) {
	f.t.Helper()
	data, err := batch.Seal(batch.Header{View: view, Index: 1, First: 1, Time: at, Epoch: 1, Node: coco.NodeID{1}}, []batch.Record{{}}, &merkle.Frontier{}, f.keys, f.key)
	if err != nil {
		f.t.Fatal(err)
	}
	msg, err := proto.Marshal(&pb.Message{
		Type: pb.MsgApp.Enum(), From: new(uint64(from)), To: new(uint64(1)), Term: &view, Index: new(uint64(0)), LogTerm: new(uint64(0)), Commit: new(uint64(0)),
		Entries: []*pb.Entry{{Term: &view, Index: new(uint64(1)), Data: data}},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.put(from, msg)
}

// took handles what has come, and reports whether a batch was appended.
func (f *follower) took() bool {
	f.t.Helper()
	if err := f.stepAll(<-f.recv); err != nil {
		f.t.Fatal(err)
	}
	if err := f.drainMachine(); err != nil {
		f.t.Fatal(err)
	}
	for _, a := range f.disk.receive() {
		for _, e := range a.Entries {
			if e.Kind == consensus.Batch {
				return true
			}
		}
	}
	return false
}

// A node whose clock stood still, as on a machine that slept, receives at once what others have sent meanwhile: what they say of the time counts for the batches that
// they sent afterwards.
func TestBeatsCountBeforeTheBatchesThatWereSentAfterThem(t *testing.T) {
	f := newFollower(t, ids{1, 2, 3}, nil)
	f.hears(2, 3)
	f.offers(2, 1, f.day())
	if !f.took() {
		t.Fatal("a batch of now is not taken")
	}
	f.offers(2, 2, f.later(time.Hour))
	first := <-f.recv
	f.tells(2, f.later(time.Hour))
	f.tells(3, f.later(time.Hour))
	f.recv <- first
	if !f.took() {
		t.Error("a batch is refused though a quorum's clocks had said its time before it came")
	}
}

func TestAFollowerRefusesABatchFromTheFutureAndThenDoesNotHearItsLeader(t *testing.T) {
	f := newFollower(t, ids{1, 2, 3}, nil)
	f.hears(2, 3)
	f.offers(2, 4, f.later(time.Hour))
	if f.took() {
		t.Fatal("a batch from the future is taken")
	}
	f.offers(2, 4, f.later(0))
	if f.took() {
		t.Error("its leader is heard")
	}
	f.offers(3, 3, f.later(0)) // Raft does not hear it: its term is past. It settles nothing
	f.took()
	if f.ticks = ignoreTicks - 1; !f.ignores(2) {
		t.Error("its leader is heard too early")
	}
	if f.ticks++; f.ignores(2) {
		t.Error("its leader is never heard again")
	}
	f.offers(2, 4, f.later(time.Hour))
	if !f.took() {
		t.Error("a leader that no other one replaces is refused for ever")
	}
}

// What a leader of the past says is nobody's word: neither its batch nor its time counts.
func TestALeaderOfThePastIsNotJudged(t *testing.T) {
	f := newFollower(t, ids{1, 2, 3}, nil)
	f.hears(2, 3)
	f.offers(2, 7, f.day())
	if !f.took() {
		t.Fatal("a batch of now is not taken")
	}
	f.offers(3, 6, f.later(time.Hour))
	if f.took(); f.ignores(3) || f.pulse.future.Refuses() {
		t.Error("the leader of an earlier view is judged")
	}
	f.offers(2, 7, f.later(time.Hour))
	if f.took(); !f.ignores(2) {
		t.Error("a batch from the future is taken after a leader of the past has sent one")
	}
}

// A learner catches up with a past that it cannot know; what it is told and does not keep is no word of the time.
func TestALearnerTakesWhatComes(t *testing.T) {
	f := newFollower(t, ids{2, 3}, ids{1})
	f.hears(2, 3)
	f.offers(2, 1, f.later(time.Hour))
	if !f.took() {
		t.Error("a learner refuses a batch")
	}
}
