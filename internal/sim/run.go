package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco/internal/sim/trace"
	"github.com/cocoframework/coco/internal/sim/witness"
)

const (
	// patience is how long a network without faults may take to have all its nodes back, and to
	// commit a write. A connection that a partition left behind takes sim.StallLimit of it.
	patience = 2 * time.Minute
	// quiet is how long a network rests after it has healed, so that its members of consensus are
	// settled before the next machine goes.
	quiet   = 5 * time.Second
	clients = 4
)

// Config says what to play.
type Config struct {
	Seed  uint64
	Trace io.Writer // gets a line for each fault; io.Discard for none
	Log   io.Writer // gets the nodes' logs; nil for none
	// Hit is told of each step of a ceremony or a recovery that a fault has hit; nil for nobody.
	Hit func(step, fault string)
	// Events gets a line for every event that the digest covers; nil for none.
	Events io.Writer

	plan *plan // instead of the seed's
}

// run is one simulation.
type run struct {
	seed    uint64
	plan    plan
	network network
	witness *witness.Witness
	users   users
	keys    custodian

	mu      sync.Mutex
	backups map[int]map[string][]byte // old disks, by host; under mu
	excused map[int]*excuse           // nodes that may stop; under mu while faults are injected
	lies    map[int]*told             // not found out yet; under mu
	clones  int                       // machines that were given a node's disk so far: each has a name of its own; under mu
	over    bool                      // nothing more can be learned; under mu
}

// users are the clients of a run.
type users struct {
	sessions []*session
	wallet   *wallet
	stop     chan struct{} // closed when they are to end
	wait     sync.WaitGroup
}

// Run plays a seed, reports each invariant that does not hold as an error of the test, and returns the digest of all
// that happened. It MUST NOT run in parallel to anything else: the random numbers of the process become the seed's.
//
// With the overlay of package replay the digest is a function of the seed.
func Run(t *testing.T, c Config) string {
	if replayed {
		warmUp.Do(func() { play(t, Config{Trace: io.Discard, plan: &warm}) })
	}
	return play(t, c)
}

// warm has the process do once what is done at first use, and kept: it would change the order of things in the first
// run only.
var (
	warmUp sync.Once
	warm   = plan{members: 3, rounds: [][]fault{{{kind: blackout, lasts: time.Second}}}}
)

func play(t *testing.T, c Config) string {
	cryptotest.SetGlobalRandom(t, c.Seed)
	var w *witness.Witness
	synctest.Test(t, func(t *testing.T) {
		w = witness.New(t, trace.New(c.Trace, c.Events))
		over := make(chan struct{})
		defer close(over)
		defer trace.CollectAtRest(over)()
		r := &run{
			seed: c.Seed, plan: draw(c.Seed), witness: w, users: users{stop: make(chan struct{})},
			backups: map[int]map[string][]byte{}, excused: map[int]*excuse{}, lies: map[int]*told{},
		}
		r.keys.hit = c.Hit
		if c.plan != nil {
			r.plan = *c.plan
		}
		var err error
		if r.network, err = newNetwork(c.Seed, r.plan, func(host string) *slog.Logger { return w.Listen(host, c.Log) }); err != nil {
			t.Fatal(err)
		}
		r.play()
	})
	w.Judge(c.Trace)
	return w.Recorder.Digest()
}

func (r *run) play() {
	r.witness.Say("seed %d: %d members, disks sync in %v, %d rounds", r.seed, r.plan.members, r.plan.sync, len(r.plan.rounds))
	r.network.World.Tap(r.wire)
	r.open()
	if !r.aborted() {
		r.load()
		for i, faults := range r.plan.rounds {
			r.round(i, faults)
			if r.aborted() {
				break
			}
		}
	}
	close(r.users.stop)
	r.users.wait.Wait()
	if !r.aborted() {
		time.Sleep(quiet)
		r.verify()
		r.replace()
	}
	if !r.aborted() {
		r.committees()
	}
	if !r.aborted() {
		r.past()
		r.named()
		r.governed()
		r.witness.Snapshots()
		for i := range r.plan.members {
			r.reported(i, true)
		}
	}
	r.shutdown()
	if !r.aborted() {
		r.verifyLedgers()
	}
	r.witness.Sum()
}

// open starts a whole network: the first member founds it, the others join.
func (r *run) open() {
	n := &r.network
	for i := range r.plan.members {
		n.World.SetSyncDelay(hostName(i), r.plan.sync)
		how := n.Found
		if i > 0 {
			how = n.join(i)
		}
		started := n.Start(i, how)
		if err := started.Await(patience); err != nil {
			r.witness.Fail("alive", "%s, at first: %v", hostName(i), err)
			r.abort()
			return
		}
		r.network.service = started.Info().Service
		r.network.now = r.network.service
	}
	time.Sleep(quiet)
	r.backup()
}

// load starts the clients.
func (r *run) load() {
	for i := range clients {
		s := r.newSession(fmt.Sprintf("c%d", i+1), i%r.plan.members)
		r.users.sessions = append(r.users.sessions, s)
		r.users.wait.Go(func() { r.client(s) })
	}
	r.users.wallet = r.newWallet()
	r.users.wait.Go(func() { r.users.wallet.play(r.users.stop) })
}

// round plays a round's faults, heals, and sees whether the network is well.
func (r *run) round(i int, faults []fault) {
	r.witness.Say("round %d", i+1)
	var wait sync.WaitGroup
	for _, f := range faults {
		wait.Go(func() {
			time.Sleep(f.at)
			r.inject(f)
		})
	}
	done := make(chan struct{})
	wait.Go(func() { // at all times
		probe := r.newSession("probe", 0)
		defer probe.http.CloseIdleConnections()
		for {
			select {
			case <-done:
				return
			case <-time.After(time.Second):
				r.digests(probe)
			}
		}
	})
	go func() {
		time.Sleep(roundLength)
		close(done)
	}()
	wait.Wait()
	if r.aborted() {
		return
	}
	r.heal()
	if r.aborted() {
		return
	}
	before, healed := r.witness.Acknowledged(), time.Now()
	for r.witness.Acknowledged() < before+clients {
		if time.Since(healed) > patience {
			r.witness.Fail("alive", "no %d writes in %v after all faults have ended", clients, patience)
			r.abort()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	r.witness.Say("healed; writes go on after %v", time.Since(healed))
	for i := range r.plan.members {
		r.reported(i, false)
	}
	time.Sleep(quiet)
	probe := r.newSession("probe", 0)
	r.digests(probe)
	r.times(probe)
	probe.http.CloseIdleConnections()
	r.backup()
}

// digests asks one node for its last state and the others for theirs at the same seqno. Each is asked for a key, too.
func (r *run) digests(s *session) {
	first := s.rand.IntN(r.plan.members)
	path := "/node/digest"
	for i := range r.plan.members {
		host := (first + i) % r.plan.members
		a := s.askAt(host, http.MethodGet, path, nil)
		if len(a.body) > 0 { // it can be reached
			s.look(host)
		}
		if a.outcome != done {
			continue
		}
		var d struct {
			Seqno  uint64
			Digest string
		}
		if err := json.Unmarshal(a.body, &d); err != nil {
			r.witness.Fail("digest", "%s answers %s", hostName(host), a.what)
			continue
		}
		r.witness.Digest(d.Seqno, d.Digest, hostName(host))
		path = fmt.Sprintf("/node/digest?seqno=%d", d.Seqno)
	}
}

// timeTolerance is how far the ledger's time may be from the true one, once all clocks are right: a leader is believed ten seconds, and
// tells of a second ago.
const timeTolerance = 15 * time.Second

// times compares the ledger's time, as every node tells it, with the true one, and with what all clocks had reached.
func (r *run) times(s *session) {
	for i := range r.plan.members {
		st, ok := s.status(i)
		if !ok {
			continue
		}
		r.committee(i, st.Keys)
		if d := st.LedgerTime.Sub(r.network.Now()); d < -timeTolerance || d > timeTolerance && st.LedgerTime.Sub(r.network.Reached()) > timeTolerance {
			r.witness.Fail("time", "on %s the ledger's time is %v off", hostName(i), d)
		}
	}
}

// wire looks at everything that crosses the network.
func (r *run) wire(from, to string, b []byte) {
	if bytes.Contains(b, []byte(planted)) {
		r.witness.Fail("secret", "a planted secret crossed the wire from %s to %s in the clear", from, to)
	}
	r.witness.Recorder.Sent(from, to, b)
}

func (r *run) abort() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
}

func (r *run) aborted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// shutdown stops every node.
func (r *run) shutdown() {
	for _, s := range append(r.users.sessions, r.users.wallet.session()) {
		if s != nil {
			s.http.CloseIdleConnections()
		}
	}
	for i := range r.plan.members {
		running := r.network.Node(i)
		if running == nil {
			continue
		}
		stopped := running.Ended()
		if err := r.network.Halt(i); !r.aborted() && (stopped || err != nil) {
			r.witness.Fail("alive", "%s stopped (before it was asked to: %t): %v", hostName(i), stopped, err)
		}
	}
}
