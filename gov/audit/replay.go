package audit

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// decides says whether a transaction with these writes is one of Submit or Expire, or claims to be.
func decides(byTable map[string][]store.Write) bool {
	return len(byTable[table.ProposalsTable])+len(byTable[table.BallotsTable])+len(byTable[table.VersionsTable])+len(byTable[table.PlacesTable])+len(byTable[table.ConstitutionTable]) > 0 || slices.ContainsFunc(byTable[table.GrantsTable], isGrant)
}

// replay repeats what a transaction decided, from the signed statement that it recorded or, if there
// is none, from the time that had passed, by the code that decided it. Whatever else it wrote than follows
// from that is not the members' will.
func (a *Auditor) replay(seqno, now uint64, own []store.Write) error {
	err := a.repeated(seqno, now, "the members' decision", func(tx *store.Tx) ([]store.Write, error) {
		outcomes, err := a.decide(tx, seqno, own)
		if err == nil && slices.ContainsFunc(outcomes, func(o decide.Outcome) bool { return o.Rotates() }) {
			own, err = withoutEpoch(own, "those who hold shares have changed")
		}
		return own, err
	})
	if err != nil {
		return err
	}
	return a.reload(own)
}

// decide decides again what a transaction decided.
func (a *Auditor) decide(tx *store.Tx, seqno uint64, own []store.Write) ([]decide.Outcome, error) {
	raw, err := a.statement(tx, seqno, own)
	if err != nil {
		return nil, err
	}
	if raw != nil {
		out, err := decide.Submit(tx, raw, decide.Env{})
		return []decide.Outcome{out}, err
	}
	// A change that nothing called for shows as a write too many. A rise of the rules that was not decided waited for nodes, of which the ledger holds nothing.
	return decide.Expire(tx, func(id coco.Digest, _ uint64) bool {
		return !slices.ContainsFunc(own, func(w store.Write) bool {
			return w.Table == table.ProposalsTable && bytes.Equal(w.Key, id[:])
		})
	})
}

// repeated executes a transaction again, on the state before it: run does, and returns those of the transaction's writes that must be the same.
func (a *Auditor) repeated(seqno, now uint64, by string, run func(*store.Tx) ([]store.Write, error)) error {
	if last := a.store.Newest(); last < seqno-1 {
		if err := a.store.Apply(seqno-1, nil); err != nil {
			return err
		}
	}
	set := a.store.Begin(0, now)
	tx := set.Begin()
	found, err := run(tx)
	if err != nil {
		return err
	}
	tx.Commit()
	expected, err := store.DecodeWrites(set.Records()[0].Public)
	if err != nil {
		return err
	}
	return sameWrites(expected, found, by)
}

// withoutEpoch leaves out the one epoch that a change of those who open epochs announces: applyEpoch checks it.
func withoutEpoch(writes []store.Write, why string) ([]store.Write, error) {
	rest := slices.DeleteFunc(slices.Clone(writes), func(w store.Write) bool { return w.Table == table.EpochsTable })
	switch len(writes) - len(rest) {
	case 0:
		return nil, fmt.Errorf("%s, and no epoch is announced for them", why)
	case 1:
		return rest, nil
	}
	return nil, fmt.Errorf("%s, and it announces more than one epoch for them", why)
}

// statement returns the envelope that a transaction brought; nil if it brought none.
func (a *Auditor) statement(before store.Reader, seqno uint64, own []store.Write) (raw []byte, err error) {
	for _, w := range own {
		var brought []byte
		switch w.Table {
		case table.BallotsTable:
			b, err := table.Decode[table.BallotRecord](w.Table, w.Value, table.MaxRecord)
			if err != nil {
				return nil, err
			}
			if b.Since == seqno {
				brought = b.Raw
			}
		case table.ProposalsTable:
			if _, known := before.Get(w.Table, w.Key); known || string(w.Key) == table.OpenKey {
				continue
			}
			p, err := table.Decode[table.ProposalRecord](w.Table, w.Value, table.MaxRecord)
			if err != nil {
				return nil, err
			}
			brought = p.Raw
		}
		switch {
		case brought == nil:
		case raw != nil:
			return nil, fmt.Errorf("it records two statements")
		default:
			raw = brought
		}
	}
	return raw, nil
}

// sameWrites compares what must have been written, by a decision or a ceremony, with what was.
func sameWrites(expected, found []store.Write, by string) error {
	type cell struct{ table, key string }
	want := map[cell]store.Write{}
	for _, w := range expected {
		want[cell{w.Table, string(w.Key)}] = w
	}
	for _, w := range found {
		c := cell{w.Table, string(w.Key)}
		e, ok := want[c]
		switch {
		case !ok:
			return fmt.Errorf("it changes %s, row %.20x, without a decision of the members to do so: it does not follow from %s", w.Table, w.Key, by)
		case e.Delete != w.Delete || !bytes.Equal(e.Value, w.Value):
			return fmt.Errorf("what it writes to %s, row %.20x, is not what %s comes to", w.Table, w.Key, by)
		}
		delete(want, c)
	}
	for c := range want {
		return fmt.Errorf("it leaves out what %s does to %s, row %.20x", by, c.table, c.key)
	}
	return nil
}

// reload takes over a constitution that a decision has changed.
func (a *Auditor) reload(own []store.Write) error {
	var core []byte
	settings := map[string][]byte{}
	for _, w := range own {
		if w.Table != table.ConstitutionTable {
			continue
		}
		if string(w.Key) == table.CoreKey {
			core = w.Value
		} else {
			settings[string(w.Key[len(table.SettingsKey):])] = w.Value
		}
	}
	if core == nil {
		return nil
	}
	c, err := constitution.Decode(bytes.Clone(core))
	if err != nil {
		return err
	}
	for name := range c.AdapterDigests() {
		text, changed := settings[name]
		if !changed {
			text = a.constitution.Settings(name)
		}
		if err := c.AddSettings(name, text); err != nil {
			return err
		}
	}
	a.constitution = c
	return nil
}

// genesisVersion checks the first version's record.
func (a *Auditor) genesisVersion(now uint64, byTable map[string][]store.Write) error {
	for _, table := range []string{table.ProposalsTable, table.BallotsTable, table.PlacesTable, table.RecoveriesTable, table.GrantsTable} {
		if len(byTable[table]) > 0 {
			return fmt.Errorf("a genesis that writes to %s", table)
		}
	}
	c := a.constitution
	expected, err := canon.Marshal(table.VersionRecord{Version: 1, Digest: c.Digest(), Since: 1, Time: now, Core: c.Canonical(), Before: map[string][]byte{}})
	if err != nil {
		return err
	}
	rows := byTable[table.VersionsTable]
	if len(rows) != 1 || !bytes.Equal(rows[0].Key, table.VersionKey(1)) || !bytes.Equal(rows[0].Value, expected) {
		return fmt.Errorf("a genesis without the record of its constitution's version")
	}
	return nil
}

// Governance counts what the auditor has checked.
type Governance struct {
	Version   uint64 // of the constitution
	Proposals int
	Accepted  int
	Ballots   int // the last ones of each member about each proposal
}

// Governance returns what the auditor has checked so far.
func (a *Auditor) Governance() (Governance, error) {
	if a.constitution == nil {
		return Governance{}, fmt.Errorf("%w: nothing is audited yet", coco.ErrNotFound)
	}
	r := a.store.Begin(0, 0)
	g := Governance{Version: a.constitution.Version}
	_, err := table.Proposals(r, func(p table.ProposalRecord) bool {
		g.Proposals++
		if p.State == table.Accepted {
			g.Accepted++
		}
		return false
	})
	if err == nil {
		_, err = table.List(r, table.BallotsTable, nil, nil, table.MaxRecord, func(table.BallotRecord) bool { g.Ballots++; return false })
	}
	return g, err
}
