package audit

import (
	"bytes"
	"crypto/ecdsa"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/store"
)

// Config says what an audit takes as known. All of it may be left out: then the ledger's
// first transaction is believed, and the reader of the result compares what it names.
type Config struct {
	Service      []byte      // a certificate of the service in DER form: its key counts
	Constitution coco.Digest // the digest of the first constitution
	// Verifiers check the evidence of every node. Without them evidence has only to be in its
	// place: listed platform, listed code, for a node whose owner signed.
	Verifiers attest.Verifiers
	// Now is what time it is: under rules 2 no batch is later by more than maxAhead. The zero time leaves that out.
	Now time.Time
}

// maxAhead is how far a batch may be ahead of Config.Now, as clocks differ: as far as a statement may be ahead of the ledger's time.
const maxAhead = 10 * time.Minute

// Auditor follows governance through a ledger, by its public records alone, and says who may sign
// each batch: a node that was trusted before it. It repeats every check that the network made, and every
// decision of its members from their signed statements. Two
// batches name their own signer: the first one, and one by which a node begins a recovery, whose
// first transaction leaves that node as the only trusted one. For these Apply MUST be called before
// Signer; for all others the order does not matter.
//
// It implements ledger.Checker. It belongs to one goroutine, and after an error it is of no use.
type Auditor struct {
	cfg          Config
	constitution *constitution.Constitution
	service      []byte
	nodes        map[coco.NodeID]table.NodeRecord
	epochs       struct {
		last   uint64              // announced
		shared []*keys.SealedEpoch // among the members
		sealed uint64              // the last one used
		used   map[uint64]bool
	}
	snapshots  []table.SnapshotRecord
	store      *store.Store // the public tables of governance, in which decisions are replayed
	ceremonies ceremonies
	view       uint64 // of the batch that is being followed; zero if it is not known

	applied struct { // the batch applied last
		header    batch.Header
		before    map[coco.NodeID]struct{} // who was trusted before it
		recovered coco.NodeID              // the node that its first transaction left alone, if it did
		recovery  uint64                   // index of the batch that began the last recovery under a new service
	}
	recovering coco.NodeID              // the node of the recovery that the batch being followed begins
	now        map[coco.NodeID]struct{} // who is trusted, immutable; nil if the nodes have changed since it was made
	first      bool                     // the first of a batch's transactions is being followed
	writes     []store.Write            // reused
}

// New returns an auditor for a ledger from its beginning.
func New(cfg Config) *Auditor {
	a := &Auditor{cfg: cfg, nodes: map[coco.NodeID]table.NodeRecord{}, store: store.New()}
	a.epochs.used, a.ceremonies.Epochs = map[uint64]bool{}, map[uint64]uint64{}
	if err := a.store.Create(table.All()...); err != nil {
		panic(err) // the names differ
	}
	return a
}

// Constitution returns the constitution in force; nil before the first batch.
func (a *Auditor) Constitution() *constitution.Constitution { return a.constitution }

// ServiceCertificate returns the service's certificate in DER form.
func (a *Auditor) ServiceCertificate() []byte { return a.service }

// Nodes returns every node so far, in order of their ids.
func (a *Auditor) Nodes() []table.NodeRecord {
	return slices.SortedFunc(maps.Values(a.nodes), func(x, y table.NodeRecord) int { return bytes.Compare(x.ID[:], y.ID[:]) })
}

// Epochs returns every epoch announced so far that is shared among the members (format 1), in order. Those that are sealed to a committee are in Tables: table.Epochs.
func (a *Auditor) Epochs() []*keys.SealedEpoch { return a.epochs.shared }

// Follow follows the public writes of one transaction, as Apply does for those of a batch; first tells that it is the
// first one of its batch. now is the batch's time in milliseconds since 1970.
func (a *Auditor) Follow(seqno, now uint64, first bool, writes []store.Write) error {
	a.first, a.view = first, 0
	return a.transaction(seqno, now, writes)
}

// Tables returns the public tables of governance as they follow from the transactions so far.
func (a *Auditor) Tables() store.Reader { return a.store.Begin(0, 0) }

// Last returns the header of the batch that was applied last; zero before the first one.
func (a *Auditor) Last() batch.Header { return a.applied.header }

// Used says whether a batch so far is sealed in an epoch.
func (a *Auditor) Used(epoch uint64) bool { return a.epochs.used[epoch] }

// Signer returns the key that must have signed a batch, or why its node may not sign it.
func (a *Auditor) Signer(h batch.Header) (*ecdsa.PublicKey, error) {
	rec, known := a.nodes[h.Node]
	trusted := known && rec.State == table.Trusted
	if a.applied.header.Index == h.Index {
		_, trusted = a.applied.before[h.Node]
		trusted = trusted || known && h.Node == a.applied.recovered
	}
	switch {
	case trusted:
		return rec.PublicKey()
	case known:
		return nil, fmt.Errorf("%w: batch %d: node %s is not trusted at this point (%s since %d)", coco.ErrVerify, h.Index, h.Node.Short(), rec.State, rec.Since)
	}
	return nil, fmt.Errorf("%w: batch %d: node %s is not in the node list", coco.ErrVerify, h.Index, h.Node.Short())
}

// Apply follows a batch's public records.
func (a *Auditor) Apply(b *batch.Batch, public [][]byte) error {
	h := &b.Header
	if h.Time < a.applied.header.Time {
		return fmt.Errorf("%w: batch %d is of %s, and the one before it of %s: a ledger's time never goes back", coco.ErrVerify, h.Index, stamp(h.Time), stamp(a.applied.header.Time))
	}
	a.applied.before, a.applied.recovered, a.view = a.trusted(), coco.NodeID{}, h.View
	for i, record := range public {
		seqno := h.First + uint64(i)
		var err error
		a.first = i == 0
		if a.writes, err = store.AppendWrites(a.writes[:0], record); err == nil {
			err = a.transaction(seqno, h.Time, a.writes)
		}
		if err == nil && i == 0 {
			if now := a.trusted(); len(now) == 1 {
				for id := range now {
					a.applied.recovered = id
				}
			}
		}
		if err != nil {
			return fmt.Errorf("%w: transaction %s: %v", coco.ErrVerify, coco.TxID{View: h.View, Seqno: seqno}, err)
		}
	}
	if h.Epoch < max(a.epochs.sealed, 1) || h.Epoch > a.epochs.last {
		return fmt.Errorf("%w: batch %d is sealed in epoch %d, expected %d to %d", coco.ErrVerify, h.Index, h.Epoch, max(a.epochs.sealed, 1), a.epochs.last)
	}
	if latest := a.cfg.Now.Add(maxAhead); a.constitution.Rules >= 2 && !a.cfg.Now.IsZero() && h.Time > uint64(max(0, latest.UnixMilli())) {
		return fmt.Errorf("%w: batch %d is of %s, expected at most %s, ten minutes from now: the clocks of a majority of its nodes were ahead, or this machine's is behind",
			coco.ErrVerify, h.Index, stamp(h.Time), latest.UTC().Format(time.RFC3339))
	}
	a.epochs.sealed, a.applied.header = h.Epoch, *h
	a.epochs.used[h.Epoch] = true
	if a.recovering != (coco.NodeID{}) {
		a.applied.recovery, a.recovering = h.Index, coco.NodeID{}
	}
	return nil
}

func stamp(ms uint64) string {
	return time.UnixMilli(int64(min(ms, 1<<52))).UTC().Format(time.RFC3339)
}

// trusted returns the trusted nodes. Most batches change none, however many nodes there have been.
func (a *Auditor) trusted() map[coco.NodeID]struct{} {
	if a.now != nil {
		return a.now
	}
	out := map[coco.NodeID]struct{}{}
	for id, rec := range a.nodes {
		if rec.State == table.Trusted {
			out[id] = struct{}{}
		}
	}
	a.now = out
	return out
}

func (a *Auditor) putNode(rec table.NodeRecord) { a.nodes[rec.ID], a.now = rec, nil }

// transaction follows one transaction's writes.
func (a *Auditor) transaction(seqno, now uint64, writes []store.Write) error {
	own, byTable, err := sortWrites(writes)
	if err != nil || own == nil && seqno != 1 {
		return err
	}
	if err := a.applySnapshots(seqno, byTable[table.SnapshotsTable]); err != nil {
		return err
	}
	trim := trims(own, byTable)
	switch {
	case seqno == 1:
		err = a.genesis(now, byTable)
	case recoverers(byTable):
		err = a.recovery(seqno, now, byTable)
	case leaves(byTable):
		err = a.checkLeaving(seqno, byTable)
	case decides(byTable):
		err = a.replay(seqno, now, own)
	case ceremonial(byTable):
		err = a.repeat(seqno, now, own)
	case trim:
		err = a.trim(seqno, now, own)
	case len(byTable[table.GrantsTable]) > 0:
		err = a.disclose(seqno, now, own)
	default:
		err = a.applyService(byTable[table.ServiceTable])
	}
	if err != nil {
		return err
	}
	if err := a.applyNodes(seqno, now, byTable); err != nil {
		return err
	}
	if err := a.endRecovery(byTable); err != nil {
		return err
	}
	// The writes are of a buffer that is used again.
	for i := range own {
		own[i].Key, own[i].Value = bytes.Clone(own[i].Key), bytes.Clone(own[i].Value)
	}
	if err := a.store.Apply(seqno, own); err != nil {
		return err
	}
	a.store.Commit(seqno)
	if seqno == 1 {
		if err := a.genesisCommittee(seqno, now, byTable); err != nil {
			return err
		}
	}
	if trim {
		return nil
	}
	for _, w := range byTable[table.EpochsTable] {
		if err := a.applyEpoch(seqno, now, w); err != nil {
			return err
		}
	}
	return nil
}

// sortWrites returns the writes to tables of the core, which are public and known, and the same by
// table.
func sortWrites(writes []store.Write) (own []store.Write, byTable map[string][]store.Write, err error) {
	known := []string{
		table.ConstitutionTable, table.ServiceTable, table.EpochsTable, table.NodesTable, table.SnapshotsTable,
		table.VersionsTable, table.ProposalsTable, table.BallotsTable, table.PlacesTable, table.CeremoniesTable, table.CommitteesTable, table.RecoveriesTable, table.GrantsTable,
	}
	for _, w := range writes {
		if !strings.HasPrefix(w.Table, table.TablePrefix) {
			continue
		}
		if !slices.Contains(known, w.Table) {
			return nil, nil, fmt.Errorf("it writes to %s in public", w.Table)
		}
		if w.Delete && w.Table != table.SnapshotsTable && w.Table != table.PlacesTable && w.Table != table.CeremoniesTable && w.Table != table.GrantsTable {
			return nil, nil, fmt.Errorf("it deletes from %s, where nothing is deleted", w.Table)
		}
		if byTable == nil {
			byTable = map[string][]store.Write{}
		}
		byTable[w.Table] = append(byTable[w.Table], w)
		own = append(own, w)
	}
	return own, byTable, nil
}

func (a *Auditor) genesis(now uint64, byTable map[string][]store.Write) error {
	if len(byTable[table.EpochsTable]) != 1 || len(byTable[table.NodesTable]) != 1 {
		return fmt.Errorf("a genesis with %d epochs and %d nodes, expected one of each", len(byTable[table.EpochsTable]), len(byTable[table.NodesTable]))
	}
	settings := map[string][]byte{}
	for _, w := range byTable[table.ConstitutionTable] {
		name, isSettings := strings.CutPrefix(string(w.Key), table.SettingsKey)
		switch {
		case isSettings:
			settings[name] = w.Value
		case string(w.Key) == table.CoreKey:
			var err error
			if a.constitution, err = constitution.Decode(bytes.Clone(w.Value)); err != nil {
				return err
			}
		default:
			return fmt.Errorf("an unknown part %q of the constitution", w.Key)
		}
	}
	c := a.constitution
	if c == nil {
		return fmt.Errorf("a genesis without a constitution")
	}
	for name := range c.AdapterDigests() {
		if err := c.AddSettings(name, settings[name]); err != nil {
			return err
		}
		delete(settings, name)
	}
	for name := range settings {
		return fmt.Errorf("settings of adapter %q, which the constitution does not name", name)
	}
	if d := a.cfg.Constitution; d != (coco.Digest{}) && d != c.Digest() {
		return fmt.Errorf("a constitution with digest %s, expected %s", c.Digest(), d)
	}
	if err := decide.CheckGenesis(c, now); err != nil {
		return err
	}
	if err := a.genesisVersion(now, byTable); err != nil {
		return err
	}
	if rows := byTable[table.ServiceTable]; len(rows) != 1 || string(rows[0].Key) != table.CertificateKey {
		return fmt.Errorf("a genesis without a service certificate")
	}
	a.service = bytes.Clone(byTable[table.ServiceTable][0].Value)
	if _, err := members.ParseService(a.service); err != nil {
		return err
	}
	if a.cfg.Service != nil && !members.SameNetwork(a.cfg.Service, a.service) {
		return fmt.Errorf("another service certificate than the one expected: this is another network's ledger")
	}
	return nil
}

func (a *Auditor) applyEpoch(seqno, now uint64, w store.Write) error {
	rec, err := table.DecodeEpoch(w.Value)
	if err != nil {
		return err
	}
	if !bytes.Equal(w.Key, table.EpochKey(rec.Epoch)) || rec.Since != seqno {
		return fmt.Errorf("epoch %d (since %d) is written in the wrong place", rec.Epoch, rec.Since)
	}
	if a.constitution.Rules < 2 {
		now = 0 // by rules 1 the time is absent
	}
	if rec.Time != now {
		return fmt.Errorf("epoch %d has the time %d, expected %d", rec.Epoch, rec.Time, now)
	}
	if committee := table.LastCommittee(a.Tables()); committee > 0 {
		if err := ceremony.CheckEpoch(a.Tables(), &rec, a.epochs.last, a.view); err != nil {
			return err
		}
		a.epochs.last = rec.Epoch
		a.ceremonies.Epochs[committee]++
		return nil
	}
	sealed, err := keys.ParseSealedEpoch(rec.Sealed)
	if err != nil {
		return err
	}
	if sealed.Epoch != rec.Epoch {
		return fmt.Errorf("epoch %d holds shares of epoch %d", rec.Epoch, sealed.Epoch)
	}
	if err := members.CheckEpoch(a.constitution, a.epochs.last, sealed); err != nil {
		return err
	}
	a.epochs.last = rec.Epoch
	a.epochs.shared = append(a.epochs.shared, sealed)
	a.ceremonies.Epochs[0]++
	return nil
}
