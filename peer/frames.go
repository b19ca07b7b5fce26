package peer

import (
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/pulse"
)

// kind is the first byte of a frame.
type kind byte

const (
	kindConsensus    kind = 1
	kindForward      kind = 2
	kindReply        kind = 3
	kindFetch        kind = 4
	kindBehind       kind = 5
	kindSecret       kind = 6
	kindSecretHeld   kind = 7
	kindSecretWanted kind = 8
	kindBeat         kind = 9
	kindPartWanted   kind = 10
	kindParts        kind = 11
	kindPartRefused  kind = 12
	kindResumeAsk    kind = 13
	kindResumeTold   kind = 14
	kindProgram      kind = 19
	kindPayload      kind = 20
	kindPayloadWord  kind = 21
)

// Message is the body of a frame.
type Message interface{ kind() kind }

// Consensus is a message of the consensus machine, in its own encoding.
type Consensus []byte

// Behind tells a node that the leader does not have the entries any more that the node needs next.
type Behind struct{}

// Forward carries calls to the leader.
type Forward struct {
	_      struct{} `cbor:",toarray"`
	ID     uint64   // chosen by the sender; names the reply, and says how long the sender waits: see idOf
	Ledger string   // an adapter's, or requests
	Calls  []Call
}

// Call is one forwarded call. The sender has checked it; see adapter.Call.
type Call struct {
	_       struct{} `cbor:",toarray"`
	Caller  coco.Caller
	Payload []byte
}

// Reply carries the results of a Forward: one for each call, or one error for all.
type Reply struct {
	_       struct{} `cbor:",toarray"`
	ID      uint64
	Results []Result
}

// Result is the result of one call.
type Result struct {
	_      struct{} `cbor:",toarray"`
	View   uint64
	Seqno  uint64
	Reply  []byte
	Kind   uint8 // of the error, 0 if none
	Reason string
}

// Secret carries an epoch's secret to a node that lacks it.
type Secret struct {
	Sealed coco.Digest `cbor:"1,keyasint"` // SHA-256 of the epoch's public form
	Epoch  uint64      `cbor:"2,keyasint"`
	Secret keys.Secret `cbor:"3,keyasint"`
}

// Beat is what a node tells every second of its clock and of what it has heard.
type Beat pulse.Beat

// Program says what the sender's program knows. It is the first frame on a connection.
type Program struct {
	Rules uint64 `cbor:"1,keyasint"` // the newest version of the rules that it knows
}

// SecretHeld says that the sender holds an epoch's secret.
type SecretHeld struct {
	Sealed coco.Digest `cbor:"1,keyasint"` // SHA-256 of the epoch's public form
}

// SecretWanted says that the sender needs an epoch's secret.
type SecretWanted struct {
	Epoch uint64 `cbor:"1,keyasint"`
}

// PartWanted asks a node that acts for seats of a committee for its parts in opening something: see seats.Lock. Epoch and Archive are absent where an archive is opened because
// its committee is replaced; a node of a build that does not know them is of no network whose constitution has secrets expire.
type PartWanted struct {
	Committee uint64 `cbor:"1,keyasint"` // its number
	Epoch     uint64 `cbor:"2,keyasint,omitempty"`
	Archive   bool   `cbor:"3,keyasint,omitempty"`
}

// Parts are a node's parts in opening something. They are secret.
type Parts struct {
	Committee uint64           `cbor:"1,keyasint"`
	Parts     []committee.Part `cbor:"2,keyasint"`
	Epoch     uint64           `cbor:"3,keyasint,omitempty"`
	Archive   bool             `cbor:"4,keyasint,omitempty"`
}

// PartRefused says why a node gives no part: see seats.Reason.
type PartRefused struct {
	Committee uint64 `cbor:"1,keyasint"`
	Reason    uint64 `cbor:"2,keyasint"`
	Epoch     uint64 `cbor:"3,keyasint,omitempty"`
	Archive   bool   `cbor:"4,keyasint,omitempty"`
}

// Payload is a payload of a resident row, for a node of its audience: to keep, or because the node wants it. See package resident.
type Payload struct {
	Payload []byte `cbor:"1,keyasint"`
}

// PayloadWord is about one payload of a resident row.
type PayloadWord struct {
	Commitment coco.Digest `cbor:"1,keyasint"`
	Word       uint64      `cbor:"2,keyasint"`
}

// Words about a payload. A node ignores those that it does not know.
const (
	PayloadKept    = 1 // the sender has it on its disk
	PayloadWanted  = 2 // the sender asks for it
	PayloadLacked  = 3 // the sender does not have it, or does not keep it
	PayloadDropped = 4 // no transaction will ever name it
	PayloadLater   = 5 // the sender has it, and its epoch must be opened first: it may be asked again
)

func (Consensus) kind() kind     { return kindConsensus }
func (*Forward) kind() kind      { return kindForward }
func (*Reply) kind() kind        { return kindReply }
func (*FetchRequest) kind() kind { return kindFetch }
func (Behind) kind() kind        { return kindBehind }
func (*Secret) kind() kind       { return kindSecret }
func (*SecretHeld) kind() kind   { return kindSecretHeld }
func (*SecretWanted) kind() kind { return kindSecretWanted }
func (*Beat) kind() kind         { return kindBeat }
func (*Program) kind() kind      { return kindProgram }
func (*PartWanted) kind() kind   { return kindPartWanted }
func (*Parts) kind() kind        { return kindParts }
func (*PartRefused) kind() kind  { return kindPartRefused }
func (*Payload) kind() kind      { return kindPayload }
func (*PayloadWord) kind() kind  { return kindPayloadWord }

// limits bound what a message may hold: as much as a frame. A grant has a pair for each epoch: about 40 bytes.
var limits = canon.Limits{Bytes: channel.DefaultMaxFrame, Elements: 1 << 17, Pairs: 1 << 20}

// encode returns a frame.
func encode(m Message) ([]byte, error) {
	var body []byte
	switch m := m.(type) {
	case Consensus:
		body = m
	case *Secret:
		return m.frame(), nil
	case Behind:
	default:
		marshal := canon.Marshal
		if secretKind(m.kind()) {
			marshal = canon.MarshalSecret
		}
		var err error
		if body, err = marshal(m); err != nil {
			return nil, fmt.Errorf("encode %T: %w", m, err)
		}
		if secretKind(m.kind()) {
			defer clear(body)
		}
	}
	frame := make([]byte, 1+len(body))
	frame[0] = byte(m.kind())
	copy(frame[1:], body)
	return frame, nil
}

// frame is the frame of a secret, of which no other copy is made: a library's buffers would keep one.
func (m *Secret) frame() []byte {
	b := append(make([]byte, 0, 96), byte(kindSecret))
	b = canon.AppendHead(b, canon.Map, 3)
	b = canon.AppendBytes(canon.AppendHead(b, canon.Uint, 1), m.Sealed[:])
	b = canon.AppendHead(canon.AppendHead(b, canon.Uint, 2), canon.Uint, m.Epoch)
	return canon.AppendBytes(canon.AppendHead(b, canon.Uint, 3), m.Secret[:])
}

func secretKind(k kind) bool { return k == kindSecret || k == kindParts || k == kindResumeTold }

// eraseSecrets clears those of frames whose contents are secret, once they are written or decoded.
func eraseSecrets(frames ...[]byte) {
	for _, frame := range frames {
		if len(frame) > 0 && secretKind(kind(frame[0])) {
			clear(frame)
		}
	}
}

// decode reads a frame. The message of a consensus frame aliases it.
func decode(frame []byte) (Message, error) {
	if len(frame) == 0 {
		return nil, fmt.Errorf("%w: a frame without a kind", coco.ErrCorrupt)
	}
	body := frame[1:]
	var m Message
	switch kind(frame[0]) {
	case kindConsensus:
		return Consensus(body), nil
	case kindBehind:
		if len(body) > 0 {
			return nil, fmt.Errorf("%w: a frame of kind %d with %d bytes, expected none", coco.ErrCorrupt, frame[0], len(body))
		}
		return Behind{}, nil
	case kindForward:
		m = &Forward{}
	case kindReply:
		m = &Reply{}
	case kindFetch:
		m = &FetchRequest{}
	case kindSecret:
		m = &Secret{}
	case kindSecretHeld:
		m = &SecretHeld{}
	case kindSecretWanted:
		m = &SecretWanted{}
	case kindBeat:
		m = &Beat{}
	case kindProgram:
		m = &Program{}
	case kindResumeAsk:
		m = &ResumeAsk{}
	case kindResumeTold:
		m = &ResumeTold{}
	case kindPartWanted:
		m = &PartWanted{}
	case kindParts:
		m = &Parts{}
	case kindPartRefused:
		m = &PartRefused{}
	case kindPayload:
		m = &Payload{}
	case kindPayloadWord:
		m = &PayloadWord{}
	default:
		return nil, fmt.Errorf("%w: a frame of unknown kind %d", coco.ErrCorrupt, frame[0])
	}
	unmarshal := canon.Unmarshal
	if secretKind(kind(frame[0])) {
		unmarshal = canon.UnmarshalSecret
	}
	if err := unmarshal(body, m, limits); err != nil {
		return nil, fmt.Errorf("%w: frame of kind %d: %v", coco.ErrCorrupt, frame[0], err)
	}
	switch m := m.(type) {
	case *Forward:
		if len(m.Calls) == 0 {
			return nil, fmt.Errorf("%w: a forward without calls", coco.ErrCorrupt)
		}
	case *Reply:
		if len(m.Results) == 0 {
			return nil, fmt.Errorf("%w: a reply without results", coco.ErrCorrupt)
		}
	}
	return m, nil
}

// fetchedEntry is an entry of the ledger in a piece; its index is the one after that of the entry before.
type fetchedEntry struct {
	_    struct{} `cbor:",toarray"`
	View uint64
	Kind uint8
	Data []byte
}

// EncodeEntries encodes consecutive entries as one piece.
func EncodeEntries(entries []batch.Entry) ([]byte, error) {
	out := make([]fetchedEntry, len(entries))
	for i, e := range entries {
		out[i] = fetchedEntry{View: e.View, Kind: uint8(e.Kind), Data: e.Data}
	}
	return canon.Marshal(out)
}

// decodeEntries decodes a piece of entries that begins with an index.
func decodeEntries(piece []byte, index uint64) ([]batch.Entry, error) {
	var in []fetchedEntry
	if err := canon.Unmarshal(piece, &in, limits); err != nil {
		return nil, fmt.Errorf("%w: fetched entries: %v", coco.ErrCorrupt, err)
	}
	if len(in) == 0 {
		return nil, fmt.Errorf("%w: a piece without entries", coco.ErrCorrupt)
	}
	out := make([]batch.Entry, len(in))
	for i, e := range in {
		out[i] = batch.Entry{Index: index + uint64(i), View: e.View, Kind: batch.Kind(e.Kind), Data: e.Data}
	}
	return out, nil
}

// WriteMessage sends a message on a connection that has one purpose, on which frames have no kind.
func WriteMessage(c *channel.Conn, v any) error {
	b, err := canon.MarshalSecret(v) // a grant is one
	if err != nil {
		return fmt.Errorf("encode %T: %w", v, err)
	}
	defer clear(b)
	return c.WriteFrames([][]byte{b})
}

// ReadMessage receives what WriteMessage sends.
func ReadMessage(c *channel.Conn, v any) error {
	b, err := c.ReadFrame()
	if err != nil {
		return err
	}
	err = canon.UnmarshalSecret(b, v, limits) // as above
	clear(b)
	if err != nil {
		return fmt.Errorf("%w: %T from node %s: %v", coco.ErrCorrupt, v, c.Peer().ID.Short(), err)
	}
	return nil
}
