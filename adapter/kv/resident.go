package kv

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/kv/precondition"
	"github.com/cocoframework/coco/adapter/kv/residents"
	"github.com/cocoframework/coco/resident"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// apart is the table of rows that reside with their parties: what it has of them is the value that resident.Row encodes, under their names.
const apart = "kv.resident"

// What X-Coco-Audience may say after the names. By the second the secret that names an audience's rows is made again if no node has it any more: then no key
// leads to the older rows.
const (
	markResident = "resident"
	markRenew    = "resident=renew"
)

// Reside implements resident.Resider.
func (l *ledger) Reside(k *resident.Keeper) { l.keeper = k }

// alone refuses what is about more than one row, or about the past.
func (t to) alone() error {
	if t.resident {
		return fmt.Errorf("%w: %s: rows that reside with their parties are read and written one at a time, as they are now: no list, history, proof or batch is about them", coco.ErrInvalid, wire.HeaderAudience)
	}
	return nil
}

// here refuses a request that a node outside the audience must not serve, and names nodes that would do.
func (l *ledger) here(w http.ResponseWriter, t to) error {
	switch {
	case !t.resident:
		return nil
	case l.keeper == nil:
		return fmt.Errorf("%w: this node keeps no values of rows that reside with their parties", coco.ErrMissing)
	case l.keeper.Here(t.audience):
		return nil
	}
	nodes := strings.Join(l.keeper.Nodes(t.audience), ", ")
	w.Header().Set(wire.HeaderNodes, nodes)
	return &wire.Error{Problem: wire.ByCode(wire.CodeMisdirected), Message: "this node's organisation is not in the audience, so it must not have the row: ask a node of the audience: " + cmp.Or(nodes, "the network has none at the moment")}
}

// apartOf returns the rows of a place in a snapshot.
func (l *ledger) apartOf(p place, snap *store.Snapshot) residents.Rows {
	rows := p.of(l.env.State, snap)
	return residents.Rows{Audience: p.audience, Get: func(name resident.Name) ([]byte, bool) { return rows.Get(apart, name[:]) }}
}

// getResident answers a read of a row that resides with its parties, on a node of its audience. The snapshot is released.
func (l *ledger) getResident(w http.ResponseWriter, r *http.Request, at place, key []byte, conditions precondition.Pair, snap *store.Snapshot, id coco.TxID) {
	rows := l.apartOf(at, snap)
	row, exists, err := l.names.Find(r.Context(), l.keeper, rows, key)
	snap.Release()
	if err == nil && (!exists || !l.settings().rules.MayRead(&at.caller, key)) {
		err = fmt.Errorf("%w: no such key", coco.ErrNotFound)
	}
	setID(w, id)
	if err != nil {
		l.fail(w, err)
		return
	}
	if !l.wanted(w, row.Append(nil), conditions) {
		return
	}
	p, err := residents.Read(r.Context(), l.keeper, rows, row, key)
	if err != nil {
		w.Header().Del("Etag")
		l.fail(w, err)
		return
	}
	w.Header().Set(wire.HeaderSalt, hex.EncodeToString(p.Salt[:]))
	op := operation{media: p.Media, value: p.Value}
	l.answerValue(w, op.store(row.Version), conditions)
}

// submitResident writes a row that resides with its parties: its value is on the disks of enough of its audience's nodes before the call is submitted.
func (l *ledger) submitResident(caller coco.Caller, wr *write, w http.ResponseWriter, r *http.Request) {
	op := &wr.ops[0]
	if !l.settings().rules.MayWrite(&caller, op.key) { // no leader can judge it, to whom the key is hidden
		l.fail(w, notWritable())
		return
	}
	name, err := l.named(caller, wr.to(), op.key, r)
	if err != nil {
		l.fail(w, err)
		return
	}
	var p *resident.Payload
	if op.kind == opPut {
		p = residents.New(wr.audience(), op.key, op.media, op.value)
	}
	id, rep, err := l.commitResident(caller, wr, name, p, r)
	l.answerWrite(w, wr, id, rep, err)
}

// named returns the name of a key. It makes the audience's secret if there is none yet.
func (l *ledger) named(caller coco.Caller, t to, key []byte, r *http.Request) (resident.Name, error) {
	for {
		snap, _, err := l.snapshot(r)
		if err != nil {
			return resident.Name{}, err
		}
		name, version, err := l.names.Of(r.Context(), l.keeper, l.apartOf(place{caller, t}, snap), key)
		snap.Release()
		lost := t.renew && errors.Is(err, coco.ErrMissing)
		if err == nil && version != 0 || err != nil && !lost {
			return name, err
		}
		wr := newWrite()
		wr.limit(t)
		wr.ops[0] = operation{kind: opPut, condition: precondition.Condition{Kind: precondition.Absent}}
		if lost {
			wr.ops[0].condition = precondition.Condition{Kind: precondition.Equals, Version: version}
		}
		id, _, err := l.commitResident(caller, wr, resident.KeyName, residents.NewSecret(t.audience), r)
		if other := (*preconditionError)(nil); errors.As(err, &other) {
			err = l.wait(r.Context(), id.Seqno) // another node was first
		}
		if err != nil {
			return resident.Name{}, err
		}
	}
}

// commitResident has the audience's nodes keep a payload, nil for a deletion, and submits its row.
func (l *ledger) commitResident(caller coco.Caller, wr *write, name resident.Name, p *resident.Payload, r *http.Request) (coco.TxID, reply, error) {
	op := &wr.ops[0]
	op.key, op.media, op.value = name[:], "", nil
	if p != nil {
		c, nodes, err := l.keeper.Keep(r.Context(), p)
		if err != nil {
			return coco.TxID{}, reply{}, err
		}
		op.digest, op.value, wr.party.nodes = c, c[:], nodes
	}
	id, rep, err := l.submit(caller, wr, encodeResident(wr), r)
	if p != nil && notExecuted(err) {
		l.keeper.Drop(p.Audience, op.digest)
	}
	return id, rep, err
}

// notExecuted reports whether a call that ended with an error has certainly written nothing, and never will.
func notExecuted(err error) bool {
	return !errors.Is(err, coco.ErrUnknown) && (errors.Is(err, coco.ErrInvalid) || errors.Is(err, coco.ErrDenied) || errors.Is(err, coco.ErrBusy) || errors.Is(err, coco.ErrNotCommitted))
}

// admitResident judges on the leader whether nodes of enough organisations have what a row commits to, and completes what is stored.
func (l *ledger) admitResident(w *write) error {
	if !w.to().resident {
		return nil
	}
	if op := &w.ops[0]; op.kind == opPut {
		if l.keeper == nil {
			return fmt.Errorf("%w: the leader knows no nodes that keep values", coco.ErrNotCommitted)
		}
		holders, enough := l.keeper.Holders(w.audience(), w.party.nodes)
		if !enough {
			return fmt.Errorf("%w: nodes of the audience that had the value have left the network meanwhile: write it again", coco.ErrNotCommitted)
		}
		op.value = binary.BigEndian.AppendUint16(slices.Clone(op.digest[:]), uint16(holders))
	}
	return nil
}

// encodeResident encodes the call of a row that resides with its parties.
func encodeResident(w *write) []byte {
	b := w.audience().Append([]byte{payloadResident})
	b = append(b, byte(len(w.party.nodes)))
	for _, id := range w.party.nodes {
		b = append(b, id[:]...)
	}
	return w.ops[0].append(binary.BigEndian.AppendUint32(b, 1), 0)
}

// resident reads the one operation of such a call.
func (d *decoder) resident(w *write, count uint32) error {
	op := &w.ops[0]
	err := d.operation(op)
	if err == nil && (count != 1 || len(op.key) != resident.NameSize || op.media != "" || op.kind == opPut && len(op.value) != len(op.digest) || len(d.rest) > 0) {
		err = errors.New("it is not one operation with a name and a commitment")
	}
	if err != nil {
		return fmt.Errorf("%w: kv write of a row that resides with its parties: %w", coco.ErrCorrupt, err)
	}
	copy(op.digest[:], op.value)
	return nil
}

func (d *decoder) nodes() (nodes []coco.NodeID) {
	for range d.u8() {
		if b := d.next(uint64(len(coco.NodeID{}))); b != nil {
			nodes = append(nodes, coco.NodeID(b))
		}
	}
	return nodes
}
