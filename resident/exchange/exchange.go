// Package exchange has payloads of resident rows on the disks of their audience's nodes, and on no others.
//
//	a write ──▶ Keep: own disk, then to the other nodes of the audience ──▶ enough organisations have it ──▶ the call is submitted
//	a read  ──▶ Get: own disk, or from another node of the audience
//	Run: rows whose payloads this node lacks are fetched, the newest first; payloads that no row names are removed
//
// A payload is sent to nodes whose owners are in its audience, and is taken from such nodes alone. What comes is compared with
// its commitment, so a node that lies costs time.
//
// What a crash leaves: a payload is on the disk before its node says so, and its call is submitted after that. A call that was never
// committed leaves payloads that no row names, which go after resident.Grace.
//
// Trust: enclave
package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/peer"
	"github.com/cocoframework/coco/resident"
	"github.com/cocoframework/coco/resident/folder"
	"github.com/cocoframework/coco/store"
)

const (
	// MaxPayload is how many bytes a payload may have: it travels in one frame.
	MaxPayload = 32 << 20

	keepPatience  = 5 * time.Second // for other nodes to have a payload on their disks
	getPatience   = 2 * time.Second // of a read, before it is told to ask again
	askPatience   = 2 * time.Second // for one node to send what it is asked for
	tick          = time.Second
	window        = 32        // payloads that are fetched at a time
	renewals      = 512       // files that are looked at with each plan
	workers       = 8         // that read and write files for other nodes
	maxInbox      = 256       // frames that wait for them
	maxInboxBytes = 128 << 20 // of payloads
	// maxWaiting is how many bytes one organisation's nodes may have here of payloads whose calls may be under way.
	maxWaiting = 256 << 20
	// underWay is for how long a call may be, from the moment when this node has its payload.
	underWay = keepPatience + peer.SubmitPatience + 10*time.Second
	overhead = 512 // of a file beside its payload, about
)

// Config is what an Exchange needs of its node. The functions are called by several goroutines at a time.
type Config struct {
	Log   *slog.Logger
	Clock host.Clock
	Disk  host.Disk
	Dir   string
	Keys  folder.Keys
	Store *store.Store
	Self  coco.NodeID
	Owner coco.ActorID // of this node
	// Nodes returns the trusted nodes with their owners, this one among them. Left reports whether an organisation is in the constitution, and
	// Name returns its name.
	Nodes func() map[coco.NodeID]coco.ActorID
	Left  func(coco.ActorID) bool
	Name  func(coco.ActorID) string
	// Send queues a message for a node, and reports whether there is a connection to it.
	Send func(coco.NodeID, peer.Message) bool
	// Retention is for how long keys of an epoch that has ended are kept; 0 for ever.
	Retention func() time.Duration
	// Now is the ledger's time; zero while this node does not know that its state is the network's newest.
	Now func() time.Time
}

// frame is a message that waits for a worker.
type frame struct {
	from coco.NodeID
	m    peer.Message
}

// Exchange keeps one node's payloads. It is safe for concurrent use.
type Exchange struct {
	cfg    Config
	folder *folder.Folder
	inbox  chan frame
	queued atomic.Int64  // bytes of payloads in the inbox
	wake   chan struct{} // for Run to fetch more

	mu      sync.Mutex
	files   resident.Files              // under mu
	waiting map[coco.Digest]waiting     // files that no row has named yet, and whose calls may be under way; under mu
	shares  map[coco.ActorID]int        // their bytes, by the organisation whose node sent them; under mu
	keeps   map[coco.Digest]chan answer // of Keep; under mu
	wants   map[coco.Digest]*want       // under mu
	plan    progress                    // under mu
}

type waiting struct {
	by    coco.ActorID
	size  int
	since time.Duration // Clock.Elapsed when it came
}

// answer says whether a node has a payload.
type answer struct {
	from coco.NodeID
	has  bool
}

// New opens the folder of a node.
func New(cfg Config) (*Exchange, error) {
	f, there, err := folder.New(cfg.Disk, cfg.Dir, cfg.Keys)
	if err != nil {
		return nil, err
	}
	x := &Exchange{
		cfg: cfg, folder: f, inbox: make(chan frame, maxInbox), wake: make(chan struct{}, 1),
		files: resident.Files{}, waiting: map[coco.Digest]waiting{}, shares: map[coco.ActorID]int{}, keeps: map[coco.Digest]chan answer{}, wants: map[coco.Digest]*want{},
		plan: progress{unheld: map[coco.Digest]struct{}{}},
	}
	for _, c := range there {
		x.files[c] = time.Time{}
	}
	return x, nil
}

// Here reports whether this node's organisation is in an audience.
func (x *Exchange) Here(audience store.Audience) bool { return audience.Has(x.cfg.Owner) }

// owners returns the owners of nodes that are trusted now.
func (x *Exchange) owners(nodes []coco.NodeID) (owners []coco.ActorID) {
	all := x.cfg.Nodes()
	for _, id := range nodes {
		if owner, ok := all[id]; ok {
			owners = append(owners, owner)
		}
	}
	return owners
}

// Holders returns the organisations of an audience that trusted nodes belong to, the writer's first, and whether they are enough for a payload that
// these nodes have. The leader judges a call by it.
func (x *Exchange) Holders(audience store.Audience, nodes []coco.NodeID) (resident.Set, bool) {
	owners := x.owners(nodes)
	if len(owners) == 0 {
		return 0, false
	}
	holders := resident.SetOf(audience, owners)
	return holders, resident.Enough(audience, holders, owners[0], x.cfg.Left)
}

// put writes a payload for an organisation, unless it has its share of what waits already.
func (x *Exchange) put(c coco.Digest, payload []byte, by coco.ActorID, asked bool) error {
	x.mu.Lock()
	if _, held := x.files[c]; held {
		x.mu.Unlock()
		return nil
	}
	if size := len(payload) + overhead; !asked {
		if x.shares[by]+size > maxWaiting {
			x.mu.Unlock()
			return fmt.Errorf("%w: %d MiB of payloads of %s wait here for their transactions already: ask again", coco.ErrBusy, maxWaiting>>20, x.cfg.Name(by))
		}
		x.release(c)
		x.waiting[c] = waiting{by, size, x.cfg.Clock.Elapsed()}
		x.shares[by] += size
	}
	x.mu.Unlock()
	err := x.folder.Put(payload)
	x.mu.Lock()
	defer x.mu.Unlock()
	if err != nil {
		x.release(c)
		return err
	}
	x.files[c] = time.Time{}
	x.end(c)
	return nil
}

// release ends the wait of a file, because a row names it, because its call is over, or because it is gone. It needs x.mu.
func (x *Exchange) release(c coco.Digest) {
	if w, ok := x.waiting[c]; ok {
		x.shares[w.by] -= w.size
		delete(x.waiting, c)
	}
}

// Keep has a payload on the disks of enough nodes of its audience, and returns these, this one first. The error is coco.ErrBusy if too few have it in time,
// or coco.ErrInvalid for a payload that is too large; then the payload is nowhere kept.
func (x *Exchange) Keep(ctx context.Context, p *resident.Payload) (c coco.Digest, nodes []coco.NodeID, err error) {
	payload := p.Append(nil)
	if len(payload) > MaxPayload {
		return c, nil, fmt.Errorf("%w: a resident value of %d bytes: with its key at most %d travel between nodes", coco.ErrInvalid, len(p.Value), MaxPayload)
	}
	c = resident.Commit(payload)
	if err := x.put(c, payload, x.cfg.Owner, false); errors.Is(err, coco.ErrBusy) {
		return c, nil, err
	} else if err != nil {
		x.cfg.Log.Error("the disk does not take a resident payload: a write is refused", "error", err)
		return c, nil, fmt.Errorf("%w: nothing was written: this node's disk does not take the value, as its log says: ask again, or ask another node of the audience", coco.ErrBusy)
	}
	others := resident.Ask(resident.Ref{Audience: p.Audience}, x.cfg.Self, x.cfg.Nodes())
	answers := make(chan answer, len(others))
	x.mu.Lock()
	x.keeps[c] = answers
	x.mu.Unlock()
	nodes, err = x.await(ctx, p.Audience, others, &peer.Payload{Payload: payload}, answers)
	x.mu.Lock()
	delete(x.keeps, c)
	x.mu.Unlock()
	if err != nil {
		x.Drop(p.Audience, c)
	}
	return c, nodes, err
}

// await sends a payload and waits until enough nodes have it.
func (x *Exchange) await(ctx context.Context, audience store.Audience, others []coco.NodeID, m peer.Message, answers <-chan answer) ([]coco.NodeID, error) {
	nodes, left := []coco.NodeID{x.cfg.Self}, 0
	for _, id := range others {
		if x.cfg.Send(id, m) {
			left++
		}
	}
	patience := x.cfg.Clock.After(keepPatience)
	for {
		holders, enough := x.Holders(audience, nodes)
		if enough {
			return nodes, nil
		}
		if left == 0 {
			return nil, x.tooFew(audience, holders)
		}
		select {
		case a := <-answers:
			left--
			if more, _ := x.Holders(audience, append(slices.Clone(nodes), a.from)); a.has && more != holders { // one node of each organisation is named
				nodes = append(nodes, a.from)
			}
		case <-patience:
			left = 0
		case <-ctx.Done():
			left = 0
		}
	}
}

func (x *Exchange) tooFew(audience store.Audience, holders resident.Set) error {
	return fmt.Errorf("%w: nothing was written: only nodes of %s have the value on their disks, and nodes of more than half of the audience must, of both where it has two: ask again once nodes of %s answer", coco.ErrBusy,
		x.names(audience, holders), x.names(audience, ^holders))
}

func (x *Exchange) names(audience store.Audience, of resident.Set) (names string) {
	for _, actor := range of.Of(audience) {
		if names != "" {
			names += ", "
		}
		names += x.cfg.Name(actor)
	}
	if names == "" {
		return "no organisation"
	}
	return names
}

// Drop removes a payload that certainly no transaction will ever name, here and at the other nodes of its audience.
func (x *Exchange) Drop(audience store.Audience, c coco.Digest) {
	x.remove(c)
	for _, id := range resident.Ask(resident.Ref{Audience: audience}, x.cfg.Self, x.cfg.Nodes()) {
		x.cfg.Send(id, &peer.PayloadWord{Commitment: c, Word: peer.PayloadDropped})
	}
}

// remove removes a file, before anybody is told that it is gone.
func (x *Exchange) remove(c coco.Digest) {
	x.mu.Lock()
	delete(x.files, c)
	x.release(c)
	x.mu.Unlock()
	if err := x.folder.Remove(c); err != nil {
		x.cfg.Log.Warn("a payload that no row names stays on the disk", "error", err)
	}
}

// Receive is peer.Config.Resident.
func (x *Exchange) Receive(from coco.NodeID, m peer.Message) {
	switch m := m.(type) {
	case *peer.Payload:
		if x.queued.Add(int64(len(m.Payload))) <= maxInboxBytes {
			select {
			case x.inbox <- frame{from, m}:
				return
			default:
			}
		}
		x.queued.Add(-int64(len(m.Payload)))
		x.cfg.Send(from, &peer.PayloadWord{Commitment: resident.Commit(m.Payload), Word: peer.PayloadLacked}) // or a write would wait for its patience to end
	case *peer.PayloadWord:
		switch m.Word {
		case peer.PayloadKept, peer.PayloadLacked, peer.PayloadLater:
			x.answered(from, m.Commitment, m.Word)
		case peer.PayloadWanted, peer.PayloadDropped:
			select {
			case x.inbox <- frame{from, m}:
			default:
			}
		}
	}
}

func (x *Exchange) answered(from coco.NodeID, c coco.Digest, word uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if keep := x.keeps[c]; keep != nil {
		select {
		case keep <- answer{from, word == peer.PayloadKept}:
		default: // a node that answers twice
		}
	}
	if w := x.wants[c]; w != nil && word != peer.PayloadKept && from == w.asked {
		w.later = w.later || word == peer.PayloadLater
		x.ask(w)
	}
}

// Run serves the other nodes, and fetches and removes payloads, until ctx ends.
func (x *Exchange) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for range workers {
		g.Go(func() error { return x.work(ctx) })
	}
	g.Go(func() error { return x.fetch(ctx) })
	return g.Wait()
}

func (x *Exchange) work(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-x.inbox:
			switch m := f.m.(type) {
			case *peer.Payload:
				x.payload(f.from, m.Payload)
				x.queued.Add(-int64(len(m.Payload)))
			case *peer.PayloadWord:
				if m.Word == peer.PayloadWanted {
					x.wanted(f.from, m.Commitment)
				} else {
					x.dropped(f.from, m.Commitment)
				}
			}
		}
	}
}

// payload keeps what another node has sent.
func (x *Exchange) payload(from coco.NodeID, encoded []byte) {
	p, err := resident.Parse(encoded)
	owner, trusted := x.cfg.Nodes()[from]
	if err != nil || !trusted || !p.Audience.Has(owner) || !x.Here(p.Audience) {
		x.cfg.Log.Warn("a payload that its sender or this node may not have", "node", from.Short(), "error", err)
		return
	}
	c := resident.Commit(encoded)
	x.mu.Lock()
	asked := x.wants[c] != nil
	x.mu.Unlock()
	word := uint64(peer.PayloadKept)
	if err := x.put(c, encoded, owner, asked); err != nil {
		x.cfg.Log.Warn("a payload of another node is not kept", "node", from.Short(), "error", err)
		word = peer.PayloadLacked
	}
	x.cfg.Send(from, &peer.PayloadWord{Commitment: c, Word: word})
}

// load reads a payload from the disk. A file that is damaged is removed: it counts as absent.
func (x *Exchange) load(c coco.Digest) ([]byte, resident.Payload, error) {
	encoded, err := x.folder.Get(c)
	if err == nil {
		p, err := resident.Parse(encoded)
		return encoded, p, err
	}
	if errors.Is(err, coco.ErrCorrupt) || errors.Is(err, coco.ErrNotFound) {
		x.cfg.Log.Warn("a payload on the disk is lost or damaged: fetching it from other nodes", "error", err)
		x.remove(c)
	}
	return nil, resident.Payload{}, err
}

// wanted answers a node that asks for a payload.
func (x *Exchange) wanted(from coco.NodeID, c coco.Digest) {
	x.mu.Lock()
	_, held := x.files[c]
	x.mu.Unlock()
	word := uint64(peer.PayloadLacked)
	if held {
		encoded, p, err := x.load(c)
		owner, trusted := x.cfg.Nodes()[from]
		switch {
		case err == nil && trusted && p.Audience.Has(owner):
			x.cfg.Send(from, &peer.Payload{Payload: encoded})
			return
		case err != nil && !x.gone(c):
			word = peer.PayloadLater
		}
	}
	x.cfg.Send(from, &peer.PayloadWord{Commitment: c, Word: word})
}

// dropped removes what another node says will never be named, unless a row names it.
func (x *Exchange) dropped(from coco.NodeID, c coco.Digest) {
	x.mu.Lock()
	w, ok := x.waiting[c]
	x.mu.Unlock()
	if ok && w.by == x.cfg.Nodes()[from] {
		x.remove(c)
	}
}
