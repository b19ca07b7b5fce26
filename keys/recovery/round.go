package recovery

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/keys"
)

// Round collects releases of one lock. It is safe for concurrent use.
type Round struct {
	receiver *Receiver
	lock     *Lock
	digest   coco.Digest

	mu     sync.Mutex
	parts  map[coco.ActorID][]byte // those that are right; under mu
	faults map[coco.ActorID]error  // of the last release of a member that was wrong; under mu
	done   chan struct{}
}

// Round begins to collect releases of a lock.
func (r *Receiver) Round(l *Lock) *Round {
	return &Round{receiver: r, lock: l, digest: l.Digest(), parts: map[coco.ActorID][]byte{}, faults: map[coco.ActorID]error{}, done: make(chan struct{})}
}

// Format keeps parts out of every text.
func (*Round) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[round of a recovery]")) }

// Request returns what members are asked.
func (r *Round) Request() Request { return r.receiver.rq }

// Lock returns what is to be opened.
func (r *Round) Lock() *Lock { return r.lock }

// Submit checks one member's release and keeps it. A release that is wrong changes nothing about those that are right, also of the same
// member. The error is a *Fault that names the member.
func (r *Round) Submit(in Release) error {
	if !slices.Contains(r.lock.Holders(), in.Actor) {
		return &Fault{Actor: in.Actor, Lock: r.lock.String(), Reason: "the actor has no part of this lock"}
	}
	part, err := r.receiver.open(r.lock, r.digest, in)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		if r.parts[in.Actor] == nil {
			r.faults[in.Actor] = err
		}
		return err
	}
	delete(r.faults, in.Actor)
	if r.parts[in.Actor] = part; len(r.parts) == r.lock.Threshold() {
		select {
		case <-r.done:
		default:
			close(r.done)
		}
	}
	return nil
}

// Resubmit is Submit for a release that was kept: one that is wrong leaves no fault.
func (r *Round) Resubmit(in Release) error {
	err := r.Submit(in)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.faults, in.Actor)
	}
	return err
}

// Done is closed once a threshold of members has released.
func (r *Round) Done() <-chan struct{} { return r.done }

// Holder is a member that has a part of the lock.
type Holder struct {
	Actor    coco.ActorID
	Released bool
	Fault    error // of its last release, if that was wrong and none was right
}

// Holders returns the members that have a part, in order, and whether they have released it.
func (r *Round) Holders() (out []Holder) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, actor := range r.lock.Holders() {
		out = append(out, Holder{actor, r.parts[actor] != nil, r.faults[actor]})
	}
	return out
}

// Missing returns of how many more members releases are needed.
func (r *Round) Missing() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, r.lock.Threshold()-len(r.parts))
}

// Secret returns what was locked, and forgets the parts. Faults name each member whose release is wrong, also if there are enough others. The error is
// coco.ErrInvalid if there are not.
func (r *Round) Secret() (secret keys.Secret, faults []error, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, actor := range slices.SortedFunc(maps.Keys(r.faults), func(a, b coco.ActorID) int { return slices.Compare(a[:], b[:]) }) {
		faults = append(faults, r.faults[actor])
	}
	if n := len(r.parts); n < r.lock.Threshold() {
		return secret, faults, fmt.Errorf("%w: %s: expected shares of %d members, found %d that are right: ask more members for theirs", coco.ErrInvalid, r.lock, r.lock.Threshold(), n)
	}
	secret, err = r.lock.kind().combine(r.parts)
	for _, part := range r.parts {
		clear(part)
	}
	return secret, faults, err
}
