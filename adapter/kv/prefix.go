package kv

import (
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/kv/prefixes"
	"github.com/cocoframework/coco/store"
)

// The rules of prefixes are one wall, and audiences are another: what either keeps from a caller is answered as what does not exist.
// They are asked after a state was chosen, so that rows written under a rule are not read by the rules before it.

// prefixesName is the name of a setting: see Settings.Prefixes.
const prefixesName = "prefixes"

// rows returns the rows of a snapshot that a place's caller may read.
func (l *ledger) rows(in *place, snap *store.Snapshot) store.Reader {
	return l.settings().rules.View(&in.caller, in.of(l.env.State, snap))
}

// mayKnow returns coco.ErrNotFound for a key whose past its caller may not read.
func (l *ledger) mayKnow(in *place, key []byte) error {
	if !l.settings().rules.MayRead(&in.caller, key) {
		return fmt.Errorf("%w: nothing was written", coco.ErrNotFound)
	}
	return nil
}

// admitCaller says why a write is not its caller's to make. The reason follows from the keys and the rules alone: nothing is looked up.
func (s *Settings) admitCaller(caller *coco.Caller, w *write) error {
	if s.rules == nil || w.to().resident { // whose key only the node knows that keeps it: see submitResident
		return nil
	}
	for i := range w.ops {
		if s.rules.MayWrite(caller, w.ops[i].key) {
			continue
		}
		err := notWritable()
		if len(w.ops) > 1 {
			err = fmt.Errorf("operation %d: %w; nothing was written", i, err)
		}
		return err
	}
	return nil
}

func notWritable() error {
	return fmt.Errorf("%w: by the rules of prefixes (setting %s of adapters.kv) the caller's organisation may not write this key", coco.ErrDenied, prefixesName)
}

// mayReadClaimed reports whether a caller may read every key that a transaction claims to have written. Of claims of other ledgers it may.
func mayReadClaimed(rules *prefixes.Rules, caller *coco.Caller, claims []byte) bool {
	if !rules.Hide() {
		return true
	}
	d, to, err := claimsOf(claims)
	if err != nil || d == nil || to.resident { // such claims tell no key
		return err == nil
	}
	d.next(uint64(len(caller.Actor)))
	for n := d.u32(); n > 0 && !d.failed; n-- {
		if !rules.MayRead(caller, d.claimed().key) {
			return false
		}
	}
	return !d.failed
}

// mayDigest says why a caller is told no digest or size of the whole state: it would confirm a guess at a row that the caller may not read.
func (s *Settings) mayDigest(caller *coco.Caller) error {
	if s.rules.MayReadAll(caller) {
		return nil
	}
	return fmt.Errorf("%w: what is about the whole state is for organisations that may read every key (setting %s of adapters.kv)", coco.ErrDenied, prefixesName)
}

// NameActors puts the ids of organisations in the place of their names, in the value of a setting that members are to vote for.
func (Adapter) NameActors(setting string, value []byte, actor func(name string) (coco.ActorID, bool)) ([]byte, error) {
	if setting != prefixesName {
		return value, nil
	}
	return prefixes.Named(value, actor)
}
