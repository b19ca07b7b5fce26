package ceremony

import (
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/store"
)

// closing is what a Close does at present.
type closing int

const (
	notYet  closing = iota
	abandon         // the ceremony makes a committee of other members or another threshold than the constitution's
	cut             // the phase ends without those who have not spoken
)

// Closable says whether Close would end the phase, or the ceremony, in a transaction of a seqno at a time of the ledger, in milliseconds since 1970.
func (b *Book) Closable(r store.Reader, seqno, now uint64) (bool, error) {
	rec, has, err := table.NewestCeremony(r)
	if err != nil || !has || rec.State != table.CeremonyRuns {
		return false, err
	}
	if err := b.follow(r, rec); err != nil {
		return false, err
	}
	what, err := b.closing(r, &rec, seqno, now)
	return what != notYet, err
}

func (b *Book) closing(r store.Reader, rec *table.CeremonyRecord, seqno, now uint64) (closing, error) {
	c, err := table.LoadCore(r)
	if err != nil {
		return notYet, err
	}
	if int(rec.Session.Threshold) != c.Shares.Threshold || !slices.EqualFunc(rec.Session.Receivers, receivers(c), func(a coco.ActorID, m keys.Recipient) bool { return a == m.Actor }) {
		return abandon, nil
	}
	if _, closable := b.at.Phase(); seqno >= closable || now >= b.since+PhaseMillis {
		return cut, nil
	}
	nodes, err := trusted(r)
	if err != nil {
		return notYet, err
	}
	phase, _ := b.at.Phase()
	dealing := phase == dkg.Committing || phase == dkg.Revealing
	for _, number := range b.at.Waiting() {
		if dealing && b.deals(rec, nodes, number) || !dealing && b.acts(rec, nodes, number) {
			return notYet, nil
		}
	}
	return cut, nil
}

// acts says whether the node that acts for a receiver can speak still.
func (b *Book) acts(rec *table.CeremonyRecord, nodes nodes, receiver uint32) bool {
	_, ok := nodes.find(rec.Acting[receiver-1])
	return ok
}

// deals says whether the node that acts for a dealer can speak still. One of a resharing has the old share only if it is the actor's own.
func (b *Book) deals(rec *table.CeremonyRecord, nodes nodes, dealer uint32) bool {
	if rec.Session.Old == nil {
		return b.acts(rec, nodes, dealer)
	}
	return nodes.own(rec.Dealing[dealer-1], rec.Session.Old.Holders[dealer-1])
}

// Close ends the phase of the ceremony that runs, or the ceremony, if it is time. The error is coco.ErrInvalid if it is not, or none runs.
func (b *Book) Close(tx *store.Tx) error {
	rec, err := b.runs(tx)
	if err != nil {
		return err
	}
	what, err := b.closing(tx, &rec, tx.Seqno(), tx.Time())
	if err != nil {
		return err
	}
	phase, closable := b.at.Phase()
	switch what {
	case abandon:
		rec.State = table.CeremonyFailed
		return b.end(tx, rec)
	case cut:
		raw, err := dkg.Marshal(b.at.Digest(), &dkg.Close{Phase: phase})
		if err != nil {
			return err
		}
		return b.record(tx, rec, table.StatementRecord{Time: tx.Time(), Raw: raw})
	}
	return fmt.Errorf("%w: ceremony %d: the phase %s cannot be closed before transaction %d or the time %d, as parties that can speak have not: found %d and %d",
		coco.ErrInvalid, rec.Number, phase, closable, b.since+PhaseMillis, tx.Seqno(), tx.Time())
}
