// Package disclosure reads the private parts of some epochs of a ledger without a node: for members who open them by their keys, and for an auditor to whom they
// have granted these epochs and no others.
//
//	auditor     Given(ledger, the auditor's key)                                    ──▶ what reads the epochs that nodes put on the ledger for it
//	members     Grant(ledger, keys of a threshold, epochs, the auditor's public key) ──▶ wire.EpochGrants, a file that only the auditor can use
//	auditor     Granted(ledger, that file, the auditor's key)                       ──▶ what reads its epochs
//	members     Opened(ledger, keys of a threshold)                                 ──▶ what reads any epochs
//	            Export                                                              ──▶ a line for each transaction of these epochs
//
// The ledger is verified first, and each transaction's contents are checked against its leaf in the Merkle tree: what is exported is what the network has committed.
//
// Trust: host
package disclosure

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/granting"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/rehearsal"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/committee"
	"github.com/cocoframework/coco/keys/grant"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

// Epochs are epochs from one to another, both included. The zero value is all.
type Epochs struct{ First, Last uint64 }

// ParseEpochs reads 3, 3-5 or 3-, which is from 3 on. The error is coco.ErrInvalid.
func ParseEpochs(text string) (e Epochs, err error) {
	first, last, ranges := strings.Cut(text, "-")
	if e.First, err = strconv.ParseUint(first, 10, 63); err == nil {
		switch {
		case !ranges:
			e.Last = e.First
		case last == "":
			e.Last = 1<<63 - 1
		default:
			e.Last, err = strconv.ParseUint(last, 10, 63)
		}
	}
	if err != nil || e.First < 1 || e.First > e.Last {
		return Epochs{}, fmt.Errorf("%w: epochs %q: expected a number such as 3, or 3-5", coco.ErrInvalid, text)
	}
	return e, nil
}

func (e Epochs) has(epoch uint64) bool { return e == Epochs{} || epoch >= e.First && epoch <= e.Last }

// String says which ones, for people.
func (e Epochs) String() string {
	switch {
	case e == Epochs{}:
		return "all epochs"
	case e.First == e.Last:
		return fmt.Sprintf("epoch %d", e.First)
	case e.Last == 1<<63-1:
		return fmt.Sprintf("the epochs from %d on", e.First)
	}
	return fmt.Sprintf("epochs %d to %d", e.First, e.Last)
}

// Ranges says which epochs are granted, such as "3-5, 9". They must be in order.
func Ranges(granted []wire.EpochGrant) string {
	var out []string
	for i := 0; i < len(granted); {
		first, last := granted[i].Epoch, granted[i].Epoch
		for i++; i < len(granted) && granted[i].Epoch == last+1; i++ {
			last++
		}
		if first == last {
			out = append(out, strconv.FormatUint(first, 10))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", first, last))
		}
	}
	return strings.Join(out, ", ")
}

// some returns the keys of a map that are among the epochs, in order.
func some[V any](m map[uint64]V, e Epochs) []uint64 {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(epoch uint64) bool { return !e.has(epoch) })
}

// Voted says whether members have voted to let a key read epochs, which must not be all. The error is coco.ErrDenied if they have not, and names the first epoch.
func Voted(c *rehearsal.Copy, e Epochs, to []byte) error {
	all, err := table.Grants(c.Auditor.Tables())
	if err != nil {
		return err
	}
	for epoch := e.First; epoch <= min(e.Last, table.LastEpoch(c.Auditor.Tables())); epoch++ {
		if !slices.ContainsFunc(all, func(g table.GrantRecord) bool { return g.Covers(to, epoch) }) {
			return fmt.Errorf("%w: members have not voted to let the key with the fingerprint %s read epoch %d: `coco gov propose grant-epochs` asks them; in a copy of the ledger from before the vote it is not to be seen",
				coco.ErrDenied, keys.Fingerprint(to), epoch)
		}
	}
	return nil
}

// Grant makes what an auditor reads epochs of a copy with, given the keys of a threshold of members. The keys meet in this process, and so do the secrets of all
// epochs. The error is coco.ErrInvalid if the keys are too few, or nothing can be encrypted to the auditor's key, and coco.ErrNotFound if there are no such epochs.
func Grant(c *rehearsal.Copy, members []*keys.MemberKey, e Epochs, to []byte) (*wire.EpochGrants, []error, error) {
	point, err := c.Point()
	if err != nil {
		return nil, nil, err
	}
	secrets, faults, err := c.Secrets(members)
	if err != nil {
		return nil, faults, err
	}
	g := &wire.EpochGrants{Network: point.Network, Name: c.Constitution().Network.Name, To: to}
	for _, epoch := range some(secrets, e) {
		if !c.Auditor.Used(epoch) {
			continue // nothing is sealed in it
		}
		box, err := keys.GrantEpoch(point.Network, epoch, secrets[epoch], to)
		if err != nil {
			return nil, faults, err
		}
		g.Epochs = append(g.Epochs, wire.EpochGrant{Epoch: epoch, Box: box})
	}
	if len(g.Epochs) == 0 {
		return nil, faults, fmt.Errorf("%w: the ledger has no transactions in %s", coco.ErrNotFound, e)
	}
	return g, faults, nil
}

// Keys are what batches are opened with, by their epochs.
type Keys map[uint64]*batch.Keys

// Granted returns the keys of the epochs that were granted to an auditor's key. The error is coco.ErrVerify if a grant is of another network, or for another key.
func Granted(c *rehearsal.Copy, g *wire.EpochGrants, key *keys.MemberKey, e Epochs) (Keys, error) {
	point, err := c.Point()
	if err != nil {
		return nil, err
	}
	if g.Network != point.Network {
		return nil, fmt.Errorf("%w: the grant is of network %q (%s), and this ledger is of %s: name a ledger of that network", coco.ErrVerify, g.Name, g.Network.Short(), point.Network.Short())
	}
	if string(g.To) != string(key.Public()) {
		return nil, fmt.Errorf("%w: the grant is for the key with the fingerprint %s, found %s", coco.ErrVerify, keys.Fingerprint(g.To), keys.Fingerprint(key.Public()))
	}
	out := Keys{}
	for _, in := range g.Epochs {
		if e.has(in.Epoch) {
			if out[in.Epoch], err = key.OpenGrant(g.Network, in.Epoch, in.Box); err != nil {
				return nil, err
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: the grant does not cover %s: it is for epochs %s: ask for these alone (--epochs), or have members make another one (`coco ledger grant`)", coco.ErrDenied, e, Ranges(g.Epochs))
	}
	return out, nil
}

// Given returns the keys of epochs that nodes have put on the ledger for the auditor's key, as members have voted, and the numbers of the grants that they are of. faults name the
// seats whose parts are wrong. All epochs are those that are there. The error is coco.ErrDenied if an epoch that is asked for is not granted to the key, and coco.ErrNotFound if it is, and in this copy not
// all is there that reads it.
func Given(c *rehearsal.Copy, key *keys.MemberKey, e Epochs) (out Keys, numbers []uint64, faults []error, err error) {
	r := c.Auditor.Tables()
	point, err := c.Point()
	if err != nil {
		return nil, nil, nil, err
	}
	all, err := table.Grants(r)
	if err != nil {
		return nil, nil, nil, err
	}
	all = slices.DeleteFunc(all, func(g table.GrantRecord) bool { return string(g.To) != string(key.Public()) })
	if len(all) == 0 {
		return nil, nil, nil, fmt.Errorf("%w: the ledger grants nothing to the key with the fingerprint %s: members vote for it by `coco gov propose grant-epochs`; in a copy from before the vote it is not to be seen, and a file of `coco ledger grant` is named with --grant",
			coco.ErrDenied, keys.Fingerprint(key.Public()))
	}
	out = Keys{}
	var incomplete error
	for _, rec := range all {
		g, err := granting.Load(r, rec.Number)
		if err != nil {
			return nil, nil, faults, err
		}
		opened, wrong, err := open(r, point.Network, g, key, e)
		for _, fault := range wrong {
			faults = append(faults, name(c, rec.Number, fault))
		}
		if err != nil {
			incomplete = errors.Join(incomplete, err)
			continue
		}
		if len(opened) > 0 {
			numbers = append(numbers, rec.Number)
		}
		maps.Copy(out, opened)
	}
	if err := wanted(r, all, out, e); err != nil {
		return nil, nil, faults, errors.Join(err, incomplete)
	}
	return out, numbers, faults, nil
}

// open opens what a grant has of some epochs.
func open(r store.Reader, network coco.Digest, g *granting.Grant, key *keys.MemberKey, e Epochs) (Keys, []error, error) {
	out := Keys{}
	if e != (Epochs{}) && (e.Last < g.First || e.First > g.Last) {
		return out, nil, nil
	}
	if !g.Enough() {
		needed := "a committee of which enough seats have nodes"
		if g.Sealing != nil {
			needed = strconv.Itoa(len(g.Sealing.Commitment))
		}
		return nil, nil, fmt.Errorf("%w: grant %d of epochs %s: in this copy %d parts of seats are there, and it needs %s", coco.ErrNotFound, g.Number, action.RangeText(g.First, g.Last), len(g.Parts), needed)
	}
	c, err := g.Sealing.ToCombine()
	if err != nil {
		return nil, nil, err
	}
	s, err := grant.Parse(g.Sealing.Sealing)
	if err != nil {
		return nil, nil, err
	}
	parts := map[uint32][]byte{}
	for seat, part := range g.Parts {
		parts[seat] = part.Box
	}
	private, faults, err := s.Open(c, g.Of(network, g.Sealing.Committee, g.Sealing.Key), key, parts)
	if err != nil {
		return nil, faults, err
	}
	for epoch := max(g.First, e.First); epoch <= g.Last && e.has(epoch); epoch++ {
		if slices.Contains(g.Missing, epoch) {
			continue
		}
		row, _ := r.Get(table.GrantsTable, table.GrantKey(g.Number, epoch, 0))
		box, err := table.DecodeGrantBox(row)
		if err != nil {
			return nil, faults, err
		}
		if out[epoch], err = private.OpenGrant(network, epoch, box.Box); err != nil {
			return nil, faults, err
		}
	}
	return out, faults, nil
}

// name names the member whose part is wrong.
func name(c *rehearsal.Copy, number uint64, fault error) error {
	if wrong := (*committee.PartError)(nil); errors.As(fault, &wrong) {
		return fmt.Errorf("grant %d: the part of seat %d, of %q, is wrong and not used: %w", number, wrong.Seat, c.Constitution().Name(wrong.Actor), fault)
	}
	return fault
}

// wanted says whether every epoch that is asked for is open.
func wanted(r store.Reader, all []table.GrantRecord, open Keys, e Epochs) error {
	if e == (Epochs{}) {
		if len(open) == 0 {
			return fmt.Errorf("%w: nothing of what is granted to the key can be read from this copy", coco.ErrNotFound)
		}
		return nil
	}
	last := table.LastEpoch(r)
	if e.First > last {
		return fmt.Errorf("%w: the ledger has none of %s: its last one is %d", coco.ErrNotFound, e, last)
	}
	var ranges []string
	for _, g := range all {
		ranges = append(ranges, action.RangeText(g.First, g.Last))
	}
	for epoch := e.First; epoch <= min(e.Last, last); epoch++ {
		switch {
		case open[epoch] != nil:
		case slices.ContainsFunc(all, func(g table.GrantRecord) bool { return epoch >= g.First && epoch <= g.Last }):
			return fmt.Errorf("%w: epoch %d is granted to the key, and in this copy not all is there that reads it: take a newer copy", coco.ErrNotFound, epoch)
		default:
			return fmt.Errorf("%w: the key is granted epochs %s, and not epoch %d: ask for these alone (--epochs), or have members vote for more (`coco gov propose grant-epochs`); a copy from before a vote does not have it",
				coco.ErrDenied, strings.Join(ranges, ", "), epoch)
		}
	}
	return nil
}

// Opened returns the keys of epochs that members open with their keys. The errors are those of Grant.
func Opened(c *rehearsal.Copy, members []*keys.MemberKey, e Epochs) (Keys, []error, error) {
	secrets, faults, err := c.Secrets(members)
	if err != nil {
		return nil, faults, err
	}
	out := Keys{}
	for _, epoch := range some(secrets, e) {
		out[epoch] = batch.NewKeys(epoch, secrets[epoch])
	}
	if len(out) == 0 {
		return nil, faults, fmt.Errorf("%w: the ledger has none of %s", coco.ErrNotFound, e)
	}
	return out, faults, nil
}

// Transactions are those from one seqno to another one, both included; a zero has no bound.
type Transactions struct{ First, Last uint64 }

func (t Transactions) has(seqno uint64) bool {
	return seqno >= t.First && (t.Last == 0 || seqno <= t.Last)
}

// Export reads a copy and writes a line for each transaction of the epochs whose keys are given that is within bounds, in their order. It returns how many.
func Export(ctx context.Context, s *rehearsal.Source, c *rehearsal.Copy, k Keys, within Transactions, adapters []adapter.Adapter, write func(*wire.Exported) error) (count uint64, err error) {
	var says []func([]store.Write) ([]adapter.Exported, error)
	var attributed []adapter.Attributed
	for _, a := range adapters {
		if e, ok := a.(adapter.Exporter); ok {
			says = append(says, e.Export())
		}
		if by, ok := a.(adapter.Attributed); ok {
			attributed = append(attributed, by)
		}
	}
	err = s.Read(ctx, c, func(b *batch.Batch) error {
		with, ok := k[b.Header.Epoch]
		if !ok {
			return nil
		}
		records, err := b.Open(with)
		if err != nil {
			return err
		}
		for i := range records {
			line, writes, err := lineOf(&b.Header, uint64(i), &records[i])
			if err != nil {
				return err
			}
			for _, a := range attributed {
				if actor, user := a.By(records[i].Claims, writes); user != "" {
					line.By = &wire.ExportedBy{Organisation: actor, User: user}
				}
			}
			for _, say := range says {
				things, err := say(writes)
				if err != nil {
					return fmt.Errorf("transaction %s: %w", line.TransactionID, err)
				}
				for _, t := range things {
					line.Completes = append(line.Completes, wire.ExportedThing(t))
				}
			}
			if !within.has(line.TransactionID.Seqno) {
				continue // an adapter has seen it all the same: what it says next may rest on it
			}
			if err := write(line); err != nil {
				return err
			}
			count++
		}
		return nil
	})
	return count, err
}

// lineOf returns a transaction's line, and its writes.
func lineOf(h *batch.Header, i uint64, r *batch.Record) (*wire.Exported, []store.Write, error) {
	line := &wire.Exported{
		TransactionID: coco.TxID{View: h.View, Seqno: h.First + i}, Epoch: h.Epoch, Time: h.Time, Node: h.Node, Claims: r.Claims, Writes: []wire.ExportedWrite{},
	}
	var all []store.Write
	for _, part := range []struct {
		encoded []byte
		private bool
	}{{r.Public, false}, {r.Private, true}} {
		if len(part.encoded) == 0 {
			continue
		}
		writes, err := store.DecodeWrites(part.encoded)
		if err != nil {
			return nil, nil, fmt.Errorf("transaction %s: %w", line.TransactionID, err)
		}
		for _, w := range writes {
			line.Writes = append(line.Writes, wire.ExportedWrite{Table: w.Table, Private: part.private, Key: w.Key, Value: w.Value, Deleted: w.Delete})
		}
		all = append(all, writes...)
	}
	return line, all, nil
}
