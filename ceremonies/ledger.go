package ceremonies

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/archive"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/seats"
	"github.com/cocoframework/coco/store"
)

// since is the version of the rules from which on there are committees.
const since = 3

// decided are the causes that members have decided.
var decided = map[table.CeremonyCause]bool{table.MembersChanged: true, table.ThresholdChanged: true, table.KeyChanged: true, table.RefreshVoted: true}

// committed is what the ledger has of committees, as this node has read it last.
type committed struct {
	book      ceremony.Book
	network   coco.Digest
	names     *constitution.Constitution
	nodes     []coco.NodeID // that the network trusts, in order
	newest    *table.CommitteeRecord
	committee *seats.Committee
	running   *ceremony.Running
	seats     *seats.Running
	need      bool
	urgent    bool
	trimmable bool   // rows of epochs can be reduced
	ended     uint64 // the ceremony whose end was logged last
	state     func() *store.Snapshot
}

// state returns the state that an input is stepped on. The rows are read again if they have changed. It needs d.mu.
func (d *Driver) state() (seats.State, error) {
	s := seats.State{Leading: d.cfg.Replica.Leads(), Leader: d.cfg.Leader()}
	changed := d.changed.Swap(false)
	if !changed && !(s.Leading && d.ledger.running != nil) {
		d.ledger.fill(&s)
		return s, nil
	}
	r := d.cfg.Store.Snapshot()
	defer r.Release()
	if changed {
		if err := d.read(r); err != nil {
			d.changed.Store(true)
			return s, err
		}
	}
	d.ledger.fill(&s)
	if s.Leading && s.Running != nil {
		var err error
		if s.Closable, err = d.ledger.book.Closable(r, d.cfg.Store.Committed()+1, uint64(max(0, d.cfg.Replica.Now().UnixMilli()))); err != nil {
			return s, err
		}
	}
	if changed {
		d.status.Store(d.ledger.describe(s))
	}
	return s, nil
}

func (l *committed) fill(s *seats.State) {
	s.Nodes, s.Newest, s.Running, s.Need, s.Urgent = l.nodes, l.committee, l.seats, l.need, l.urgent
	s.Expires = l.names != nil && l.names.Keys.RetentionSeconds > 0
}

// read reads the rows about committees.
func (d *Driver) read(r store.Reader) (err error) {
	l := &d.ledger
	if l.names, err = table.LoadCore(r); err != nil || l.names.Rules < since {
		return err
	}
	if l.network == (coco.Digest{}) {
		if l.network, err = table.Audience(r); err != nil {
			return err
		}
	}
	trusted, err := table.TrustedNodes(r)
	if err != nil {
		return err
	}
	l.nodes = nil
	for _, rec := range trusted {
		l.nodes = append(l.nodes, rec.ID)
	}
	slices.SortFunc(l.nodes, func(a, b coco.NodeID) int { return bytes.Compare(a[:], b[:]) })
	if err := l.readCommittee(r); err != nil {
		return err
	}
	if err := l.readCeremony(r); err != nil {
		return err
	}
	needed, err := ceremony.NeedBy(r, l.names)
	l.need, l.urgent = needed != nil, needed != nil && decided[needed.Cause]
	if err != nil {
		return err
	}
	if l.trimmable, err = ceremony.Trimmable(r); err != nil {
		return err
	}
	return d.report(r)
}

// combine opens an archive by parts. A secret that does not unlock it is a fault and counts as none: the next archive would hold it, and the seats' packages would leave the tables.
func combine(a *archive.Archive, c *committee.Committee, of archive.Of, parts []committee.Part) (keys.Secret, []error, error) {
	secret, faults, err := a.Combine(c, of, parts)
	if err != nil {
		return keys.Secret{}, faults, err
	}
	if _, err := a.Unlock(secret, of); err != nil {
		return keys.Secret{}, append(faults, err), err
	}
	return secret, faults, nil
}

// readCommittee reads the committee in force. Its row does not change before another one is in force.
func (l *committed) readCommittee(r store.Reader) error {
	if l.newest != nil && l.newest.Number == table.LastCommittee(r) {
		return nil
	}
	rec, has, err := table.NewestCommittee(r)
	if err != nil || !has {
		return err
	}
	made, err := rec.Committee()
	if err != nil {
		return err
	}
	sealed, of, err := rec.ParseArchive(l.network)
	if err != nil {
		return err
	}
	l.newest = &rec
	l.committee = &seats.Committee{
		Number: rec.Number, Session: rec.Session, Threshold: rec.Threshold(),
		Sealing: seats.Sealing{
			Part:    func(p *committee.Package) (committee.Part, error) { return sealed.Part(made, of, p) },
			Combine: func(parts []committee.Part) (keys.Secret, []error, error) { return combine(sealed, made, of, parts) },
		},
	}
	l.committee.Epoch, l.committee.Past = (&past{l.state, l.network, &rec, made}).functions()
	for _, s := range rec.Seats {
		own := false
		if rec.Ceremony != 0 { // no node has a package of a committee that one has dealt
			node, err := table.Node(r, s.Node)
			if err != nil && !errors.Is(err, coco.ErrNotFound) {
				return err
			}
			own = err == nil && node.Owner == s.Actor
		}
		l.committee.Seats = append(l.committee.Seats, seats.Seat{Node: s.Node, Own: own})
	}
	return nil
}

// readCeremony reads the ceremony that runs, or is done and has not put its committee in force.
func (l *committed) readCeremony(r store.Reader) error {
	running, err := l.book.Running(r)
	if errors.Is(err, coco.ErrNotFound) {
		l.running, l.seats = nil, nil
		return nil
	}
	if err != nil {
		return err
	}
	known := l.running != nil && l.running.Number == running.Number
	l.running = running
	if known {
		l.seats.Ceremony = running.Ceremony
		return nil
	}
	to, err := ceremony.Recipients(r, &running.CeremonyRecord)
	if err != nil {
		return err
	}
	session := running.Ceremony.Digest()
	l.seats = &seats.Running{
		Number: running.Number, Ceremony: running.Ceremony,
		Encrypt: func(receiver uint32, p *committee.Package) ([]byte, error) {
			at := committee.Place{Of: session[:], Seat: receiver, Actor: running.Session.Receivers[receiver-1]}
			return committee.SealPackage(p, to[receiver-1], at)
		},
	}
	for i, id := range running.Acting {
		node, err := table.Node(r, id)
		if err != nil {
			return fmt.Errorf("ceremony %d: %w", running.Number, err)
		}
		l.seats.Seats = append(l.seats.Seats, seats.Seat{Node: id, Own: node.Owner == running.Session.Receivers[i]})
	}
	return nil
}

// report logs how the newest ceremony ended, once.
func (d *Driver) report(r store.Reader) error {
	l := &d.ledger
	rec, has, err := table.NewestCeremony(r)
	if err != nil || !has || rec.State == table.CeremonyRuns || rec.State == table.CeremonyDone || rec.Number <= l.ended {
		return err
	}
	first := l.ended == 0 && rec.Ended <= d.since // of the time before this node
	l.ended = rec.Number
	if first {
		return nil
	}
	if rec.State == table.CeremonyFailed {
		d.counts.failed.Add(1)
		var faults []string
		for _, f := range rec.Faults {
			faults = append(faults, fmt.Sprintf("%s: %s, %s", l.names.Name(f.Actor), f.Phase, f.Code))
		}
		d.cfg.Log.Warn("a ceremony has made no committee: another one begins by itself", logevent.CeremonyFailed.Attr(), "ceremony", rec.Number, "faults", faults)
		return nil
	}
	d.cfg.Log.Info("a new committee opens the past", logevent.CommitteeInForce.Attr(), "committee", l.newest.Number, "key", l.newest.Version, "seats", len(l.newest.Seats), "threshold", l.newest.Threshold())
	return nil
}
