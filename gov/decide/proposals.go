package decide

import (
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// Env is what governance asks of the node that runs it.
type Env struct {
	// CheckSettings says why an adapter's settings cannot follow the old ones by a vote under a version of the rules, both in
	// canonical JSON, where voting ends until a time, in milliseconds since 1970. It is asked when they are proposed, and not again. The error is coco.ErrInvalid and names the adapter. If it is nil, all can.
	CheckSettings func(rules uint64, adapter string, old, new []byte, until uint64) error
}

// Rotates reports whether the holders of an epoch's shares have changed, so that a new epoch begins.
func (o *Outcome) Rotates() bool {
	return slices.ContainsFunc(o.Effects, func(e Effect) bool { return e.Kind == EpochRotated })
}

// Outcome is what became of a proposal.
type Outcome struct {
	ID      coco.Digest // the proposal's
	State   table.ProposalState
	Reason  *reason.Reason // of Rejected, Expired and Failed
	Version uint64         // of the constitution, now
	Digest  coco.Digest    // the constitution's, now
	Effects []Effect
}

// Submit executes a signed proposal or ballot. A vote that decides applies the proposal's effects in
// the same transaction; so does a proposal that needs no vote. One effect is left to the caller: after
// EpochRotated, it MUST announce a new epoch in the same transaction. After an error nothing counts, and the
// transaction MUST be aborted: coco.ErrInvalid for a statement that is wrong or known already or
// comes at the wrong time, coco.ErrVerify for a wrong signature, coco.ErrDenied for a signer without
// the right, coco.ErrNotFound for a ballot about no proposal, and coco.ErrBusy if too many are open.
func Submit(tx *store.Tx, raw []byte, env Env) (Outcome, error) {
	s, err := envelope.Open(raw)
	if err != nil {
		return Outcome{}, err
	}
	found, err := read(tx, tx.Time())
	if err != nil {
		return Outcome{}, err
	}
	member, err := found.signer(s)
	if err != nil {
		return Outcome{}, err
	}
	w := rows{tx: tx, before: found.c, open: found.open}
	if s.Proposal != nil {
		rec, err := found.proposed(member, s, env)
		if err != nil {
			return Outcome{}, err
		}
		d, err := found.judge(&rec, nil, false)
		if err != nil {
			return Outcome{}, err
		}
		rec.Since = tx.Seqno()
		w.opened(&rec)
		return w.decided(&rec, d)
	}
	rec, ballot, err := found.voted(member, s)
	if err != nil {
		return Outcome{}, err
	}
	d := decision{state: table.Withdrawn, next: found.c}
	if ballot.Vote != envelope.Withdraw {
		ballots, err := table.Ballots(tx, rec.ID)
		if err != nil {
			return Outcome{}, err
		}
		ballots = append(slices.DeleteFunc(ballots, func(b table.BallotRecord) bool { return b.Actor == member }), ballot)
		if d, err = found.judge(&rec, ballots, false); err != nil {
			return Outcome{}, err
		}
	}
	ballot.Since = tx.Seqno()
	if err := table.Put(tx, table.BallotsTable, table.BallotKey(rec.ID, member), ballot); err != nil {
		return Outcome{}, err
	}
	return w.decided(&rec, d)
}

// Expire judges proposals whose time for voting is over, in the order of their numbers, up to the
// first one that is accepted: what follows is judged under what it changed, by the next call. It
// returns what became of those that it has judged. For their effects see Submit, for the time Due.
//
// A proposal that would be accepted and raise the rules stays open if waits says so of its id and the rules: nodes do not know them yet. It holds up no
// other one. A nil waits lets none wait.
func Expire(tx *store.Tx, waits func(id coco.Digest, rules uint64) bool) (judged []Outcome, err error) {
	index, err := table.LoadOpen(tx)
	if err != nil {
		return nil, err
	}
	for _, o := range index.Open {
		if o.Expires > tx.Time() {
			continue
		}
		found, err := read(tx, tx.Time())
		if err != nil {
			return judged, err
		}
		rec, err := table.Proposal(tx, o.ID)
		if err != nil {
			return judged, err
		}
		ballots, err := table.Ballots(tx, rec.ID)
		if err != nil {
			return judged, err
		}
		d, err := found.judge(&rec, ballots, true)
		if err != nil {
			return judged, err
		}
		if waits != nil && d.next.Rules > found.c.Rules && waits(rec.ID, d.next.Rules) {
			continue
		}
		w := rows{tx: tx, before: found.c, open: found.open}
		out, err := w.decided(&rec, d)
		if err != nil {
			return judged, err
		}
		if judged = append(judged, out); out.State == table.Accepted {
			break
		}
	}
	return judged, nil
}
