package gov

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/store"
)

var _ ledger.Checker = (*Auditor)(nil)

// batches makes a ledger of the network's transactions, each a batch signed by the node given.
func (n *network) batches(signers ...NodeRecord) []*batch.Batch {
	n.t.Helper()
	var tree merkle.Frontier
	var prev coco.Digest
	secrets := batch.NewKeys(1, [32]byte{1})
	out := make([]*batch.Batch, len(signers))
	for i, by := range signers {
		h := batch.Header{View: 2, Index: uint64(i + 1), First: uint64(i + 1), Node: by.ID, Time: n.times[i], Epoch: 1, Prev: prev}
		r := n.records[i]
		data, err := batch.Seal(h, []batch.Record{{Public: r.Public, Private: r.Private, Claims: r.Claims}}, &tree, secrets, n.signers[by.ID])
		if err != nil {
			n.t.Fatal(err)
		}
		if out[i], err = batch.Decode(data); err != nil {
			n.t.Fatal(err)
		}
		prev = batch.Entry{View: 2, Index: h.Index, Kind: batch.KindBatch, Data: data}.Chain(prev)
	}
	return out
}

// audit follows batches as ledger.Audit does; applyFirst tells the other order.
func audit(a *Auditor, batches []*batch.Batch, applyFirst bool) error {
	for i, b := range batches {
		public, err := b.PublicRecords()
		if err != nil {
			return err
		}
		if first := applyFirst || i == 0; first {
			if err := a.Apply(b, public); err != nil {
				return err
			}
		}
		key, err := a.Signer(b.Header)
		if err != nil {
			return err
		}
		if err := b.VerifySignature(key); err != nil {
			return err
		}
		if !applyFirst && i > 0 {
			if err := a.Apply(b, public); err != nil {
				return err
			}
		}
	}
	return nil
}

// history is a network's life: genesis by a, b admitted, a change of application data by a, b replaced
// by c, a change by c.
func history(t *testing.T) (n *network, a, b, c NodeRecord) {
	n = newNetwork(t)
	a = n.genesis()
	b = n.node(n.members[1], "b:1")
	n.admit(b)
	n.put()
	n.now = n.now.Add(time.Hour)
	c = n.node(n.members[1], "b:1")
	n.admit(c)
	n.put()
	return n, a, b, c
}

func (n *network) put() {
	n.t.Helper()
	err := n.transact(func(tx *store.Tx) error {
		tx.Put("kv.data", []byte("coco."), []byte("value"))
		return nil
	})
	if err != nil {
		n.t.Fatal(err)
	}
}

func TestAnAuditFollowsWhoMaySign(t *testing.T) {
	n, a, b, c := history(t)
	config := AuditorConfig{Service: n.service.Certificate().Raw, Constitution: n.c.Digest(), Verifiers: verifiers}
	for _, applyFirst := range []bool{false, true} {
		auditor := NewAuditor(config)
		if err := audit(auditor, n.batches(a, a, b, a, c), applyFirst); err != nil {
			t.Fatal(err)
		}
		if auditor.Constitution().Digest() != n.c.Digest() || !bytes.Equal(auditor.ServiceCertificate(), config.Service) {
			t.Error("another constitution or service")
		}
		if !bytes.Equal(auditor.Constitution().TOML(), n.c.TOML()) {
			t.Error("another constitution")
		}
		states := map[coco.NodeID]NodeState{}
		for _, rec := range auditor.Nodes() {
			states[rec.ID] = rec.State
		}
		if states[a.ID] != Trusted || states[b.ID] != Retired || states[c.ID] != Trusted {
			t.Errorf("states %v", states)
		}
		for name, signers := range map[string][]NodeRecord{
			"before it is admitted":    {a, b},
			"in the batch of its own":  {a, a, a, c},
			"once it is retired":       {a, a, a, a, b},
			"a stranger":               {a, a, n.node(n.members[0], "x:1")},
			"a stranger as the origin": {n.node(n.members[0], "x:1")},
		} {
			if err := audit(NewAuditor(config), n.batches(signers...), applyFirst); !errors.Is(err, coco.ErrVerify) {
				t.Errorf("signed %s: error %v, expected coco.ErrVerify", name, err)
			}
		}
		// A node may sign the batch that retires it, not the next one.
		if err := audit(NewAuditor(config), n.batches(a, a, a, b), applyFirst); err != nil {
			t.Error(err)
		}
	}
}

func TestAnAuditAcceptsARecovery(t *testing.T) {
	n := newNetwork(t)
	a := n.genesis()
	n.admit(n.node(n.members[1], "b:1"))
	takeOver := func() NodeRecord {
		rec := n.node(n.members[2], "c:1")
		claims := n.claims(rec)
		err := n.transact(func(tx *store.Tx) error {
			if err := AdmitNode(tx, rec, claims); err != nil {
				return err
			}
			return SetNodes(tx, rec.ID)
		})
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	c := takeOver()
	n.put()
	if err := audit(NewAuditor(AuditorConfig{}), n.batches(a, a, c, c), true); err != nil {
		t.Error(err)
	}
	if err := audit(NewAuditor(AuditorConfig{}), n.batches(a, a, c, a), true); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a node from before the recovery signs: error %v, expected coco.ErrVerify", err)
	}
	// Admitting oneself is no recovery while others are trusted.
	d := n.node(n.members[0], "d:1")
	n.admit(d)
	if err := audit(NewAuditor(AuditorConfig{}), n.batches(a, a, c, c, d), true); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a node admits itself: error %v, expected coco.ErrVerify", err)
	}
}

func TestAnAuditExpectsTheNetworkThatItWasGiven(t *testing.T) {
	n := newNetwork(t)
	a := n.genesis()
	for name, config := range map[string]AuditorConfig{
		"service":      {Service: newNetwork(t).service.Certificate().Raw},
		"constitution": {Constitution: coco.Digest{1}},
	} {
		if err := audit(NewAuditor(config), n.batches(a), false); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("another %s: error %v, expected coco.ErrVerify", name, err)
		}
	}
}

// TestAnAuditRefusesWhatTheNetworkWouldNotWrite forges public records, signed by a trusted node.
func TestAnAuditRefusesWhatTheNetworkWouldNotWrite(t *testing.T) {
	for _, c := range []struct {
		name, text string
		tx         int // which transaction is altered
		change     func(n *network, writes []store.Write) []store.Write
	}{
		{"no constitution", "without a constitution", 0, func(_ *network, w []store.Write) []store.Write { return without(w, ConstitutionTable) }},
		{"no service", "without a service", 0, func(_ *network, w []store.Write) []store.Write { return without(w, ServiceTable) }},
		{"no node", "expected one of each", 0, func(_ *network, w []store.Write) []store.Write { return without(w, NodesTable) }},
		{"no epoch", "expected one of each", 0, func(_ *network, w []store.Write) []store.Write { return without(w, EpochsTable) }},
		{"settings changed", "have digest", 0, func(_ *network, w []store.Write) []store.Write {
			return altered(w, ConstitutionTable, func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"max":5`), []byte(`"max":6`), 1)
			})
		}},
		{"settings more", "does not name", 0, func(_ *network, w []store.Write) []store.Write {
			return append(w, store.Write{Table: ConstitutionTable, Key: []byte(settingsKey + "x"), Value: []byte("{}")})
		}},
		{"an unknown part", "unknown part", 0, func(_ *network, w []store.Write) []store.Write {
			return append(w, store.Write{Table: ConstitutionTable, Key: []byte("x"), Value: []byte("{}")})
		}},
		{"another constitution later", "without a decision", 2, func(n *network, w []store.Write) []store.Write {
			return append(w, store.Write{Table: ConstitutionTable, Key: []byte(coreKey), Value: n.c.Canonical()})
		}},
		{"another service later", "service certificate", 2, func(_ *network, w []store.Write) []store.Write {
			return append(w, store.Write{Table: ServiceTable, Key: []byte(certificateKey), Value: []byte{1}})
		}},
		{"a secret in public", "writes to coco.secrets in public", 2, func(_ *network, w []store.Write) []store.Write {
			return append(w, store.Write{Table: SecretsTable, Key: []byte("x"), Value: []byte{1}})
		}},
		{"a node deleted", "nothing is deleted", 2, func(n *network, w []store.Write) []store.Write {
			return append(w, store.Write{Table: NodesTable, Key: make([]byte, 32), Delete: true})
		}},
		{"another owner's node", "bad_owner", 1, func(n *network, w []store.Write) []store.Write {
			return node(n, w, func(rec *NodeRecord) { rec.Owner = n.members[2].actor() })
		}},
		{"unsigned by its owner", "bad_owner_signature", 1, func(n *network, w []store.Write) []store.Write {
			return node(n, w, func(rec *NodeRecord) { rec.Address = "x:1" })
		}},
		{"unlisted code", "unlisted_code", 1, func(n *network, w []store.Write) []store.Write {
			return node(n, w, func(rec *NodeRecord) { rec.Measurement = "virtual:00" })
		}},
		{"false evidence", "bad quote", 1, func(n *network, w []store.Write) []store.Write {
			return node(n, w, func(rec *NodeRecord) { rec.Evidence.Quote = []byte{1} })
		}},
		{"evidence for another key", "bad_evidence", 1, func(n *network, w []store.Write) []store.Write {
			return node(n, w, func(rec *NodeRecord) { rec.Nonce = bytes.Repeat([]byte{7}, 32) })
		}},
		{"not endorsed", "bad_node_certificate", 1, func(n *network, w []store.Write) []store.Write {
			return node(n, w, func(rec *NodeRecord) { rec.Certificate = n.members[0].cert.Raw })
		}},
		{"born retired", "is new and", 1, func(n *network, w []store.Write) []store.Write {
			return node(n, w, func(rec *NodeRecord) { rec.State = Retired })
		}},
		{"another seqno", "wrong place", 1, func(n *network, w []store.Write) []store.Write {
			return node(n, w, func(rec *NodeRecord) { rec.Since = 1 })
		}},
		{"another time", "admitted at time", 1, func(n *network, w []store.Write) []store.Write {
			return node(n, w, func(rec *NodeRecord) { rec.Time++ })
		}},
		{"no measurement", "no measurement", 1, func(n *network, w []store.Write) []store.Write {
			return node(n, w, func(rec *NodeRecord) { rec.Measurement = "" })
		}},
		{"not canonical", "node record", 1, func(n *network, w []store.Write) []store.Write {
			return altered(w, NodesTable, func(b []byte) []byte { return append(slices.Clone(b), 0) })
		}},
		{"a node changed", "other than by retiring", 3, func(n *network, w []store.Write) []store.Write {
			return node(n, w, func(rec *NodeRecord) {
				if rec.State == Retired {
					rec.ClientAddress = "x:1"
				}
			})
		}},
		{"the old one not retired", "both trusted", 3, func(n *network, w []store.Write) []store.Write {
			return slices.DeleteFunc(w, func(w store.Write) bool {
				rec, err := decodeNode(w.Value)
				return w.Table == NodesTable && err == nil && rec.State == Retired
			})
		}},
		{"an epoch again", "expected 2", 2, func(n *network, w []store.Write) []store.Write {
			first, err := store.DecodeWrites(n.records[0].Public)
			if err != nil {
				n.t.Fatal(err)
			}
			for _, e := range first {
				if e.Table == EpochsTable {
					rec, err := decodeEpoch(e.Value)
					if err != nil {
						n.t.Fatal(err)
					}
					rec.Since = 3
					e.Value, err = canon.Marshal(rec)
					if err != nil {
						n.t.Fatal(err)
					}
					w = append(w, e)
				}
			}
			return w
		}},
		{"an epoch for strangers", "not for a member's", 2, func(n *network, w []store.Write) []store.Write {
			rs := n.c.Recipients()
			rs[0].Key = n.guest.encryption.Public()
			_, sealed, err := keys.NewEpoch(2, rs, 2)
			if err != nil {
				n.t.Fatal(err)
			}
			b, err := sealed.Marshal()
			if err != nil {
				n.t.Fatal(err)
			}
			rec, err := canon.Marshal(EpochRecord{2, 3, b})
			if err != nil {
				n.t.Fatal(err)
			}
			return append(w, store.Write{Table: EpochsTable, Key: epochKey(2), Value: rec})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, a, _, _ := history(t)
			writes, err := store.DecodeWrites(n.records[c.tx].Public)
			if err != nil {
				t.Fatal(err)
			}
			n.records[c.tx].Public = store.EncodeWrites(c.change(n, writes))
			auditor := NewAuditor(AuditorConfig{Verifiers: verifiers})
			err = audit(auditor, n.batches(a, a, a, a, a), false)
			if !errors.Is(err, coco.ErrVerify) || errors.Is(err, coco.ErrDenied) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, expected coco.ErrVerify about %q", err, c.text)
			}
		})
	}
}

func without(w []store.Write, table string) []store.Write {
	return slices.DeleteFunc(w, func(w store.Write) bool { return w.Table == table })
}

// altered changes the values of a table.
func altered(w []store.Write, table string, change func([]byte) []byte) []store.Write {
	for i := range w {
		if w[i].Table == table {
			w[i].Value = change(w[i].Value)
		}
	}
	return w
}

// node changes the records of nodes.
func node(n *network, w []store.Write, change func(*NodeRecord)) []store.Write {
	return altered(w, NodesTable, func(b []byte) []byte {
		rec, err := decodeNode(b)
		if err != nil {
			n.t.Fatal(err)
		}
		change(&rec)
		out, err := canon.Marshal(rec)
		if err != nil {
			n.t.Fatal(err)
		}
		return out
	})
}

func TestABatchIsSealedInAnEpochThatIsAnnounced(t *testing.T) {
	n := newNetwork(t)
	a := n.genesis()
	b := n.batches(a)[0]
	for _, epoch := range []uint64{0, 2} {
		altered := *b
		altered.Header.Epoch = epoch
		public, err := b.PublicRecords()
		if err != nil {
			t.Fatal(err)
		}
		if err := NewAuditor(AuditorConfig{}).Apply(&altered, public); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("epoch %d: error %v, expected coco.ErrVerify", epoch, err)
		}
	}
}

func FuzzAuditorApply(f *testing.F) {
	n := newNetwork(f)
	a := n.genesis()
	n.admit(n.node(n.members[1], "b:1"))
	genesis := n.batches(a, a)
	f.Add(n.records[0].Public, n.records[1].Public)
	f.Add([]byte{}, []byte{0x80})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		auditor := NewAuditor(AuditorConfig{})
		for i, public := range [][]byte{first, second} {
			if err := auditor.Apply(genesis[i], [][]byte{public}); err != nil {
				if !errors.Is(err, coco.ErrVerify) {
					t.Fatalf("error %v, expected coco.ErrVerify", err)
				}
				return
			}
		}
	})
}
