package gov

import (
	"bytes"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/store"
)

// applyNodes follows a transaction's writes to the node list.
func (a *Auditor) applyNodes(seqno, now uint64, byTable map[string][]store.Write) error {
	before := a.store.Begin(0, now) // the state that the transaction found
	var alone *NodeRecord           // a node that only a recovery may trust
	for _, w := range byTable[NodesTable] {
		rec, refused, err := a.applyNode(before, seqno, now, w)
		if err != nil {
			return err
		}
		if refused == nil {
			continue
		}
		if alone != nil || !a.first || len(byTable[EpochsTable]) == 0 {
			return refused
		}
		if err := checkRecovery(a.constitution, &rec); err != nil {
			return err
		}
		alone = &rec
	}
	if len(byTable[NodesTable]) == 0 {
		return nil
	}
	if alone != nil && len(a.trusted()) != 1 {
		return fmt.Errorf("node %s is trusted without a vote, and it begins no recovery: other nodes stay", alone.ID.Short())
	}
	return a.checkPlaces()
}

// applyNode follows one row. refused is why the members had to vote about the node first, if they had.
func (a *Auditor) applyNode(before store.Reader, seqno, now uint64, w store.Write) (rec NodeRecord, refused, err error) {
	if rec, err = decodeNode(bytes.Clone(w.Value)); err != nil {
		return rec, nil, err
	}
	if ok, err := a.renewed(rec, w); ok || err != nil {
		return rec, nil, err
	}
	if !bytes.Equal(w.Key, rec.ID[:]) || rec.Since != seqno {
		return rec, nil, fmt.Errorf("node %s (since %d) is written in the wrong place", rec.ID.Short(), rec.Since)
	}
	old, known := a.nodes[rec.ID]
	if known && (old.State != Pending || rec.State == Retired) {
		was := old.State
		old.State, old.Since = Retired, seqno
		expected, err := canon.Marshal(old)
		if err != nil {
			return rec, nil, err
		}
		if was == Retired || !bytes.Equal(expected, w.Value) {
			return rec, nil, fmt.Errorf("node %s is changed other than by retiring it", rec.ID.Short())
		}
		a.nodes[rec.ID] = rec
		return rec, nil, nil
	}
	if err := a.checkNew(&rec, known, now); err != nil {
		return rec, nil, err
	}
	if rec.State == Trusted {
		refused = checkAdmitted(before, a.constitution, &rec)
		if seqno == 1 {
			refused = nil // the network begins with it
		}
	} else if _, err := checkPending(a.Nodes(), &rec); err != nil {
		return rec, nil, err
	}
	a.nodes[rec.ID] = rec
	return rec, refused, nil
}

// checkNew checks a node that is trusted or pending from now on.
func (a *Auditor) checkNew(rec *NodeRecord, known bool, now uint64) error {
	if rec.State != Trusted && (rec.State != Pending || known) {
		return fmt.Errorf("node %s is new and %q", rec.ID.Short(), rec.State)
	}
	if rec.Measurement == "" {
		return fmt.Errorf("node %s has no measurement", rec.ID.Short())
	}
	if rec.Time != now {
		return fmt.Errorf("node %s was admitted at time %d, expected the batch's, %d", rec.ID.Short(), rec.Time, now)
	}
	if err := checkForm(rec); err != nil {
		return err
	}
	if err := checkPlace(a.constitution, rec); err != nil {
		return err
	}
	if rec.State == Trusted {
		if err := checkEndorsed(a.service, rec); err != nil {
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
	return checkClaims(a.constitution, rec, claims)
}

// checkPlaces says whether two trusted nodes have one owner and address, which only happens to a
// node and the one that replaces it; and the same for pending ones.
func (a *Auditor) checkPlaces() error {
	type place struct {
		owner   coco.ActorID
		address string
	}
	places := map[NodeState]map[place]coco.NodeID{Trusted: {}, Pending: {}}
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
