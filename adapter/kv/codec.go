package kv

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/kv/precondition"
	"github.com/cocoframework/coco/store"
)

// The payload of a call, all integers big-endian:
//
//	payload   = 0x01 ‖ count u32 ‖ operation × count
//	          | 0x02 ‖ audience ‖ count u32 ‖ operation × count
//	          | 0x03 ‖ audience ‖ count u8 ‖ node id × count ‖ 1 u32 ‖ operation
//	audience  = count u8 ‖ actor id × count, as store.Audience
//	operation = kind u8 ‖ condition ‖ key length u32 ‖ key ‖ [media type length u8 ‖ media type] ‖ [value length u32 ‖ value]
//	condition = kind u8 ‖ [version u64] ‖ [count u8 ‖ version u64 × count]
//
// A version follows the conditions equals and differs, a list the conditions among and outside. A value follows the kinds
// put and put with a media type. Every write has one encoding, and nothing may follow it. A write of no operations is what
// nodes of the first release asked for the newest state with. Media types and lists are in networks of format 2 only: see
// Settings.Format. The third form is of a row that resides with its parties: its key is the row's name, its value the commitment, and the nodes have the payload on
// their disks: see resident.go.
const (
	payloadFormat   = 1
	payloadAudience = 2 // of rows that have an audience
	payloadResident = 3 // of a row whose contents are on its audience's nodes
)

// Kinds of operations.
const (
	opPut      = 1
	opDelete   = 2
	opPutTyped = 3 // a put with a media type; in an operation it is opPut
)

type operation struct {
	kind      byte
	condition precondition.Condition
	key       []byte
	media     string      // media type of a put; empty for wire.MediaBytes
	value     []byte      // of a put
	digest    coco.Digest // of value, for the claims: made where it costs the leader's executor nothing
}

// write is a call: operations that become one transaction, or none at all.
type write struct {
	ops   []operation
	party *party       // of all rows that are written; nil: none. A pointer, so that the commonest write stays as small as it was
	one   [1]operation // room for ops of the commonest write
}

// party is whose rows a write is about, and the nodes that have the contents of one that resides with its parties, the writer's first.
type party struct {
	to
	nodes []coco.NodeID
}

// to is whose rows are written.
func (w *write) to() to {
	if w.party == nil {
		return to{}
	}
	return w.party.to
}

// audience is that of the rows that are written; nil for none.
func (w *write) audience() store.Audience { return w.to().audience }

// table is where a write's rows are.
func (w *write) table() string { return w.to().table() }

// limit has the write be about the rows of an audience; those of the zero value have none.
func (w *write) limit(t to) {
	w.party = nil
	if t.audience != nil {
		w.party = &party{to: t}
	}
}

// newWrite makes a write of one operation.
func newWrite() *write {
	w := new(write)
	w.ops = w.one[:]
	return w
}

const (
	payloadHeader  = 1 + 4
	leastOperation = 1 + 1 + 4 + 1
)

func (op *operation) size() int {
	n := leastOperation - 1 + len(op.key) + op.condition.Size()
	if op.kind == opPut {
		n += 4 + len(op.value)
	}
	if op.media != "" {
		n += 1 + len(op.media)
	}
	return n
}

// append encodes an operation. With room it appends the length of a value of that many bytes
// instead of op.value, and leaves the bytes to the caller.
func (op *operation) append(b []byte, room int) []byte {
	b = op.condition.Append(append(b, op.encodedKind()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(op.key)))
	b = append(b, op.key...)
	if op.media != "" {
		b = append(append(b, byte(len(op.media))), op.media...)
	}
	if op.kind == opPut {
		b = binary.BigEndian.AppendUint32(b, uint32(len(op.value)+room))
		b = append(b, op.value...)
	}
	return b
}

func (op *operation) encodedKind() byte {
	if op.media != "" {
		return opPutTyped
	}
	return op.kind
}

func appendPayloadHeader(b []byte, audience store.Audience, count int) []byte {
	if audience == nil {
		b = append(b, payloadFormat)
	} else {
		b = audience.Append(append(b, payloadAudience))
	}
	return binary.BigEndian.AppendUint32(b, uint32(count))
}

// payloadHeaderSize is the length of what appendPayloadHeader appends.
func payloadHeaderSize(audience store.Audience) int {
	if audience == nil {
		return payloadHeader
	}
	return payloadHeader + audience.Size()
}

func encodeWriteTo(audience store.Audience, ops []operation) []byte {
	n := payloadHeaderSize(audience)
	for i := range ops {
		n += ops[i].size()
	}
	b := appendPayloadHeader(make([]byte, 0, n), audience, len(ops))
	for i := range ops {
		b = ops[i].append(b, 0)
	}
	return b
}

// decodeWrite reads a payload. The write refers to its bytes.
func decodeWrite(payload []byte, s Settings) (*write, error) {
	d := decoder{rest: payload}
	var to to
	var nodes []coco.NodeID
	switch format := d.u8(); {
	case d.failed, format == payloadFormat:
	case format == payloadAudience, format == payloadResident:
		var err error
		if to.audience, d.rest, err = store.CutAudience(d.rest); err != nil {
			return nil, fmt.Errorf("kv write: %w", err)
		}
		if to.resident = format == payloadResident; to.resident {
			nodes = d.nodes()
		}
		if err := s.checkAudience(to); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("%w: kv write: expected format %d to %d, found %d", coco.ErrCorrupt, payloadFormat, payloadResident, format)
	}
	count := d.u32()
	if d.failed || uint64(count) > uint64(s.MaxBatchOps) || uint64(count)*leastOperation > uint64(len(d.rest)) {
		return nil, fmt.Errorf("%w: kv write of %d bytes: expected up to %d operations, found %d", coco.ErrCorrupt, len(payload), s.MaxBatchOps, count)
	}
	w := newWrite()
	if w.limit(to); to.resident {
		w.party.nodes = nodes
		return w, d.resident(w, count)
	}
	if count != 1 {
		w.ops = make([]operation, count)
	}
	for i := range w.ops {
		op := &w.ops[i]
		if err := d.operation(op); err != nil {
			return nil, fmt.Errorf("%w: kv write: operation %d: %w", coco.ErrCorrupt, i, err)
		}
		if err := s.check(op); err != nil {
			return nil, fmt.Errorf("operation %d: %w", i, err)
		}
		op.digest = sha256.Sum256(op.value)
	}
	if len(d.rest) > 0 {
		return nil, fmt.Errorf("%w: kv write: %d bytes follow the last operation", coco.ErrCorrupt, len(d.rest))
	}
	return w, nil
}

var (
	errShort     = errors.New("it ends early")
	errKind      = errors.New("its kind does not exist")
	errCondition = errors.New("its condition does not exist")
	errMedia     = errors.New("its media type is none")
)

func (d *decoder) operation(op *operation) error {
	op.kind = d.u8()
	var ok bool
	op.condition, ok = d.condition()
	op.key = d.bytes()
	typed := op.kind == opPutTyped
	if typed {
		op.kind, op.media = opPut, string(d.next(uint64(d.u8())))
	}
	if op.kind == opPut {
		op.value = d.bytes()
	}
	switch {
	case d.failed:
		return errShort
	case !ok:
		return errCondition
	case op.kind != opPut && op.kind != opDelete:
		return errKind
	case typed && !storedMedia(op.media):
		return errMedia
	}
	return nil
}

// check holds the limits of the constitution, and the format that the network keeps.
func (s Settings) check(op *operation) error {
	if s.Format < formatMedia && op.media != "" {
		return s.unknown("a content type")
	}
	if s.Format < formatLists && op.condition.Kind > precondition.Differs {
		return s.unknown("a condition by several entity tags, or by one that was not given for a value,")
	}
	most := s.MaxKeyBytes
	if op.kind != opPut { // what was put before the limit was lowered can be read and deleted
		most = maxKeyBytes
	}
	if len(op.key) < 1 || len(op.key) > most {
		return fmt.Errorf("%w: key of %d bytes: expected 1 to %d", coco.ErrInvalid, len(op.key), most)
	}
	if len(op.value) > s.MaxValueBytes {
		return s.valueTooLarge()
	}
	return nil
}

// unknown refuses what a network does not have as yet.
func (s Settings) unknown(what string) error {
	return fmt.Errorf("%w: %s is known from format 2 of kv on, and this network keeps format %d (setting format of adapters.kv)", coco.ErrInvalid, what, s.Format)
}

// formatLists is the first format of kv whose conditions may list versions: see Settings.Format.
const formatLists = 2

// condition reads a condition. It is not ok if there is no such condition.
func (d *decoder) condition() (c precondition.Condition, ok bool) {
	c, rest, err := precondition.Cut(d.rest)
	d.failed = d.failed || errors.Is(err, precondition.ErrShort)
	d.rest = rest
	return c, err == nil
}

// decoder reads from the front of a slice and remembers that it was too short.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) next(n uint64) []byte {
	if n > uint64(len(d.rest)) {
		d.failed, d.rest = true, nil
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) u8() byte {
	if b := d.next(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if b := d.next(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.next(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) bytes() []byte { return d.next(uint64(d.u32())) }

// The reply to a call:
//
//	done    = 0x00 ‖ previous version u64 × count
//	refused = 0x01 ‖ operation u32 ‖ its key's version u64
//
// A refusal is a reply and no error, because it must stay what it is on its way from the leader to
// another node, and because it depends on the transactions before it: it is given once they are
// committed.
const (
	replyDone    = 0
	replyRefused = 1
)

// newReply makes a reply to which count previous versions must be appended.
func newReply(count int) []byte {
	return append(make([]byte, 0, 1+8*count), replyDone)
}

func refusal(op int, version uint64) []byte {
	b := binary.BigEndian.AppendUint32([]byte{replyRefused}, uint32(op))
	return binary.BigEndian.AppendUint64(b, version)
}

// reply is what a call gave.
type reply struct {
	refused  bool
	op       int    // the refused operation
	version  uint64 // what it found
	previous []byte // of operations that were done: a version u64 each
}

func (r reply) previousOf(op int) uint64 { return binary.BigEndian.Uint64(r.previous[8*op:]) }

func decodeReply(b []byte, count int) (reply, error) {
	d := decoder{rest: b}
	switch status := d.u8(); {
	case d.failed:
	case status == replyDone && len(d.rest) == 8*count:
		return reply{previous: d.rest}, nil
	case status == replyRefused:
		r := reply{refused: true, op: int(d.u32()), version: d.u64()}
		if !d.failed && len(d.rest) == 0 && r.op < count {
			return r, nil
		}
	}
	return reply{}, fmt.Errorf("%w: reply of %d bytes to a kv write of %d operations", coco.ErrCorrupt, len(b), count)
}

// The claims of a write, which its receipt proves. They say what was asked and what it met; the
// receipt's transaction id has the seqno, which is the new version of what was put.
//
//	claims    = "coco kv write" ‖ 0x00 ‖ 0x01 ‖ caller's actor id (32 bytes) ‖ count u32 ‖ operation × count
//	          | "coco kv write" ‖ 0x00 ‖ 0x02 ‖ audience ‖ caller's actor id (32 bytes) ‖ count u32 ‖ operation × count
//	          | "coco kv write" ‖ 0x00 ‖ 0x03 ‖ audience ‖ caller's actor id (32 bytes) ‖ 1 u32 ‖ operation, with the row's name for the key and the commitment for the SHA-256
//	            [‖ user's length u8 ‖ user], where the caller is a user of the organisation
//	operation = kind u8 ‖ key length u32 ‖ key ‖ previous version u64 ‖ [SHA-256 of the value] ‖ [media type length u8 ‖ media type]
const (
	claimsContext  = "coco kv write\x00\x01"
	claimsAudience = "coco kv write\x00\x02" // of rows that have an audience
	claimsResident = "coco kv write\x00\x03" // of a row whose contents are on its audience's nodes
)

func newClaims(actor coco.ActorID, w *write) []byte {
	ops := w.ops
	n := len(claimsContext) + len(actor) + 4
	if w.party != nil {
		n += w.audience().Size()
	}
	for i := range ops {
		n += 1 + 4 + len(ops[i].key) + 8 + len(coco.Digest{}) + 1 + len(ops[i].media)
	}
	b := make([]byte, 0, n)
	switch to := w.to(); {
	case to.audience == nil:
		b = append(b, claimsContext...)
	case to.resident:
		b = to.audience.Append(append(b, claimsResident...))
	default:
		b = to.audience.Append(append(b, claimsAudience...))
	}
	b = append(b, actor[:]...)
	return binary.BigEndian.AppendUint32(b, uint32(len(ops)))
}

// appendUser ends the claims of a write that a user of the organisation has sent: length u8 ‖ user. Nothing follows the operations of others.
func appendUser(b []byte, user string) []byte {
	if user == "" {
		return b
	}
	return append(append(b, byte(len(user))), user...)
}

func (op *operation) appendClaim(b []byte, previous uint64) []byte {
	b = append(b, op.encodedKind())
	b = binary.BigEndian.AppendUint32(b, uint32(len(op.key)))
	b = append(b, op.key...)
	b = binary.BigEndian.AppendUint64(b, previous)
	if op.kind == opPut {
		b = append(b, op.digest[:]...)
	}
	if op.media != "" {
		b = append(append(b, byte(len(op.media))), op.media...)
	}
	return b
}

// claimsOf begins to read claims, behind their audience; nil for those of another ledger.
func claimsOf(claims []byte) (d *decoder, t to, err error) {
	rest, ours := bytes.CutPrefix(claims, []byte(claimsContext))
	if t, rest, err = cutClaimed(claims, rest); err != nil || !ours && t.audience == nil {
		return nil, t, err
	}
	return &decoder{rest: rest}, t, nil
}

// claimedOperation is one operation of claims.
type claimedOperation struct {
	kind     byte
	key      []byte
	previous uint64
	digest   []byte // of a put
	media    []byte // of opPutTyped
}

// claimed reads an operation of claims.
func (d *decoder) claimed() (op claimedOperation) {
	op.kind, op.key, op.previous = d.u8(), d.bytes(), d.u64()
	if op.kind == opPut || op.kind == opPutTyped {
		op.digest = d.next(uint64(len(coco.Digest{})))
	}
	if op.kind == opPutTyped {
		op.media = d.next(uint64(d.u8()))
	}
	d.failed = d.failed || op.kind < opPut || op.kind > opPutTyped
	return op
}
