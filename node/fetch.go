package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/wire"
)

// A node fetches from the others what its disk lacks: a snapshot to begin with, the entries between that and
// what it has, and chunks of the past. It does so on connections of their own, so that consensus does not
// wait behind a large file:
//
//	fetcher                                     node
//	   ── request {what, from where} ───────────▶
//	   ◀── answer {how much, or why not} ────────
//	   ◀── piece, piece, … , an empty one ───────
//
// What comes is checked by the fetcher: a snapshot by the digest that the ledger records, entries by the chain.

// What can be fetched.
const (
	fetchSnapshot = 1 // bytes of the snapshot at Index, from Offset on
	fetchEntries  = 2 // entries from Index up to, but without, To
	fetchChunk    = 3 // which entries the chunk with entry Index holds; no pieces follow
)

type fetchRequest struct {
	What   uint8  `cbor:"1,keyasint"`
	Index  uint64 `cbor:"2,keyasint"`
	To     uint64 `cbor:"3,keyasint,omitempty"`
	Offset uint64 `cbor:"4,keyasint,omitempty"`
}

type fetchAnswer struct {
	Kind   uint8  `cbor:"1,keyasint,omitempty"` // of the refusal
	Reason string `cbor:"2,keyasint,omitempty"`
	// Receipt is the snapshot's.
	Receipt []byte `cbor:"3,keyasint,omitempty"`
	First   uint64 `cbor:"4,keyasint,omitempty"` // of the chunk
	Last    uint64 `cbor:"5,keyasint,omitempty"` // of the chunk; 0 while it is being written
}

// fetchedEntry is an entry whose index is the one after that of the entry before.
type fetchedEntry struct {
	_    struct{} `cbor:",toarray"`
	View uint64
	Kind uint8
	Data []byte
}

const (
	fetchPiece  = 1 << 20          // bytes of one piece
	maxFetches  = 4                // that one node serves at a time
	fetchDialed = 10 * time.Second // for a connection and its first answer
)

// serveFetch answers one request.
func (n *node) serveFetch(ctx context.Context, conn *channel.Conn, body []byte) error {
	var rq fetchRequest
	if err := frameDecoding.Unmarshal(body, &rq); err != nil {
		return fmt.Errorf("%w: fetch request: %v", coco.ErrCorrupt, err)
	}
	select {
	case n.fetches <- struct{}{}:
		defer func() { <-n.fetches }()
	default:
		err := fmt.Errorf("%w: this node serves %d fetches already", coco.ErrBusy, maxFetches)
		return writeMessage(conn, fetchAnswer{Kind: wire.Number(err), Reason: err.Error()})
	}
	answer, pieces, end, err := n.answerFetch(rq)
	if err != nil {
		return writeMessage(conn, fetchAnswer{Kind: wire.Number(err), Reason: err.Error()})
	}
	if end != nil {
		defer end()
	}
	if err := writeMessage(conn, answer); err != nil || pieces == nil {
		return err
	}
	for ctx.Err() == nil {
		piece, err := pieces()
		if err != nil && !errors.Is(err, io.EOF) {
			return err // the fetcher sees a connection that ends early
		}
		_ = conn.SetWriteDeadline(n.cfg.Host.Clock.Now().Add(sendPatience))
		if werr := conn.WriteFrames([][]byte{append([]byte{frameFetch}, piece...)}); werr != nil || err != nil {
			return werr
		}
	}
	return ctx.Err()
}

// answerFetch says what is to be sent. The pieces end with io.EOF; then, or earlier, end is to be called, if it is set.
func (n *node) answerFetch(rq fetchRequest) (_ fetchAnswer, pieces func() ([]byte, error), end func() error, _ error) {
	switch rq.What {
	case fetchSnapshot:
		return n.sendSnapshot(rq)
	case fetchChunk:
		for _, c := range n.ledgerLog.Chunks() {
			if c.First <= rq.Index && (rq.Index <= c.Last || !c.Complete) {
				a := fetchAnswer{First: c.First}
				if c.Complete {
					a.Last = c.Last
				}
				return a, nil, nil, nil
			}
		}
		return fetchAnswer{}, nil, nil, fmt.Errorf("%w: no chunk with entry %d is here", coco.ErrMissing, rq.Index)
	case fetchEntries:
		a, pieces, err := n.sendEntries(rq)
		return a, pieces, nil, err
	}
	return fetchAnswer{}, nil, nil, fmt.Errorf("%w: fetch of kind %d", coco.ErrInvalid, rq.What)
}

// sendEntries sends committed entries.
func (n *node) sendEntries(rq fetchRequest) (fetchAnswer, func() ([]byte, error), error) {
	if applied := n.appliedIndex.Load(); rq.Index == 0 || rq.To <= rq.Index || rq.To > applied+1 {
		return fetchAnswer{}, nil, fmt.Errorf("%w: entries %d to before %d: this node has applied %d", coco.ErrNotFound, rq.Index, rq.To, applied)
	}
	if _, err := n.ledgerLog.Read(rq.Index, rq.Index+1, 0); err != nil {
		return fetchAnswer{}, nil, err
	}
	next := rq.Index
	return fetchAnswer{}, func() ([]byte, error) {
		if next == rq.To {
			return nil, io.EOF
		}
		entries, err := n.ledgerLog.Read(next, rq.To, fetchPiece)
		if err != nil {
			return nil, err
		}
		next += uint64(len(entries))
		out := make([]fetchedEntry, len(entries))
		for i, e := range entries {
			out[i] = fetchedEntry{View: e.View, Kind: uint8(e.Kind), Data: e.Data}
		}
		return cbor.Marshal(out)
	}, nil
}

// fetched is what one node sends.
type fetched struct {
	fetchAnswer
	node  *node
	conn  *channel.Conn
	from  coco.NodeID
	close func()
}

// fetch asks one node. What it returns MUST be closed.
func (n *node) fetch(ctx context.Context, from coco.NodeID, address string, rq fetchRequest) (_ *fetched, err error) {
	dial, cancel := context.WithTimeout(ctx, fetchDialed)
	defer cancel()
	conn, err := n.peers.dial(dial, &peer{id: from, address: address})
	if err != nil {
		return nil, fmt.Errorf("%w: node %s at %s: %w", coco.ErrUnreachable, from.Short(), address, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	f := &fetched{node: n, conn: conn, from: from, close: func() { stop(); _ = conn.Close() }}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	body, err := cbor.Marshal(rq)
	if err != nil {
		return nil, err
	}
	if err := conn.WriteFrames([][]byte{append([]byte{frameFetch}, body...)}); err != nil {
		return nil, err
	}
	_ = conn.SetReadDeadline(n.cfg.Host.Clock.Now().Add(fetchDialed))
	if err := readMessage(conn, &f.fetchAnswer); err != nil {
		return nil, err
	}
	if f.Kind != 0 {
		return nil, wire.FromNumber(f.Kind, f.Reason)
	}
	return f, nil
}

// piece returns what comes next, io.EOF after the last. It is valid until the next call.
func (f *fetched) piece() ([]byte, error) {
	_ = f.conn.SetReadDeadline(f.node.cfg.Host.Clock.Now().Add(sendPatience))
	frame, err := f.conn.ReadFrame()
	switch {
	case err != nil:
		return nil, fmt.Errorf("node %s stopped sending: %w", f.from.Short(), err)
	case len(frame) == 0 || frame[0] != frameFetch:
		return nil, fmt.Errorf("%w: node %s sends something else than a piece", coco.ErrCorrupt, f.from.Short())
	case len(frame) == 1:
		return nil, io.EOF
	}
	return frame[1:], nil
}

// entries returns the entries of the next piece, which begins with an index.
func (f *fetched) entries(index uint64) ([]batch.Entry, error) {
	piece, err := f.piece()
	if err != nil {
		return nil, err
	}
	return decodeEntries(piece, index)
}

// fetchAny asks the other nodes, in random order and the leader last, until one fetch succeeds.
func (n *node) fetchAny(ctx context.Context, one func(from coco.NodeID, address string) error) error {
	leader := n.leader()
	var order []coco.NodeID
	for id := range n.directory.Load().addresses {
		if id != n.id.ID() && id != leader {
			order = append(order, id)
		}
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	if leader != (coco.NodeID{}) && leader != n.id.ID() {
		order = append(order, leader)
	}
	var errs []error
	for _, id := range order {
		address, ok := n.directory.Load().addresses[id]
		if !ok {
			continue
		}
		err := one(id, address)
		if err == nil || ctx.Err() != nil {
			return err
		}
		errs = append(errs, fmt.Errorf("node %s: %w", id.Short(), err))
	}
	if len(errs) == 0 {
		return fmt.Errorf("%w: there is no other node to fetch it from", coco.ErrUnreachable)
	}
	return errors.Join(errs...)
}

// leader returns who leads, as far as this node knows.
func (n *node) leader() coco.NodeID {
	if n.loop == nil {
		return n.sponsor
	}
	return n.directory.Load().byConsensus[n.loop.state.Load().Leader]
}

// decodeEntries reads a piece of entries that begins with an index.
func decodeEntries(piece []byte, index uint64) ([]batch.Entry, error) {
	var in []fetchedEntry
	if err := frameDecoding.Unmarshal(piece, &in); err != nil {
		return nil, fmt.Errorf("%w: fetched entries: %v", coco.ErrCorrupt, err)
	}
	out := make([]batch.Entry, len(in))
	for i, e := range in {
		out[i] = batch.Entry{Index: index + uint64(i), View: e.View, Kind: batch.Kind(e.Kind), Data: e.Data}
	}
	return out, nil
}

// asConsensus converts members' names for a snapshot's header, and back.
func asConsensus(in []uint64) (out []consensus.ID) {
	for _, id := range in {
		out = append(out, consensus.ID(id))
	}
	return out
}

func fromConsensus(in []consensus.ID) (out []uint64) {
	for _, id := range in {
		out = append(out, uint64(id))
	}
	return out
}
