package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/host"
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
// What comes is for the fetcher to check: a snapshot by the digest that the ledger records, entries by the chain.

// What can be fetched.
const (
	FetchSnapshot = 1 // bytes of the snapshot at Index, from Offset on
	FetchEntries  = 2 // entries from Index up to, but without, To
	FetchChunk    = 3 // which entries the chunk with entry Index holds; no pieces follow
)

// FetchRequest is the first frame of a fetch.
type FetchRequest struct {
	What   uint8  `cbor:"1,keyasint"`
	Index  uint64 `cbor:"2,keyasint"`
	To     uint64 `cbor:"3,keyasint,omitempty"`
	Offset uint64 `cbor:"4,keyasint,omitempty"`
}

// FetchAnswer is the first frame that comes back.
type FetchAnswer struct {
	Kind   uint8  `cbor:"1,keyasint,omitempty"` // of the refusal
	Reason string `cbor:"2,keyasint,omitempty"`
	// Receipt is the snapshot's.
	Receipt []byte `cbor:"3,keyasint,omitempty"`
	First   uint64 `cbor:"4,keyasint,omitempty"` // of the chunk
	Last    uint64 `cbor:"5,keyasint,omitempty"` // of the chunk; 0 while it is being written
}

const (
	// FetchPiece is how many bytes one piece has, about.
	FetchPiece    = 1 << 20
	maxFetches    = 4                // that one node serves at a time
	fetchPatience = 10 * time.Second // for the answer
)

// Pieces are what follows an answer.
type Pieces struct {
	Next  func() ([]byte, error) // ends with io.EOF, with or after the last piece; nil if there are none
	Close func() error           // nil if there is nothing to close
}

// FetchServer serves the fetches of other nodes, few at a time.
type FetchServer struct {
	clock  host.Clock
	answer func(FetchRequest) (FetchAnswer, Pieces, error)
	slots  chan struct{}
}

// NewFetchServer returns a server of what answer finds.
func NewFetchServer(clock host.Clock, answer func(FetchRequest) (FetchAnswer, Pieces, error)) *FetchServer {
	return &FetchServer{clock: clock, answer: answer, slots: make(chan struct{}, maxFetches)}
}

// serve answers one request. It stops when the other node may fetch no longer.
func (s *FetchServer) serve(ctx context.Context, conn *channel.Conn, rq FetchRequest, may func() bool) error {
	refuse := func(err error) error {
		return WriteMessage(conn, FetchAnswer{Kind: wire.Number(err), Reason: err.Error()})
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		return refuse(fmt.Errorf("%w: this node serves %d fetches already", coco.ErrBusy, maxFetches))
	}
	answer, pieces, err := s.answer(rq)
	if err != nil {
		return refuse(err)
	}
	if pieces.Close != nil {
		defer pieces.Close()
	}
	if err := WriteMessage(conn, answer); err != nil || pieces.Next == nil {
		return err
	}
	for ctx.Err() == nil {
		if !may() {
			return errRemoved(conn.Peer().ID)
		}
		piece, err := pieces.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			return err // the fetcher sees a connection that ends early
		}
		_ = conn.SetWriteDeadline(s.clock.Deadline(sendPatience))
		if werr := conn.WriteFrames([][]byte{append([]byte{byte(kindFetch)}, piece...)}); werr != nil || err != nil {
			return werr
		}
	}
	return ctx.Err()
}

// Fetcher fetches from other nodes.
type Fetcher struct {
	Clock  host.Clock
	Dialer Dialer
	// Nodes returns the trusted nodes with their addresses, this one among them.
	Nodes func() map[coco.NodeID]string
	// Leader returns the node that leads, zero if none does. It has other work, so it is asked last.
	Leader func() coco.NodeID
}

// Fetched is what one node sends. It MUST be closed.
type Fetched struct {
	FetchAnswer
	clock host.Clock
	conn  *channel.Conn
	from  coco.NodeID
	stop  func() bool
}

// Fetch asks one node.
func (f *Fetcher) Fetch(ctx context.Context, from coco.NodeID, address string, rq FetchRequest) (_ *Fetched, err error) {
	dial, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	conn, err := f.Dialer.Dial(dial, from, address)
	if err != nil {
		return nil, fmt.Errorf("%w: node %s at %s: %w", coco.ErrUnreachable, from.Short(), address, err)
	}
	in := &Fetched{clock: f.Clock, conn: conn, from: from, stop: context.AfterFunc(ctx, func() { _ = conn.Close() })}
	defer func() {
		if err != nil {
			in.Close()
		}
	}()
	frame, err := encode(&rq)
	if err != nil {
		return nil, err
	}
	if err := conn.WriteFrames([][]byte{frame}); err != nil {
		return nil, err
	}
	_ = conn.SetReadDeadline(f.Clock.Deadline(fetchPatience))
	if err := ReadMessage(conn, &in.FetchAnswer); err != nil {
		return nil, err
	}
	if in.Kind != 0 {
		return nil, wire.FromNumber(in.Kind, in.Reason)
	}
	return in, nil
}

// Close ends a fetch.
func (f *Fetched) Close() {
	f.stop()
	_ = f.conn.Close()
}

// Piece returns what comes next, io.EOF after the last. It is valid until the next call.
func (f *Fetched) Piece() ([]byte, error) {
	_ = f.conn.SetReadDeadline(f.clock.Deadline(sendPatience))
	frame, err := f.conn.ReadFrame()
	switch {
	case err != nil:
		return nil, fmt.Errorf("node %s stopped sending: %w", f.from.Short(), err)
	case len(frame) == 0 || kind(frame[0]) != kindFetch:
		return nil, fmt.Errorf("%w: node %s sends something else than a piece", coco.ErrCorrupt, f.from.Short())
	case len(frame) == 1:
		return nil, io.EOF
	}
	return frame[1:], nil
}

// Entries returns the entries of the next piece, which begins with an index.
func (f *Fetched) Entries(index uint64) ([]batch.Entry, error) {
	piece, err := f.Piece()
	if err != nil {
		return nil, err
	}
	return decodeEntries(piece, index)
}

// Any asks the other nodes, in random order and the leader last, until one fetch succeeds.
func (f *Fetcher) Any(ctx context.Context, one func(from coco.NodeID, address string) error) error {
	leader, self := f.Leader(), f.Dialer.Identity.ID()
	var order []coco.NodeID
	for id := range f.Nodes() {
		if id != self && id != leader {
			order = append(order, id)
		}
	}
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	if leader != (coco.NodeID{}) && leader != self {
		order = append(order, leader)
	}
	var errs []error
	for _, id := range order {
		address, ok := f.Nodes()[id]
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
