package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/trail"
	"github.com/cocoframework/coco/wire"
)

// SubmitPatience bounds every submission.
const SubmitPatience = 30 * time.Second

// retryPause is how long a submission waits for another leader to show before it looks again.
const retryPause = 50 * time.Millisecond

// deposedPatience is how long a reply may come from a node that leads no more: what it sealed may
// be committed by its successor.
const deposedPatience = 2 * time.Second

// requests is the ledger of a forward that carries a node's own request. No adapter has this name:
// tables of this prefix are the network's own.
const requests = "coco"

// Request is what a node asks of the leader for itself.
type Request struct {
	Kind RequestKind
	Body []byte // of a Govern, Keys or Grants: the statement
	// By is who has the node ask; zero if it asks for itself. What another node asks for itself is asked by the organisation that runs
	// it, and so are statements that a node forwards without their caller, as those of the first release do.
	By coco.Caller
	// Until is closed once nobody waits for the result any more; nil means never. It does not travel as such: a forward
	// says how long its sender waits.
	Until <-chan struct{}
}

// RequestKind says what a node asks for.
type RequestKind string

// The kinds of requests, as they are on the wire. Only Govern, Keys and Grants have a body, which follows.
const (
	Retire   RequestKind = "retire"   // commit this node's retirement
	Snapshot RequestKind = "snapshot" // have every node write a snapshot
	Renew    RequestKind = "renew"    // renew this node's certificate
	Govern   RequestKind = "govern:"  // execute a governance statement
	Keys     RequestKind = "keys:"    // execute a statement of a ceremony, of a seat that this node acts for
	Grants   RequestKind = "grants:"  // write the part of a seat that this node acts for, for an auditor
)

// Leadership names the leader, as far as this node knows.
type Leadership struct {
	Leader coco.NodeID     // zero if no node does that the network trusts
	Self   bool            // this node does
	Change <-chan struct{} // closes when this may not hold any more
}

// ForwarderConfig is what a Forwarder needs of its node. The functions are called by several goroutines at a time.
type ForwarderConfig struct {
	Clock host.Clock
	Self  coco.NodeID

	// Leadership returns the leader.
	Leadership func() Leadership
	// Send queues a message for a node and reports whether there was room; see Transport.Send.
	Send func(to coco.NodeID, m Message) bool
	// Decode decodes a forwarded call's payload for a ledger.
	Decode func(ledger string, payload []byte) (any, error)
	// Submit queues calls of one ledger on this node, which leads, that a node brings: this one, or one that was trusted when its frame
	// arrived. It executes none of them once the network trusts that node no more. If it returns nil, done MUST be
	// called once, with the results or why there are none; done does not block.
	Submit func(from coco.NodeID, ledger string, calls []*adapter.Call, done func([]adapter.Result)) error
	// Owner returns the organisation that runs another node.
	Owner func(coco.NodeID) coco.ActorID
	// Request does what a node asks for, on this node, which leads. It judges the node and calls done as Submit does.
	Request func(from coco.NodeID, rq Request, done func([]adapter.Result)) error
	// Reached returns a channel that closes once a seqno is committed and applied here.
	Reached func(seqno uint64) <-chan struct{}
	// Full is told of calls that found no room on their way to the leader.
	Full func(error)
	// Log shows, at level debug, the way of each write, by the names that Trail gives them. Without a Log there is none.
	Log   *slog.Logger
	Trail *trail.Source
}

// Forwarder brings work to the leader. It alone decides between acting as the leader and asking it:
//
//	Submit, Ask ──▶ does this node lead? ── yes ──▶ ForwarderConfig.Submit, .Request
//	                        │ no                            ▲
//	                        └── Forward ──▶ the leader's ───┘
//	                            ◀── Reply ──
//
// The leader serves a forward exactly as if it were its own. A node that got one and does not lead
// any more sends it back as not committed, and the asker looks for the leader again.
//
// When a forward is lost, its outcome depends on whether it was sent: a frame that was still queued
// was not executed (coco.ErrNotCommitted), anything later is unknown (coco.ErrUnknown).
type Forwarder struct {
	cfg     ForwarderConfig
	pending pending
}

// NewForwarder returns a forwarder, to be bound before its first use.
func NewForwarder(cfg ForwarderConfig) *Forwarder {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Trail == nil {
		cfg.Trail = trail.NewSource(cfg.Self)
	}
	return &Forwarder{cfg: cfg, pending: pending{open: map[uint64]*forward{}}}
}

// Bound says how many calls, and of how many bytes of payloads, may wait for the leader's replies.
func (f *Forwarder) Bound(calls, bytes int) { f.pending.bound(calls, bytes) }

// Waiting returns how many calls wait for the leader's replies, and of how many bytes of payloads.
func (f *Forwarder) Waiting() (calls, bytes int) { return f.pending.waiting() }

// Submit sends calls of one ledger through consensus and returns once each is refused, or is
// committed and applied here. It finds the leader, and sends again what certainly was not executed, or
// may be executed twice without harm, until ctx ends.
func (f *Forwarder) Submit(ctx context.Context, ledger string, calls []*adapter.Call) []adapter.Result {
	ctx, try, cancel := f.bounded(ctx)
	defer cancel()
	for _, c := range calls {
		if c.Done == nil {
			c.Done = ctx.Done()
		}
		c.Trail = try.write
	}
	results := make([]adapter.Result, len(calls))
	open := make([]int, len(calls)) // positions that have no final result
	repeated := make([]bool, len(calls))
	for i := range calls {
		open[i] = i
	}
	for ; ; try.n++ {
		lead := f.cfg.Leadership()
		send := make([]*adapter.Call, len(open))
		for i, at := range open {
			send[i] = calls[at]
		}
		got := f.submit(ctx, try, lead, ledger, send)
		var again []int
		for i, at := range open {
			results[at] = got[i]
			results[at].Again = repeated[at]
			err := got[i].Err
			if errors.Is(err, coco.ErrNotCommitted) || calls[at].Repeatable && errors.Is(err, coco.ErrUnknown) {
				again = append(again, at)
				repeated[at] = repeated[at] || errors.Is(err, coco.ErrUnknown)
			}
		}
		if open = again; len(open) == 0 || !f.pause(ctx, lead) {
			return results
		}
	}
}

// Ask has the leader do what this node asks for, and returns once that is refused, or is committed and
// applied here. It asks again while certainly nothing was executed, until ctx ends.
func (f *Forwarder) Ask(ctx context.Context, rq Request) adapter.Result {
	ctx, try, cancel := f.bounded(ctx)
	defer cancel()
	for ; ; try.n++ {
		lead := f.cfg.Leadership()
		r := f.ask(ctx, try, lead, rq)
		if !errors.Is(r.Err, coco.ErrNotCommitted) || !f.pause(ctx, lead) {
			return r
		}
	}
}

// AskOnce is Ask without asking again: it fails with coco.ErrNotCommitted while no node leads.
func (f *Forwarder) AskOnce(ctx context.Context, rq Request) adapter.Result {
	ctx, try, cancel := f.bounded(ctx)
	defer cancel()
	return f.ask(ctx, try, f.cfg.Leadership(), rq)
}

// attempt is one of those that a submission makes.
type attempt struct {
	write trail.ID
	n     int           // how many there were before
	until time.Duration // when the submission is given up, by Clock.Elapsed
}

// bounded ends a context after SubmitPatience, and begins a submission.
func (f *Forwarder) bounded(ctx context.Context) (context.Context, attempt, context.CancelFunc) {
	write, of := f.cfg.Trail.Write(ctx)
	if of.Named() && f.follows() {
		f.follow("submitted", write, "of", of.String())
	}
	ctx, cancel := context.WithTimeout(ctx, SubmitPatience)
	return ctx, attempt{write: write, until: f.cfg.Clock.Elapsed() + SubmitPatience}, cancel
}

// follows reports whether the way of writes is shown.
func (f *Forwarder) follows() bool { return f.cfg.Log.Enabled(context.Background(), slog.LevelDebug) }

// follow shows a step of a write. No record has a key, a value or the text of an error, in which there may be one.
func (f *Forwarder) follow(step string, write trail.ID, args ...any) {
	f.cfg.Log.Debug(trail.Message, append([]any{trail.Step, step, trail.Request, write.String()}, args...)...)
}

// pause waits until another node may lead. It reports false if ctx has ended.
func (f *Forwarder) pause(ctx context.Context, lead Leadership) bool {
	select {
	case <-ctx.Done():
		return false
	case <-lead.Change:
	case <-f.cfg.Clock.After(retryPause):
	}
	return ctx.Err() == nil
}

// submit brings calls to the leader once.
func (f *Forwarder) submit(ctx context.Context, try attempt, lead Leadership, ledger string, calls []*adapter.Call) []adapter.Result {
	return f.once(ctx, try, lead, ledger, calls, func(done func([]adapter.Result)) error {
		return f.cfg.Submit(f.cfg.Self, ledger, calls, done)
	})
}

// ask brings a request to the leader once.
func (f *Forwarder) ask(ctx context.Context, try attempt, lead Leadership, rq Request) adapter.Result {
	call := &adapter.Call{Caller: rq.By, Payload: append([]byte(rq.Kind), rq.Body...)}
	return f.once(ctx, try, lead, requests, []*adapter.Call{call}, func(done func([]adapter.Result)) error {
		rq.Until = ctx.Done()
		return f.cfg.Request(f.cfg.Self, rq, done)
	})[0]
}

// once does what is asked for here, if this node leads, or forwards it to the leader.
func (f *Forwarder) once(ctx context.Context, try attempt, lead Leadership, ledger string, calls []*adapter.Call, here func(func([]adapter.Result)) error) []adapter.Result {
	switch {
	case lead.Leader == coco.NodeID{}:
		return failed(len(calls), fmt.Errorf("%w: the network has no leader at the moment", coco.ErrNotCommitted))
	case !lead.Self:
		return f.forward(ctx, try, lead.Leader, ledger, calls)
	}
	done := make(chan []adapter.Result, 1)
	if err := here(func(r []adapter.Result) { done <- r }); err != nil {
		return failed(len(calls), err)
	}
	select {
	case results := <-done:
		return results
	case <-ctx.Done():
		return failed(len(calls), fmt.Errorf("%w: not committed in time: %w", coco.ErrUnknown, ctx.Err()))
	}
}

// forward sends calls to the leader and waits for its reply.
func (f *Forwarder) forward(ctx context.Context, try attempt, leader coco.NodeID, ledger string, calls []*adapter.Call) []adapter.Result {
	id, sent, err := f.pending.add(leader, try.write.Forward(try.n), calls, try.until-f.cfg.Clock.Elapsed())
	if err != nil {
		f.cfg.Full(err)
		return failed(len(calls), err)
	}
	m := &Forward{ID: id, Ledger: ledger, Calls: make([]Call, len(calls))}
	for i, c := range calls {
		m.Calls[i] = Call{Caller: c.Caller, Payload: c.Payload}
	}
	if f.follows() {
		f.follow("forwarded", try.write, "to", leader.Short(), "calls", len(calls), "attempt", try.n+1)
	}
	if !f.cfg.Send(leader, m) {
		f.pending.remove(id, leader)
		return failed(len(calls), fmt.Errorf("%w: no connection to the leader, or no room on it", coco.ErrNotCommitted))
	}
	var late <-chan time.Time // set once another node leads
	for {
		lead := f.cfg.Leadership()
		if late == nil && lead.Leader != leader {
			late = f.cfg.Clock.After(deposedPatience)
		}
		select {
		case results := <-sent.done:
			if f.follows() {
				f.follow("replied", try.write, "from", leader.Short())
			}
			if len(results) != len(calls) {
				return failed(len(calls), results[0].Err)
			}
			return f.applied(ctx, results)
		case <-lead.Change:
		case <-late:
			f.pending.remove(id, leader)
			return failed(len(calls), fmt.Errorf("%w: node %s led when it got the call, and does not answer", coco.ErrUnknown, leader.Short()))
		case <-ctx.Done():
			f.pending.remove(id, leader)
			return failed(len(calls), fmt.Errorf("%w: the leader did not answer in time: %w", coco.ErrUnknown, ctx.Err()))
		}
	}
}

// applied waits until this node has applied what the leader answered, so that a client reads
// its own writes here.
func (f *Forwarder) applied(ctx context.Context, results []adapter.Result) []adapter.Result {
	var last uint64
	for _, r := range results {
		if r.Err == nil {
			last = max(last, r.TxID.Seqno)
		}
	}
	select {
	case <-f.cfg.Reached(last):
		return results
	case <-ctx.Done():
	}
	for i, r := range results {
		if r.Err != nil {
			continue
		}
		select {
		case <-f.cfg.Reached(r.TxID.Seqno):
		default:
			results[i] = adapter.Result{Err: fmt.Errorf("%w: committed as %s, but this node has not applied it in time", coco.ErrUnknown, r.TxID)}
		}
	}
	return results
}

// serve does what another node forwarded, if this node leads.
func (f *Forwarder) serve(from coco.NodeID, m *Forward) {
	patience, ok := patienceOf(m.ID)
	if !ok {
		patience = SubmitPatience
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience) // ends with the reply, or when nobody waits for it
	done := func(results []adapter.Result) {
		cancel()
		f.reply(from, m.ID, results)
	}
	if err := f.served(ctx, from, m, done); err != nil {
		done(failed(len(m.Calls), err))
	}
}

// deny answers what a node forwarded that may not.
func (f *Forwarder) deny(from coco.NodeID, m *Forward) {
	f.reply(from, m.ID, failed(len(m.Calls), errRemoved(from)))
}

// panicked answers what a node forwarded with which this one could not go on. It may have been queued before.
func (f *Forwarder) panicked(from coco.NodeID, m *Forward) {
	f.reply(from, m.ID, failed(len(m.Calls), fmt.Errorf("%w: the leader panicked over it", coco.ErrUnknown)))
}

func (f *Forwarder) served(ctx context.Context, from coco.NodeID, m *Forward, done func([]adapter.Result)) error {
	if m.Ledger == requests {
		rq, err := parseRequest(m)
		if err != nil {
			return err
		}
		if err := f.leads(); err != nil {
			return err
		}
		rq.By, rq.Until = m.Calls[0].Caller, ctx.Done()
		if rq.By.Actor == (coco.ActorID{}) {
			rq.By.Actor = f.cfg.Owner(from)
		}
		return f.cfg.Request(from, rq, done)
	}
	write := writeOf(from, m.ID)
	if f.follows() {
		f.follow("received", write, "from", from.Short(), "calls", len(m.Calls))
	}
	calls := make([]*adapter.Call, len(m.Calls))
	for i, c := range m.Calls {
		decoded, err := f.cfg.Decode(m.Ledger, c.Payload)
		if err != nil {
			return err
		}
		calls[i] = &adapter.Call{Caller: c.Caller, Payload: c.Payload, Decoded: decoded, Done: ctx.Done(), Trail: write}
	}
	if err := f.leads(); err != nil {
		return err
	}
	return f.cfg.Submit(from, m.Ledger, calls, done)
}

// leads returns an error if this node does not lead.
func (f *Forwarder) leads() error {
	if f.cfg.Leadership().Self {
		return nil
	}
	return fmt.Errorf("%w: node %s does not lead any more", coco.ErrNotCommitted, f.cfg.Self.Short())
}

// parseRequest reads the one call of a forward that is a node's own request.
func parseRequest(m *Forward) (Request, error) {
	if len(m.Calls) == 1 {
		payload := m.Calls[0].Payload
		for _, k := range []RequestKind{Retire, Snapshot, Renew, Govern, Keys, Grants} {
			rest, ok := bytes.CutPrefix(payload, []byte(k))
			if ok && (k == Govern || k == Keys || k == Grants || len(rest) == 0) {
				return Request{Kind: k, Body: rest}, nil
			}
		}
	}
	return Request{}, fmt.Errorf("%w: a request that this node does not know", coco.ErrInvalid)
}

func (f *Forwarder) reply(to coco.NodeID, id uint64, results []adapter.Result) {
	m := &Reply{ID: id, Results: make([]Result, len(results))}
	for i, r := range results {
		out := Result{View: r.TxID.View, Seqno: r.TxID.Seqno, Reply: r.Reply}
		if r.Err != nil {
			out.Kind, out.Reason = wire.Number(r.Err), r.Err.Error()
		}
		m.Results[i] = out
	}
	f.cfg.Send(to, m) // if it gets lost, the asker's patience ends
}

// replied hands a reply to the call that waits for it, if it still does.
func (f *Forwarder) replied(from coco.NodeID, m *Reply) {
	sent := f.pending.remove(m.ID, from)
	if sent == nil {
		return
	}
	results := make([]adapter.Result, len(m.Results))
	for i, r := range m.Results {
		results[i] = adapter.Result{
			TxID: coco.TxID{View: r.View, Seqno: r.Seqno}, Reply: r.Reply, Err: wire.FromNumber(r.Kind, r.Reason),
		}
	}
	sent.done <- results
}

// unsent ends a forward that was queued and never sent.
func (f *Forwarder) unsent(to coco.NodeID, m *Forward) {
	if sent := f.pending.remove(m.ID, to); sent != nil {
		sent.done <- []adapter.Result{{Err: fmt.Errorf("%w: no connection to the leader", coco.ErrNotCommitted)}}
	}
}

// broken ends all forwards to a node whose connection ended: whether they were executed is unknown.
func (f *Forwarder) broken(to coco.NodeID) {
	f.pending.fail(to, fmt.Errorf("%w: the connection to the leader ended", coco.ErrUnknown))
}

func failed(calls int, err error) []adapter.Result {
	out := make([]adapter.Result, calls)
	for i := range out {
		out[i].Err = err
	}
	return out
}
