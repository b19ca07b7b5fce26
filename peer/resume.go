package peer

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/keys"
)

// Nodes that go on together after all of them have stopped (package resume) ask each other on connections of their own, one question each:
//
//	a node that resumes                         any node of the network
//	   ── ask {stage, evidence, …} ─────────────▶
//	   ◀── told {evidence, where its ledger ends, …}

// The stages of a resumption.
const (
	ResumeMeet    = 1 // where is your ledger's end, and do you wait?
	ResumePromise = 2 // promise to act in this generation and in none of smaller views
	ResumeBegin   = 3 // all that were to have promised: begin
)

// ResumeMember is a process that takes part in a generation: the node whose identity it has, and the certificate that this process alone shows.
type ResumeMember struct {
	_           struct{} `cbor:",toarray"`
	Node        coco.NodeID
	Certificate coco.Digest // SHA-256 of its DER form
}

// ResumeEnd is where a ledger ends.
type ResumeEnd struct {
	_     struct{} `cbor:",toarray"`
	View  uint64   // of the last batch
	Index uint64   // of the last batch
	Seqno uint64   // of the last transaction
}

// ResumeAsk asks a node in one stage of a resumption.
type ResumeAsk struct {
	Stage    uint8           `cbor:"1,keyasint"`
	Evidence attest.Evidence `cbor:"2,keyasint"` // over the asker's key and the connection
	// The generation.
	ID      coco.Digest    `cbor:"3,keyasint"`
	View    uint64         `cbor:"4,keyasint,omitempty"` // the least that it acts in
	Members []ResumeMember `cbor:"5,keyasint,omitempty"`
	// With ResumeBegin: what it begins with.
	Floor   ResumeEnd              `cbor:"6,keyasint"` // the end of the longest ledger
	Nodes   map[coco.NodeID]string `cbor:"7,keyasint,omitempty"`
	Secrets map[uint64]keys.Secret `cbor:"8,keyasint,omitempty"`
	Offers  []Secret               `cbor:"9,keyasint,omitempty"` // of epochs that may have been announced
}

// ResumeTold answers a ResumeAsk.
type ResumeTold struct {
	Evidence attest.Evidence `cbor:"1,keyasint"` // over the key of the node that answers, and the connection
	Refused  string          `cbor:"2,keyasint,omitempty"`
	Waits    bool            `cbor:"3,keyasint,omitempty"` // it resumes, and has not begun
	Leads    bool            `cbor:"4,keyasint,omitempty"` // it takes part in a network that has a leader
	View     uint64          `cbor:"5,keyasint,omitempty"` // of the last generation that it has promised to
	End      ResumeEnd       `cbor:"6,keyasint"`
	// Nodes are those that the network trusts, by this ledger, with their addresses.
	Nodes   map[coco.NodeID]string `cbor:"7,keyasint,omitempty"`
	All     bool                   `cbor:"8,keyasint,omitempty"` // all of them have to be there
	Secrets map[uint64]keys.Secret `cbor:"9,keyasint,omitempty"` // with ResumePromise: that the node holds
	Offers  []Secret               `cbor:"10,keyasint,omitempty"`
	// Begun is what a member of the asker's generation has begun with.
	Begun *ResumeAsk `cbor:"11,keyasint,omitempty"`
}

func (*ResumeAsk) kind() kind  { return kindResumeAsk }
func (*ResumeTold) kind() kind { return kindResumeTold }

// Resumption answers the questions of nodes that resume. The connection's far end has proven its key, and is endorsed by the service.
type Resumption func(ctx context.Context, conn *channel.Conn, ask *ResumeAsk) ResumeTold

// AskResume asks one question on a connection, and closes it.
func AskResume(conn *channel.Conn, ask *ResumeAsk) (*ResumeTold, error) {
	defer conn.Close()
	frame, err := encode(ask)
	if err != nil {
		return nil, err
	}
	if err := conn.WriteFrames([][]byte{frame}); err != nil {
		return nil, fmt.Errorf("%w: %v", coco.ErrUnreachable, err)
	}
	if frame, err = conn.ReadFrame(); err != nil {
		return nil, fmt.Errorf("%w: %v", coco.ErrUnreachable, err)
	}
	m, err := decode(frame)
	if err != nil {
		return nil, err
	}
	told, ok := m.(*ResumeTold)
	if !ok {
		return nil, fmt.Errorf("%w: node %s answers with a frame of kind %d", coco.ErrCorrupt, conn.Peer().ID.Short(), m.kind())
	}
	return told, nil
}

// answer answers one question.
func (r Resumption) answer(ctx context.Context, conn *channel.Conn, ask *ResumeAsk) error {
	told := r(ctx, conn, ask)
	frame, err := encode(&told)
	if err != nil {
		return err
	}
	return conn.WriteFrames([][]byte{frame})
}

// Awaiting is what a node that resumes answers others with.
type Awaiting struct {
	Identity *channel.Identity
	Verify   func(channel.PeerCert) error // decides on connections
	Answer   Resumption
	Fetches  *FetchServer
	Fetching func(coco.NodeID) bool // says whether a node may fetch, which has proven its key
}

// Await has the transport answer nodes that resume before it is open: this node resumes itself.
func (t *Transport) Await(a Awaiting) {
	serve := func(ctx context.Context, raw net.Conn) {
		shake, cancel := context.WithTimeout(ctx, dialPatience)
		defer cancel()
		conn, err := channel.PeerServer(shake, raw, a.Identity, a.Verify, channel.Options{})
		if err != nil {
			_ = raw.Close()
			return
		}
		defer conn.Close()
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		defer stop()
		_ = conn.SetDeadline(t.clock.Deadline(JoinPatience))
		defer t.Panics.End("a node that resumes", nil)
		frame, err := conn.ReadFrame()
		if err != nil {
			return
		}
		switch m, _ := decode(frame); m := m.(type) {
		case *ResumeAsk:
			_ = a.Answer.answer(ctx, conn, m)
		case *FetchRequest:
			_ = conn.SetDeadline(time.Time{}) // each piece has its own
			may := func() bool { return a.Fetching(conn.Peer().ID) }
			if may() {
				_ = a.Fetches.serve(ctx, conn, *m, may)
			}
		}
	}
	t.before.Store(&serve)
}
