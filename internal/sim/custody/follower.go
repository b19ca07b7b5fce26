package custody

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/math/polynomial"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/locks"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/keys/ristretto"
	"github.com/cocoframework/coco/keys/tdh2"
)

// Holder is a member with its encryption key.
type Holder struct {
	Actor coco.ActorID
	Key   *keys.MemberKey
}

// Follower keeps, beside an audit, each committee as it came into force and each batch. It implements ledger.Checker.
type Follower struct {
	*audit.Auditor
	committees []table.CommitteeRecord // in order, whole
	batches    []*batch.Batch
}

// Follow returns a follower of an audit that begins.
func Follow(a *audit.Auditor) *Follower { return &Follower{Auditor: a} }

// Apply implements ledger.Checker.
func (f *Follower) Apply(b *batch.Batch, public [][]byte) error {
	if err := f.Auditor.Apply(b, public); err != nil {
		return err
	}
	for n := uint64(len(f.committees)) + 1; n <= table.LastCommittee(f.Tables()); n++ {
		rec, err := table.Committee(f.Tables(), n)
		if err != nil {
			return err
		}
		f.committees = append(f.committees, rec)
	}
	f.batches = append(f.batches, b)
	return nil
}

// Committees returns how many committees there were.
func (f *Follower) Committees() int { return len(f.committees) }

// newest returns the committee in force; nil if there is none.
func (f *Follower) newest() *table.CommitteeRecord {
	if len(f.committees) == 0 {
		return nil
	}
	return &f.committees[len(f.committees)-1]
}

// Open looks whether members open the ledger: any threshold of those who have a seat all of it, and one fewer nothing. It returns the secrets of the epochs.
func (f *Follower) Open(members []Holder) (map[uint64]keys.Secret, error) {
	newest := f.newest()
	if newest == nil {
		return nil, errors.New("there is no committee")
	}
	var seated []Holder
	for _, s := range newest.Seats {
		if i := slices.IndexFunc(members, func(m Holder) bool { return m.Actor == s.Actor }); i >= 0 {
			seated = append(seated, members[i])
		}
	}
	need := newest.Threshold()
	if len(seated) < need {
		return nil, fmt.Errorf("%d of the seats of committee %d are of known members, expected %d", len(seated), newest.Number, need)
	}
	var first map[uint64]keys.Secret
	for k := 0; k+need <= len(seated); k++ {
		by := seated[k : k+need]
		secrets, err := f.open(by)
		if err != nil {
			return nil, fmt.Errorf("members %d to %d of committee %d do not open the ledger: %w", k+1, k+need, newest.Number, err)
		}
		if first == nil {
			first = secrets
			continue
		}
		for epoch, s := range secrets {
			if !s.Equal(first[epoch]) {
				return nil, fmt.Errorf("members %d to %d of committee %d open epoch %d as another secret than others do", k+1, k+need, newest.Number, epoch)
			}
		}
	}
	if need > 1 {
		if secrets, err := f.open(seated[:need-1]); err == nil || len(secrets) > 0 {
			return nil, fmt.Errorf("%d members of committee %d open %d epochs, expected %d members to be needed", need-1, newest.Number, len(secrets), need)
		}
	}
	return first, f.unseal(first)
}

// open opens the epochs as a recovery does.
func (f *Follower) open(by []Holder) (map[uint64]keys.Secret, error) {
	opening, err := locks.Opening(f.Tables(), f.Used)
	if err != nil {
		return nil, err
	}
	network, err := table.Audience(f.Tables())
	if err != nil {
		return nil, err
	}
	receiver, err := recovery.NewReceiver(recovery.Point{Network: network}, true)
	if err != nil {
		return nil, err
	}
	for lock := opening.Next(); lock != nil; lock = opening.Next() {
		round := receiver.Round(lock)
		for _, m := range by {
			r, err := recovery.New(round.Request(), lock, m.Actor, m.Key)
			if err == nil {
				err = round.Submit(r)
			}
			if err != nil && !errors.Is(err, coco.ErrNotFound) && !errors.Is(err, coco.ErrInvalid) { // it has no seat of an older committee
				return nil, err
			}
		}
		secret, _, err := round.Secret()
		if err == nil {
			if faults := opening.Open(lock, secret); len(faults) > 0 {
				return nil, errors.Join(faults...)
			}
		} else if !opening.GiveUp(lock) {
			return opening.Secrets(), err
		}
	}
	return opening.Secrets(), nil
}

// unseal looks whether secrets are those of all epochs that batches are sealed in, and open every batch.
func (f *Follower) unseal(secrets map[uint64]keys.Secret) error {
	last := table.LastEpoch(f.Tables())
	ring := keys.NewRing()
	for epoch, s := range secrets {
		if epoch < 1 || epoch > last {
			return fmt.Errorf("members open epoch %d, which was not announced", epoch)
		}
		ring.Add(epoch, s)
	}
	for epoch := range last {
		if _, ok := secrets[epoch+1]; !ok && f.Used(epoch+1) { // the secret of another one may have gone with the leader that announced it
			return fmt.Errorf("members open %d of %d epochs, and not epoch %d, in which batches are sealed", len(secrets), last, epoch+1)
		}
	}
	for _, b := range f.batches {
		k, err := ring.Of(b.Header.Epoch)
		if err == nil {
			_, err = b.Open(k)
		}
		if err != nil {
			return fmt.Errorf("batch %d of epoch %d does not open with what members open: %w", b.Header.Index, b.Header.Epoch, err)
		}
	}
	return nil
}

// Succession looks at each committee and the one before it: whoever lost its seat has a share of another key, shares of one key that was shared anew differ, and
// do not combine.
func (f *Follower) Succession(members []Holder) error {
	for i := 1; i < len(f.committees); i++ {
		before, after := &f.committees[i-1], &f.committees[i]
		if len(before.Seats) == 0 || len(after.Seats) == 0 {
			continue // one batch has put two in force
		}
		same := before.Commitment[0] == after.Commitment[0]
		if same != (before.Version == after.Version) {
			return fmt.Errorf("committee %d has key %d and committee %d key %d; the public keys are the same: %t", before.Number, before.Version, after.Number, after.Version, same)
		}
		for _, s := range before.Seats {
			if same && !slices.ContainsFunc(after.Seats, func(a table.SeatRecord) bool { return a.Actor == s.Actor }) {
				return fmt.Errorf("member %s lost its seat with committee %d, which has the key of the one before", s.Actor.Short(), after.Number)
			}
		}
		if before.Session == after.Session {
			return fmt.Errorf("committees %d and %d are of one session", before.Number, after.Number)
		}
		if same && before.Threshold()+after.Threshold() > 2 { // the share of one that opens alone is the key
			if err := f.mix(before, after, members); err != nil {
				return fmt.Errorf("committees %d and %d share one key: %w", before.Number, after.Number, err)
			}
		}
	}
	return nil
}

// mix tries to get the key of a committee with one share of the committee before in the place of one of its own.
func (f *Follower) mix(before, after *table.CommitteeRecord, members []Holder) error {
	network, err := table.Audience(f.Tables())
	if err != nil {
		return err
	}
	old, err := packages(before, network, members)
	if err != nil {
		return err
	}
	now, err := packages(after, network, members)
	if err != nil {
		return err
	}
	var shares []tdh2.Share
	var replaced *tdh2.Share
	for _, s := range after.Seats {
		p, was := now[s.Actor], old[s.Actor]
		if p == nil || len(shares) == after.Threshold() {
			continue
		}
		if shares = append(shares, p.Share); was == nil || replaced != nil {
			continue
		}
		if was.Share.Value.Equal(p.Share.Value) {
			return fmt.Errorf("the share of member %s is what it was", s.Actor.Short())
		}
		replaced = &tdh2.Share{Holder: p.Share.Holder, Value: was.Share.Value}
	}
	if public, err := interpolated(shares); err != nil || public != after.Commitment[0] {
		return fmt.Errorf("%d shares of committee %d do not give its key (%v)", len(shares), after.Number, err)
	}
	if replaced == nil {
		return nil
	}
	for i := range shares {
		if shares[i].Holder == replaced.Holder {
			shares[i] = *replaced
		}
	}
	if public, err := interpolated(shares); err != nil || public == after.Commitment[0] {
		return fmt.Errorf("an old share and new ones give the key (%v)", err)
	}
	return nil
}

// interpolated returns the public key whose private key is shared so.
func interpolated(shares []tdh2.Share) (ristretto.Point, error) {
	var at, values []group.Scalar
	for _, s := range shares {
		v, err := ristretto.ParseScalar(s.Value[:])
		if err != nil {
			return ristretto.Point{}, err
		}
		at, values = append(at, ristretto.At(s.Holder)), append(values, v)
	}
	sum := ristretto.Group.NewScalar()
	for i := range at {
		weight := polynomial.LagrangeBase(uint(i), at, ristretto.Group.NewScalar())
		sum.Add(sum, ristretto.Group.NewScalar().Mul(weight, values[i]))
	}
	return ristretto.Encode(ristretto.Group.NewElement().MulGen(sum)), nil
}

// packages opens the packages of a committee's seats.
func packages(rec *table.CommitteeRecord, network coco.Digest, members []Holder) (map[coco.ActorID]*committee.Package, error) {
	out := map[coco.ActorID]*committee.Package{}
	c, err := rec.Committee()
	if err != nil {
		return nil, err
	}
	for i, s := range rec.Seats {
		m := slices.IndexFunc(members, func(m Holder) bool { return m.Actor == s.Actor && bytes.Equal(m.Key.Public(), s.To) })
		if m < 0 {
			continue
		}
		p, err := committee.OpenPackage(s.Package, members[m].Key, rec.Place(network, uint32(i+1)))
		if err == nil {
			err = c.Holds(p)
		}
		if err != nil {
			return nil, fmt.Errorf("package of seat %d of committee %d: %w", i+1, rec.Number, err)
		}
		out[s.Actor] = p
	}
	return out, nil
}
