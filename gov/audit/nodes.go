package audit

import (
	"bytes"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// applyNodes follows a transaction's writes to the node list.
func (a *Auditor) applyNodes(seqno, now uint64, byTable map[string][]store.Write) error {
	before := a.store.Begin(0, now) // the state that the transaction found
	var alone *table.NodeRecord     // a node that only a recovery may trust
	for _, w := range byTable[table.NodesTable] {
		rec, refused, err := a.applyNode(before, seqno, now, w)
		if err != nil {
			return err
		}
		if refused == nil {
			continue
		}
		if alone != nil || !a.first || len(byTable[table.EpochsTable]) == 0 {
			return refused
		}
		if err := members.CheckRecovery(a.constitution, &rec); err != nil {
			return err
		}
		alone = &rec
	}
	if len(byTable[table.NodesTable]) == 0 {
		return nil
	}
	if alone != nil && len(a.trusted()) != 1 {
		return fmt.Errorf("node %s is trusted without a vote, and it begins no recovery: other nodes stay", alone.ID.Short())
	}
	return a.checkPlaces()
}

// leaves says whether a transaction with these writes is a node's that leaves in its owner's name, or claims to be.
func leaves(byTable map[string][]store.Write) bool {
	return len(byTable[table.PlacesTable]) == 1 && len(byTable[table.NodesTable]) == 1 &&
		len(byTable[table.ProposalsTable])+len(byTable[table.BallotsTable])+len(byTable[table.VersionsTable])+len(byTable[table.ConstitutionTable]) == 0
}

// checkLeaving checks that a node leaves its own place, and no more. That its row is that of a retired node is for applyNodes to say.
func (a *Auditor) checkLeaving(seqno uint64, byTable map[string][]store.Write) error {
	rec, err := table.DecodeNode(bytes.Clone(byTable[table.NodesTable][0].Value))
	if err != nil {
		return err
	}
	if a.constitution.Rules < 2 || rec.State != table.Retired || a.nodes[rec.ID].State != table.Trusted {
		return fmt.Errorf("it changes a place without a vote, and no node leaves one")
	}
	expected, err := canon.Marshal(table.LeftPlace(&rec, seqno))
	if err != nil {
		return err
	}
	if w := byTable[table.PlacesTable][0]; w.Delete || !bytes.Equal(w.Key, table.PlaceKey(rec.Owner, rec.Address)) || !bytes.Equal(w.Value, expected) {
		return fmt.Errorf("node %s leaves, and the place that changes is not its own", rec.ID.Short())
	}
	return nil
}

// applyNode follows one row. refused is why the members had to vote about the node first, if they had.
func (a *Auditor) applyNode(before store.Reader, seqno, now uint64, w store.Write) (rec table.NodeRecord, refused, err error) {
	if rec, err = table.DecodeNode(bytes.Clone(w.Value)); err != nil {
		return rec, nil, err
	}
	if ok, err := a.renewed(rec, w); ok || err != nil {
		return rec, nil, err
	}
	if !bytes.Equal(w.Key, rec.ID[:]) || rec.Since != seqno {
		return rec, nil, fmt.Errorf("node %s (since %d) is written in the wrong place", rec.ID.Short(), rec.Since)
	}
	old, known := a.nodes[rec.ID]
	if known && (old.State != table.Pending || rec.State == table.Retired) {
		was := old.State
		old.State, old.Since = table.Retired, seqno
		expected, err := canon.Marshal(old)
		if err != nil {
			return rec, nil, err
		}
		if was == table.Retired || !bytes.Equal(expected, w.Value) {
			return rec, nil, fmt.Errorf("node %s is changed other than by retiring it", rec.ID.Short())
		}
		a.putNode(rec)
		return rec, nil, nil
	}
	if err := a.checkNew(&rec, known, now); err != nil {
		return rec, nil, err
	}
	if err := members.CheckName(before, a.constitution, &rec); err != nil {
		return rec, nil, err
	}
	if rec.State == table.Trusted {
		refused = members.CheckAdmitted(before, a.constitution, &rec)
		if seqno == 1 {
			refused = nil // the network begins with it
		}
	} else if _, err := members.CheckPending(a.Nodes(), &rec); err != nil {
		return rec, nil, err
	}
	a.putNode(rec)
	return rec, refused, nil
}

// checkNew checks a node that is trusted or pending from now on.
func (a *Auditor) checkNew(rec *table.NodeRecord, known bool, now uint64) error {
	if rec.State != table.Trusted && (rec.State != table.Pending || known) {
		return fmt.Errorf("node %s is new and %q", rec.ID.Short(), rec.State)
	}
	if rec.Measurement == "" {
		return fmt.Errorf("node %s has no measurement", rec.ID.Short())
	}
	if rec.Time != now {
		return fmt.Errorf("node %s was admitted at time %d, expected the batch's, %d", rec.ID.Short(), rec.Time, now)
	}
	if err := members.CheckForm(rec); err != nil {
		return err
	}
	if err := members.CheckPlace(a.constitution, rec); err != nil {
		return err
	}
	if rec.State == table.Trusted {
		if err := members.CheckEndorsed(a.service, rec); err != nil {
			return err
		}
	} else if len(rec.Certificate) > 0 {
		return fmt.Errorf("node %s is pending and has a certificate", rec.ID.Short())
	}
	if a.cfg.Verifiers == nil {
		return nil
	}
	claims, err := a.cfg.Verifiers.Verify(rec.Evidence, time.UnixMilli(int64(rec.Time)))
	if err != nil {
		return fmt.Errorf("node %s: %w", rec.ID.Short(), err)
	}
	return members.CheckClaims(a.constitution, rec, claims)
}

// checkPlaces says whether two trusted nodes have one owner and address, which only happens to a
// node and the one that replaces it; and the same for pending ones.
func (a *Auditor) checkPlaces() error {
	type place struct {
		owner   coco.ActorID
		address string
	}
	places := map[table.NodeState]map[place]coco.NodeID{table.Trusted: {}, table.Pending: {}}
	for id, rec := range a.nodes {
		at := places[rec.State]
		if at == nil {
			continue
		}
		p := place{rec.Owner, rec.Address}
		if other, ok := at[p]; ok {
			return fmt.Errorf("nodes %s and %s are both %s at %s", id.Short(), other.Short(), rec.State, rec.Address)
		}
		at[p] = id
	}
	return nil
}
