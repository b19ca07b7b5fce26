package audit

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/store"
)

// Keys counts what an audit has checked of committees and of what is sealed to them.
type Keys struct {
	Ceremonies, Failed int               // that have begun, and that have made no committee
	Statements         int               // in ceremonies
	Committees         int               // one more with each that came into force
	Epochs             map[uint64]uint64 // by the number of the committee that they are sealed to; 0: to the members
	Sealings           int               // of the keys of grants
	Boxes              int               // of epochs, for auditors
	Parts              int               // of seats, for auditors
}

// ceremonies is what an audit knows of them.
type ceremonies struct {
	Keys
	book ceremony.Book
}

// Keys returns what the auditor has checked so far.
func (a *Auditor) Keys() Keys { return a.ceremonies.Keys }

// ceremonial says whether a transaction with these writes is one of a ceremony, or claims to be.
func ceremonial(byTable map[string][]store.Write) bool {
	return len(byTable[table.CeremoniesTable])+len(byTable[table.CommitteesTable]) > 0
}

// genesisCommittee checks the committee that a network begins with, which stands in the tables.
func (a *Auditor) genesisCommittee(seqno, now uint64, byTable map[string][]store.Write) error {
	want := 0
	if a.constitution.Rules >= 3 {
		want = 1
	}
	if len(byTable[table.CeremoniesTable]) > 0 || len(byTable[table.CommitteesTable]) != want {
		return fmt.Errorf("a genesis by rules %d with %d rows of ceremonies and %d committees, expected none and %d",
			a.constitution.Rules, len(byTable[table.CeremoniesTable]), len(byTable[table.CommitteesTable]), want)
	}
	for _, w := range byTable[table.CommitteesTable] {
		rec, err := table.DecodeCommittee(w.Value)
		if err != nil {
			return err
		}
		var node coco.NodeID
		for id := range a.nodes { // the only one
			node = id
		}
		if !bytes.Equal(w.Key, table.NumberKey(rec.Number)) {
			return fmt.Errorf("committee %d is written in the wrong place", rec.Number)
		}
		if err := ceremony.CheckDealt(a.Tables(), &rec, node, seqno, now); err != nil {
			return err
		}
		a.ceremonies.Committees++
	}
	return nil
}

// trims says whether a transaction does nothing but reduce rows of epochs, or claims to.
func trims(own []store.Write, byTable map[string][]store.Write) bool {
	if len(own) == 0 || len(own) != len(byTable[table.EpochsTable]) {
		return false
	}
	rec, err := table.DecodeEpoch(own[0].Value)
	if err != nil {
		return false
	}
	_, reduced, err := archive.DigestOf(rec.Sealed)
	return err == nil && reduced
}

// trim repeats the reduction of rows of epochs.
func (a *Auditor) trim(seqno, now uint64, own []store.Write) error {
	return a.repeated(seqno, now, "the reduction of epochs", func(tx *store.Tx) ([]store.Write, error) { return own, ceremony.Trim(tx) })
}

// repeat repeats what a transaction of a ceremony did, from what it was given: who acts, a statement, an archive.
func (a *Auditor) repeat(seqno, now uint64, own []store.Write) error {
	return a.repeated(seqno, now, "the ceremony", func(tx *store.Tx) ([]store.Write, error) {
		installs, err := a.step(tx, seqno, own)
		if err != nil || !installs {
			return own, err
		}
		a.ceremonies.Committees++
		return withoutEpoch(own, "a committee comes into force")
	})
}

// step executes a transaction of a ceremony again, and says whether a committee comes into force in it.
func (a *Auditor) step(tx *store.Tx, seqno uint64, own []store.Write) (installs bool, err error) {
	if row := newestRow(own); row != nil {
		rec, err := table.DecodeCommittee(row)
		if err != nil {
			return false, err
		}
		return true, a.ceremonies.book.InstallAs(tx, rec.Archive)
	}
	var begun, ended *table.CeremonyRecord
	for _, w := range own {
		switch {
		case w.Table != table.CeremoniesTable || w.Delete:
		case bytes.Equal(w.Key, []byte(table.RefreshKey)):
			return false, fmt.Errorf("it asks for a ceremony without a decision of the members to do so")
		case len(w.Key) == len(table.NumberKey(0)):
			rec, err := table.DecodeCeremony(w.Value)
			if err != nil {
				return false, err
			}
			if ended = &rec; rec.Since == seqno {
				begun = &rec
			}
		default:
			st, err := table.DecodeStatement(w.Key, w.Value)
			if err != nil {
				return false, err
			}
			a.ceremonies.Statements++
			if st.Node == (coco.NodeID{}) {
				return false, a.failed(tx, a.ceremonies.book.Close(tx))
			}
			return false, a.failed(tx, a.ceremonies.book.Speak(tx, st.Node, st.Raw))
		}
	}
	switch {
	case begun != nil:
		a.ceremonies.Ceremonies++
		_, err := a.ceremonies.book.Begin(tx, slices.Clone(begun.Acting))
		return false, err
	case ended != nil:
		return false, a.failed(tx, a.ceremonies.book.Close(tx))
	}
	return false, fmt.Errorf("it deletes from %s, and no ceremony ends", table.CeremoniesTable)
}

// newestRow returns the row of the newest of the committees that are written, nil if there is none: the one before is written again in the same transaction if it is reduced.
func newestRow(own []store.Write) (row []byte) {
	var key []byte
	for _, w := range own {
		if w.Table == table.CommitteesTable && bytes.Compare(w.Key, key) > 0 {
			key, row = w.Key, w.Value
		}
	}
	return row
}

// failed counts a ceremony that has failed by a step that was possible.
func (a *Auditor) failed(tx *store.Tx, err error) error {
	if err != nil {
		return err
	}
	rec, _, err := table.NewestCeremony(tx)
	if err == nil && rec.State == table.CeremonyFailed {
		a.ceremonies.Failed++
	}
	return err
}
