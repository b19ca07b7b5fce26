package ceremonies

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/seats"
	"github.com/cocoframework/coco/store"
)

// past is how the tables' epochs are opened by the committee in force.
type past struct {
	state   func() *store.Snapshot
	network coco.Digest
	newest  *table.CommitteeRecord
	made    *committee.Committee // newest
}

func (p *past) functions() (epoch func(uint64) (*seats.Sealing, error), past func(keys.Secret, []uint64) (map[uint64]keys.Secret, map[uint64]error)) {
	return p.epoch, p.open
}

// epoch is seats.Committee.Epoch.
func (p *past) epoch(number uint64) (*seats.Sealing, error) {
	r := p.state()
	defer r.Release()
	row, sealed, err := epochOf(r, number)
	if err != nil || sealed == nil || sealed.Committee != p.newest.Number {
		return nil, err
	}
	at := row.At(p.network, p.newest, sealed)
	return &seats.Sealing{
		Part:    func(k *committee.Package) (committee.Part, error) { return sealed.Part(p.made, at, k) },
		Combine: func(parts []committee.Part) (keys.Secret, []error, error) { return sealed.Combine(p.made, at, parts) },
	}, nil
}

// epochOf reads an epoch. Sealed is nil if it is of format 1. The error is coco.ErrNotFound if it is not announced.
func epochOf(r store.Reader, number uint64) (row table.EpochRecord, sealed *archive.Epoch, err error) {
	if row, err = table.Epoch(r, number); err != nil {
		return row, nil, err
	}
	sealed, err = archive.EpochOf(row.Sealed)
	return row, sealed, err
}

// open is seats.Committee.Past: from the newest archive to those before it, until all epochs are open.
func (p *past) open(secret keys.Secret, epochs []uint64) (opened map[uint64]keys.Secret, faults map[uint64]error) {
	r := p.state()
	defer r.Release()
	opened = make(map[uint64]keys.Secret, len(epochs)) // that never grows, which would leave copies
	faults = map[uint64]error{}
	wanted := map[uint64]*archive.Epoch{} // nil: of format 1
	for _, number := range epochs {
		_, sealed, err := epochOf(r, number)
		if err != nil {
			faults[number] = err
			continue
		}
		wanted[number] = sealed
	}
	more, err := true, error(nil)
	for number := p.newest.Number; len(wanted) > 0 && more && err == nil; number-- {
		var earlier keys.Secret
		earlier, more, err = p.unlock(r, number, secret, wanted, opened, faults)
		clear(secret[:])
		secret = earlier
	}
	clear(secret[:])
	for number := range wanted {
		faults[number] = errors.Join(faults[number], err)
	}
	return opened, faults
}

// unlock opens the wanted epochs that the archive of one committee opens, and returns the secret of the archive before it, if it holds that.
func (p *past) unlock(r store.Reader, number uint64, secret keys.Secret, wanted map[uint64]*archive.Epoch, opened map[uint64]keys.Secret, faults map[uint64]error) (earlier keys.Secret, more bool, err error) {
	row, err := table.Committee(r, number)
	if err != nil {
		return earlier, false, err
	}
	a, of, err := row.ParseArchive(p.network)
	if err != nil {
		return earlier, false, err
	}
	private, err := a.Unlock(secret, of)
	if err != nil {
		return earlier, false, err
	}
	for n, sealed := range wanted {
		if sealed == nil || sealed.Committee != number {
			continue
		}
		if opened[n], err = private.Epoch(sealed); err != nil {
			delete(opened, n)
			faults[n] = err
		}
		delete(wanted, n)
	}
	carried, unreadable := private.Carried()
	defer keys.Wipe(carried)
	for n := range wanted {
		s, ok, err := fromCarried(r, n, carried)
		if err != nil {
			faults[n] = err
		}
		if ok {
			opened[n] = s
			delete(wanted, n)
			delete(faults, n)
		}
	}
	earlier, more, err = private.Earlier()
	return earlier, more, errors.Join(unreadable, err)
}

// fromCarried returns the secret of an epoch that an archive carries, or that the next later one which it carries opens: those of format 1 carry the epochs before them.
func fromCarried(r store.Reader, number uint64, carried map[uint64]keys.Secret) (secret keys.Secret, ok bool, err error) {
	if s, ok := carried[number]; ok {
		return s, true, nil
	}
	from := uint64(0)
	for n := range carried {
		if n > number && (from == 0 || n < from) {
			from = n
		}
	}
	if from == 0 {
		return secret, false, nil
	}
	secret = carried[from]
	for from > number {
		row, sealed, err := epochOf(r, from)
		if err != nil || sealed != nil {
			clear(secret[:])
			return secret, false, err
		}
		e, err := keys.ParseSealedEpoch(row.Sealed)
		if err != nil {
			clear(secret[:])
			return secret, false, err
		}
		previous, err := e.OpenPrevious(secret)
		clear(secret[:])
		if err != nil {
			return secret, false, err
		}
		next := uint64(0)
		for n := range previous {
			if n >= number && (next == 0 || n < next) {
				next = n
			}
		}
		secret = previous[next]
		keys.Wipe(previous)
		if next == 0 {
			return keys.Secret{}, false, nil
		}
		from = next
	}
	return secret, true, nil
}

// slow is after how many ticks an opening that is not done says who is missing: a second and a half.
const slow = 6

// Open has an epoch opened again whose secret this node does not hold, and those ahead if that takes no more. It does not wait. It returns nil if the node holds it by now; coco.ErrPending
// while the seats' nodes are asked, coco.ErrBusy if fewer of them than are needed have given their parts for a while, coco.ErrNotFound if there is no committee that would, and a seats.ClosedError if
// what they have opened does not give it: then nobody is asked again before another committee is in force.
func (d *Driver) Open(epoch uint64, ahead ...uint64) error {
	if d == nil {
		return fmt.Errorf("%w: this node is starting", coco.ErrPending)
	}
	if _, err := d.step(seats.Want{Epoch: epoch, Ahead: ahead}); err != nil {
		if closed := (*seats.ClosedError)(nil); errors.As(err, &closed) {
			return closed
		}
		return fmt.Errorf("this node does not hold the secret of epoch %d: %w", epoch, err)
	}
	if d.cfg.Held(epoch) {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	state, err := d.state()
	if err != nil {
		return err
	}
	w, asked := d.machine.Waiting(epoch, state)
	switch {
	case !asked || w.Ticks < slow && w.Fault == nil:
		return fmt.Errorf("%w: epoch %d has expired on this node, and is being opened again by the members' nodes: ask again", coco.ErrPending, epoch)
	case w.Fault != nil:
		return fmt.Errorf("%w: epoch %d does not open: %w", coco.ErrBusy, epoch, w.Fault)
	}
	text := d.ledger.missing(w)
	if !d.told[epoch] {
		d.told[epoch] = true
		d.cfg.Log.Warn("an epoch that has expired does not open again: too few of the members' nodes give their parts", logevent.EpochUnopened.Attr(), "epoch", epoch, "missing", text)
	}
	return fmt.Errorf("%w: epoch %d has expired on this node, and opens again with the parts of %d members' nodes; %d are there. %s", coco.ErrBusy, epoch, w.Need, w.Have, text)
}

// missing says in words whose parts are missing.
func (l *committed) missing(w seats.Waiting) string {
	var out []string
	for _, m := range w.Missing {
		why := "does not answer"
		switch m.Reason {
		case seats.NoNode:
			why = "has no node that holds its package"
		case seats.Denied:
			why = "refuses"
		case seats.Wrong:
			why = "gave a wrong part"
		}
		out = append(out, l.names.Name(l.newest.Seats[m.Seat-1].Actor)+" "+why)
	}
	return strings.Join(out, "; ")
}

// Ended returns when an epoch ended, by the ledger's time: when the next one was announced. It returns nil as long as nodes could not open an epoch again: there is no committee but one that
// a single enclave has dealt, fewer of its seats than open something have live nodes, or its rows cannot be followed, which Run logs. Then what nodes hold is what the next committee's archive is made of.
func (d *Driver) Ended(r store.Reader) func(epoch uint64) (time.Time, bool) {
	d.mu.Lock()
	state, err := d.state()
	d.mu.Unlock()
	if err != nil || state.Newest == nil || !state.Newest.Opens(&state) {
		return nil
	}
	return func(epoch uint64) (time.Time, bool) {
		row, err := table.Epoch(r, epoch+1)
		if err != nil {
			return time.Time{}, false
		}
		return time.UnixMilli(int64(row.Time)), true // by rules 1 it has no time, and was long ago
	}
}
