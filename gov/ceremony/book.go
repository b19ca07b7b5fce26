package ceremony

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/store"
)

// PhaseMillis is how long a phase lasts at most, by the ledger's time in milliseconds: a Close ends it then, even if the network is idle.
const PhaseMillis = 60_000

// Book follows the ceremony that is under way. What it answers depends on the tables alone; it remembers how far it has followed them, so that a statement is checked once and
// not again with every later one. It may be asked about any state, in any order. It belongs to one goroutine. The zero value is ready.
type Book struct {
	number uint64
	began  uint64        // the transaction in which the ceremony began
	rows   []store.Write // the statements that it has applied, as the table has them
	at     *dkg.Ceremony
	since  uint64 // ledger's time at which the phase began
}

// Running is a ceremony that is under way.
type Running struct {
	table.CeremonyRecord
	// Ceremony is how far it is. It is the Book's, and MUST NOT be changed.
	Ceremony *dkg.Ceremony
	// PhaseTime is the ledger's time at which the phase began, in milliseconds since 1970.
	PhaseTime uint64
}

// Running returns the ceremony that is running, or done and not installed. The error is coco.ErrNotFound if there is none.
func (b *Book) Running(r store.Reader) (*Running, error) {
	rec, has, err := table.NewestCeremony(r)
	if err != nil {
		return nil, err
	}
	if !has || rec.State != table.CeremonyRuns && rec.State != table.CeremonyDone {
		return nil, fmt.Errorf("%w: no ceremony is under way", coco.ErrNotFound)
	}
	if err := b.follow(r, rec); err != nil {
		return nil, err
	}
	return &Running{rec, b.at, b.since}, nil
}

// follow brings the book to a ceremony's newest statement.
func (b *Book) follow(r store.Reader, rec table.CeremonyRecord) error {
	var rows []store.Write
	r.Range(table.CeremoniesTable, table.StatementKey(rec.Number, 0), table.NumberKey(rec.Number+1), func(key, value []byte) bool {
		rows = append(rows, store.Write{Key: key, Value: value})
		return true
	})
	known := 0
	if b.at != nil && b.number == rec.Number && b.began == rec.Since && b.at.Digest() == rec.Session.Digest() && begins(rows, b.rows) {
		known = len(b.rows)
	}
	if known == 0 {
		at, err := dkg.Begin(rec.Session, rec.Since)
		if err != nil {
			return fmt.Errorf("%w: ceremony %d: %w", coco.ErrCorrupt, rec.Number, err)
		}
		*b = Book{number: rec.Number, began: rec.Since, at: at, since: rec.Time}
	}
	for _, w := range rows[known:] {
		st, err := table.DecodeStatement(w.Key, w.Value)
		if err == nil {
			err = b.apply(st, w)
		}
		if err != nil {
			*b = Book{}
			return fmt.Errorf("%w: ceremony %d: %w", coco.ErrCorrupt, rec.Number, err)
		}
	}
	return nil
}

// begins says whether rows begin with others. Values that are the same piece of memory, as those of two states of a store mostly are, are not compared byte by byte.
func begins(rows, with []store.Write) bool {
	return len(with) <= len(rows) && slices.EqualFunc(rows[:len(with)], with, func(a, b store.Write) bool {
		return bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value)
	})
}

// apply applies a statement, whose row is given as it is stored; the book keeps it. After an error the book is as it was.
func (b *Book) apply(st table.Statement, row store.Write) error {
	session, s, err := dkg.Parse(st.Raw)
	if err != nil {
		return err
	}
	if session != b.at.Digest() {
		return fmt.Errorf("%w: a statement of session %s, expected that of ceremony %d, %s", coco.ErrInvalid, session.Short(), b.number, b.at.Digest().Short())
	}
	before := b.at.Since()
	phase, _ := b.at.Phase()
	if end, ok := s.(*dkg.Close); ok {
		err = b.at.Cut(st.Seqno, end) // whoever wrote it had a reason to
	} else {
		err = b.at.Apply(st.Seqno, s)
	}
	if err != nil {
		return err
	}
	if now, _ := b.at.Phase(); now != phase || b.at.Since() != before {
		b.since = st.Time
	}
	b.rows = append(b.rows, row)
	return nil
}

// Begin begins the ceremony that is needed. Acting are the nodes that act for its receivers, in their order; nil for those that Need names. The error is coco.ErrInvalid if no
// ceremony is needed, or a node is not trusted.
func (b *Book) Begin(tx *store.Tx, acting []coco.NodeID) (table.CeremonyRecord, error) {
	n, err := Need(tx)
	if err != nil {
		return table.CeremonyRecord{}, err
	}
	if n == nil {
		return table.CeremonyRecord{}, fmt.Errorf("%w: no ceremony is needed, or one is under way", coco.ErrInvalid)
	}
	if acting == nil {
		acting = n.Acting
	}
	list, err := trusted(tx)
	if err != nil {
		return table.CeremonyRecord{}, err
	}
	if len(acting) != len(n.Session.Receivers) {
		return table.CeremonyRecord{}, fmt.Errorf("%w: ceremony %d: expected a node for each of %d members, found %d", coco.ErrInvalid, n.Number, len(n.Session.Receivers), len(acting))
	}
	for _, id := range acting {
		if _, ok := list.find(id); !ok {
			return table.CeremonyRecord{}, fmt.Errorf("%w: ceremony %d: node %s is to act, and is not trusted", coco.ErrInvalid, n.Number, id.Short())
		}
	}
	if err := n.Session.Check(); err != nil {
		return table.CeremonyRecord{}, err
	}
	if err := b.sweep(tx, n.Number-1); err != nil {
		return table.CeremonyRecord{}, err
	}
	rec := table.CeremonyRecord{
		Number: n.Number, Session: n.Session, Cause: n.Cause, Acting: slices.Clone(acting), Dealing: n.Dealing,
		Since: tx.Seqno(), Time: tx.Time(), State: table.CeremonyRuns,
	}
	return rec, table.PutCeremony(tx, rec)
}

// sweep deletes the statements of a ceremony that is over: the ledger's batches keep them.
func (b *Book) sweep(tx *store.Tx, number uint64) error {
	var rows [][]byte
	tx.Range(table.CeremoniesTable, table.StatementKey(number, 0), table.NumberKey(number+1), func(key, _ []byte) bool {
		rows = append(rows, slices.Clone(key))
		return true
	})
	for _, key := range rows {
		tx.Delete(table.CeremoniesTable, key)
	}
	return nil
}

// Speak records a statement of a node, as dkg.Marshal makes it. There is one in a transaction. The error is coco.ErrInvalid if the node does not act for the party, or the
// statement is not possible now, of another session, or wrong: then nothing is written.
func (b *Book) Speak(tx *store.Tx, from coco.NodeID, raw []byte) error {
	rec, err := b.runs(tx)
	if err != nil {
		return err
	}
	session, s, err := dkg.Parse(raw)
	if err != nil {
		return err
	}
	if session != b.at.Digest() {
		return fmt.Errorf("%w: a statement of session %s, expected that of ceremony %d, %s", coco.ErrInvalid, session.Short(), rec.Number, b.at.Digest().Short())
	}
	if err := speaks(&rec, from, s); err != nil {
		return err
	}
	if confirm, ok := s.(*dkg.Confirm); ok {
		to, err := Recipients(tx, &rec)
		if err != nil {
			return err
		}
		if err := committee.CheckSealedPackage(confirm.Sealed, to[confirm.Receiver-1], confirm.Receiver); err != nil {
			return err
		}
	}
	return b.record(tx, rec, table.StatementRecord{Node: from, Time: tx.Time(), Raw: raw})
}

// runs returns the ceremony that runs, to which the book has followed.
func (b *Book) runs(tx *store.Tx) (table.CeremonyRecord, error) {
	rec, has, err := table.NewestCeremony(tx)
	if err != nil {
		return rec, err
	}
	if !has || rec.State != table.CeremonyRuns {
		return rec, fmt.Errorf("%w: no ceremony runs", coco.ErrInvalid)
	}
	return rec, b.follow(tx, rec)
}

// record writes a statement, and what comes of it.
func (b *Book) record(tx *store.Tx, rec table.CeremonyRecord, st table.StatementRecord) error {
	key := table.StatementKey(rec.Number, tx.Seqno())
	if _, there := tx.Get(table.CeremoniesTable, key); there {
		return fmt.Errorf("%w: ceremony %d: a transaction has one statement", coco.ErrInvalid, rec.Number)
	}
	row, err := table.EncodeStatement(st)
	if err != nil {
		return err
	}
	if err := b.apply(table.Statement{Seqno: tx.Seqno(), StatementRecord: st}, store.Write{Key: key, Value: row}); err != nil {
		return err
	}
	tx.Put(table.CeremoniesTable, key, row)
	switch phase, _ := b.at.Phase(); phase {
	case dkg.Done:
		rec.State = table.CeremonyDone
	case dkg.Failed:
		rec.State = table.CeremonyFailed
	default:
		return nil
	}
	return b.end(tx, rec)
}

// end writes the record of a ceremony that runs no longer.
func (b *Book) end(tx *store.Tx, rec table.CeremonyRecord) error {
	rec.Ended, rec.Faults = tx.Seqno(), nil
	for _, f := range b.at.Faults() {
		rec.Faults = append(rec.Faults, table.CeremonyFault{Phase: f.Phase, Actor: f.Actor, Code: f.Code})
	}
	return table.PutCeremony(tx, rec)
}

// speaks checks that a node acts for the party of a statement.
func speaks(rec *table.CeremonyRecord, from coco.NodeID, s dkg.Statement) error {
	acting, number := rec.Acting, uint32(0)
	switch s := s.(type) {
	case *dkg.Register:
		number = s.Receiver
	case *dkg.Verdict:
		number = s.Receiver
	case *dkg.Confirm:
		number = s.Receiver
	case *dkg.Commit:
		acting, number = rec.Deals(), s.Dealer
	case *dkg.Reveal:
		acting, number = rec.Deals(), s.Dealer
	default:
		return fmt.Errorf("%w: ceremony %d: a %T is no node's to say", coco.ErrInvalid, rec.Number, s)
	}
	if number < 1 || int(number) > len(acting) || acting[number-1] != from {
		return fmt.Errorf("%w: ceremony %d: node %s does not act for party %d of a %T", coco.ErrInvalid, rec.Number, from.Short(), number, s)
	}
	return nil
}

// Recipients returns the encryption keys of a ceremony's receivers, in their order: those that the constitution listed when it began.
func Recipients(r store.Reader, rec *table.CeremonyRecord) ([][]byte, error) {
	version, err := table.VersionAt(r, rec.Since)
	if err != nil {
		return nil, err
	}
	row, err := table.Version(r, version)
	if err != nil {
		return nil, err
	}
	c, err := constitution.Decode(row.Core)
	if err != nil {
		return nil, err
	}
	out := make([][]byte, len(rec.Session.Receivers))
	for i, actor := range rec.Session.Receivers {
		m, ok := c.Member(actor)
		if !ok {
			return nil, fmt.Errorf("%w: ceremony %d: receiver %s was no member when it began", coco.ErrCorrupt, rec.Number, actor.Short())
		}
		out[i] = m.EncryptionKey
	}
	return out, nil
}
