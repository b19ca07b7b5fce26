// Package disclosure reads the private parts of some epochs of a ledger without a node: for members who open them by their keys, and for an auditor to whom they
// have granted these epochs and no others.
//
//	members     Grant(ledger, keys of a threshold, epochs, the auditor's public key) ──▶ wire.EpochGrants, a file that only the auditor can use
//	auditor     Export(ledger, that file, the auditor's key)                        ──▶ a line for each transaction of these epochs
//	members     Export(ledger, keys of a threshold)                                 ──▶ the same, of any epochs
//
// The ledger is verified first, and each transaction's contents are checked against its leaf in the Merkle tree: what is exported is what the network has committed.
//
// Trust: host
package disclosure

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/internal/rehearsal"
	"github.com/cocoframework/coco/keys"
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
	key := coco.Digest(sha256.Sum256(to))
	for epoch := e.First; epoch <= min(e.Last, table.LastEpoch(c.Auditor.Tables())); epoch++ {
		if !slices.ContainsFunc(all, func(g table.GrantRecord) bool { return g.Covers(key, epoch) }) {
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
		return nil, fmt.Errorf("%w: the grant does not cover %s: it is for epochs %s", coco.ErrDenied, e, Ranges(g.Epochs))
	}
	return out, nil
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

// Export reads a copy and writes a line for each transaction of the epochs whose keys are given, in their order. It returns how many.
func Export(ctx context.Context, s *rehearsal.Source, c *rehearsal.Copy, k Keys, adapters []adapter.Adapter, write func(*wire.Exported) error) (count uint64, err error) {
	var says []func([]store.Write) ([]adapter.Exported, error)
	for _, a := range adapters {
		if e, ok := a.(adapter.Exporter); ok {
			says = append(says, e.Export())
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
			for _, say := range says {
				things, err := say(writes)
				if err != nil {
					return fmt.Errorf("transaction %s: %w", line.TransactionID, err)
				}
				for _, t := range things {
					line.Completes = append(line.Completes, wire.ExportedThing(t))
				}
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
