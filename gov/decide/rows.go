package decide

import (
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// rows writes what a decision changes.
type rows struct {
	tx     *store.Tx
	before *constitution.Constitution
	open   table.OpenIndex
}

// opened puts a new proposal into the index.
func (w *rows) opened(rec *table.ProposalRecord) {
	w.open.Last = rec.Number
	w.open.Open = append(slices.Clone(w.open.Open), table.OpenProposal{ID: rec.ID, Expires: rec.Expires, Proposer: rec.Proposer})
}

// decided writes a decision, and says what became of the proposal.
func (w *rows) decided(rec *table.ProposalRecord, d decision) (Outcome, error) {
	if d.next.Version != w.before.Version {
		rec.Version = d.next.Version
		if err := w.version(rec.ID, d.next); err != nil {
			return Outcome{}, err
		}
	}
	for i := range d.effects {
		if err := w.effect(rec.ID, &d.effects[i], d.next); err != nil {
			return Outcome{}, err
		}
	}
	if d.state != table.Open {
		rec.State, rec.Reason, rec.Decided, rec.DecidedTime = d.state, d.why, w.tx.Seqno(), w.tx.Time()
		w.open.Open = slices.DeleteFunc(slices.Clone(w.open.Open), func(o table.OpenProposal) bool { return o.ID == rec.ID })
	}
	out := Outcome{ID: rec.ID, State: d.state, Reason: d.why, Version: d.next.Version, Digest: d.next.Digest(), Effects: d.effects}
	return out, w.put(rec)
}

func (w *rows) put(rec *table.ProposalRecord) error {
	if err := table.Put(w.tx, table.ProposalsTable, rec.ID[:], rec); err != nil {
		return err
	}
	return table.Put(w.tx, table.ProposalsTable, []byte(table.OpenKey), w.open)
}

func (w *rows) version(proposal coco.Digest, next *constitution.Constitution) error {
	before := map[string][]byte{}
	for _, name := range slices.Sorted(maps.Keys(next.AdapterDigests())) {
		if next.AdapterDigests()[name] != w.before.AdapterDigests()[name] {
			before[name] = w.before.Settings(name)
			w.tx.Put(table.ConstitutionTable, []byte(table.SettingsKey+name), next.Settings(name))
		}
	}
	w.tx.Put(table.ConstitutionTable, []byte(table.CoreKey), next.Canonical())
	return table.PutVersion(w.tx, next, proposal, before)
}

// effect writes what one effect changes beside the constitution.
func (w *rows) effect(proposal coco.Digest, e *Effect, next *constitution.Constitution) error {
	place := table.PlaceKey(e.Actor, e.Address)
	switch e.Kind {
	case PlaceAdmitted, PlaceRemoved:
		return table.Put(w.tx, table.PlacesTable, place, table.PlaceRecord{
			Owner: e.Actor, Address: e.Address, Removed: e.Kind == PlaceRemoved, Unbalanced: e.Unbalanced, Since: w.tx.Seqno(), Proposal: proposal,
		})
	case PlaceForgotten:
		w.tx.Delete(table.PlacesTable, place)
	case NodeRetired:
		return table.RetireNode(w.tx, e.Node)
	case KeyRefreshed:
		return table.Put(w.tx, table.CeremoniesTable, []byte(table.RefreshKey), table.RequestRecord{Since: w.tx.Seqno()})
	case EpochsGranted:
		first, last, err := (&action.Args{Epochs: e.Subject}).Range()
		if err != nil {
			return err
		}
		return table.AddGrant(w.tx, table.GrantRecord{Proposal: proposal, Name: e.Name, Auditor: e.Actor, To: []byte(e.Value), First: first, Last: last})
	case NetworkOpened:
		rec, _, err := table.NewestRecovery(w.tx)
		if err != nil || rec.Opened != 0 { // a proposal may say it twice
			return err
		}
		rec.Opened, rec.Proposal = w.tx.Seqno(), proposal
		return table.PutRecovery(w.tx, rec)
	case ActorRemoved:
		if _, stays := next.Member(e.Actor); !stays {
			return w.void(e.Actor, proposal)
		}
	}
	return nil
}

// void makes the ballots of a removed member count no longer: those about open proposals, but for the
// one that removes it, which is decided.
func (w *rows) void(actor coco.ActorID, decided coco.Digest) error {
	for _, o := range w.open.Open {
		if o.ID == decided {
			continue
		}
		key := table.BallotKey(o.ID, actor)
		b, ok, err := table.Get[table.BallotRecord](w.tx, table.BallotsTable, key, table.MaxRecord)
		if err != nil {
			return err
		}
		if !ok || b.Void {
			continue
		}
		b.Void = true
		if err := table.Put(w.tx, table.BallotsTable, key, b); err != nil {
			return err
		}
	}
	return nil
}
