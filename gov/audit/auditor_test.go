package audit_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/store"
)

var _ ledger.Checker = (*audit.Auditor)(nil)

// history is a network's life: genesis by a, b admitted, a change of application data by a, b replaced
// by c, a change by c.
func history(t *testing.T) (n *govtest.Network, a, b, c table.NodeRecord) {
	n = govtest.New(t)
	a = n.Genesis()
	b = n.Node(n.Members[1], "b:1")
	n.Admit(b)
	n.Put()
	n.Now = n.Now.Add(time.Hour)
	c = n.Node(n.Members[1], "b:1")
	n.Admit(c)
	n.Put()
	return n, a, b, c
}

func TestAnAuditFollowsWhoMaySign(t *testing.T) {
	n, a, b, c := history(t)
	config := audit.Config{Service: n.Service.Certificate().Raw, Constitution: n.C.Digest(), Verifiers: govtest.Verifiers}
	for _, applyFirst := range []bool{false, true} {
		auditor := audit.New(config)
		if err := govtest.Audit(auditor, n.Batches(a, a, b, a, c), applyFirst); err != nil {
			t.Fatal(err)
		}
		if auditor.Constitution().Digest() != n.C.Digest() || !bytes.Equal(auditor.ServiceCertificate(), config.Service) {
			t.Error("another constitution or service")
		}
		if !bytes.Equal(auditor.Constitution().TOML(), n.C.TOML()) {
			t.Error("another constitution")
		}
		states := map[coco.NodeID]table.NodeState{}
		for _, rec := range auditor.Nodes() {
			states[rec.ID] = rec.State
		}
		if states[a.ID] != table.Trusted || states[b.ID] != table.Retired || states[c.ID] != table.Trusted {
			t.Errorf("states %v", states)
		}
		for name, signers := range map[string][]table.NodeRecord{
			"before it is admitted":    {a, b},
			"in the batch of its own":  {a, a, a, c},
			"once it is retired":       {a, a, a, a, b},
			"a stranger":               {a, a, n.Node(n.Members[0], "x:1")},
			"a stranger as the origin": {n.Node(n.Members[0], "x:1")},
		} {
			if err := govtest.Audit(audit.New(config), n.Batches(signers...), applyFirst); !errors.Is(err, coco.ErrVerify) {
				t.Errorf("signed %s: error %v, expected coco.ErrVerify", name, err)
			}
		}
		// A node may sign the batch that retires it, not the next one.
		if err := govtest.Audit(audit.New(config), n.Batches(a, a, a, b), applyFirst); err != nil {
			t.Error(err)
		}
	}
}

func TestAnAuditAcceptsARecovery(t *testing.T) {
	n := govtest.New(t)
	a := n.Genesis()
	n.Admit(n.Node(n.Members[1], "b:1"))
	takeOver := func() table.NodeRecord {
		rec := n.Node(n.Members[2], "c:1")
		claims := n.Claims(rec)
		err := n.Transact(func(tx *store.Tx) error {
			if err := members.AdmitNode(tx, rec, claims); err != nil {
				return err
			}
			return members.SetNodes(tx, rec.ID)
		})
		if err != nil {
			t.Fatal(err)
		}
		return rec
	}
	c := takeOver()
	n.Put()
	if err := govtest.Audit(audit.New(audit.Config{}), n.Batches(a, a, c, c), true); err != nil {
		t.Error(err)
	}
	if err := govtest.Audit(audit.New(audit.Config{}), n.Batches(a, a, c, a), true); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a node from before the recovery signs: error %v, expected coco.ErrVerify", err)
	}
	// Admitting oneself is no recovery while others are trusted.
	d := n.Node(n.Members[0], "d:1")
	n.Admit(d)
	if err := govtest.Audit(audit.New(audit.Config{}), n.Batches(a, a, c, c, d), true); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("a node admits itself: error %v, expected coco.ErrVerify", err)
	}
}

func TestAnAuditExpectsTheNetworkThatItWasGiven(t *testing.T) {
	n := govtest.New(t)
	a := n.Genesis()
	for name, config := range map[string]audit.Config{
		"service":      {Service: govtest.New(t).Service.Certificate().Raw},
		"constitution": {Constitution: coco.Digest{1}},
	} {
		if err := govtest.Audit(audit.New(config), n.Batches(a), false); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("another %s: error %v, expected coco.ErrVerify", name, err)
		}
	}
}

// TestAnAuditRefusesWhatTheNetworkWouldNotWrite forges public records, signed by a trusted node.
func TestAnAuditRefusesWhatTheNetworkWouldNotWrite(t *testing.T) {
	for _, c := range []struct {
		name, text string
		tx         int // which transaction is altered
		change     func(n *govtest.Network, writes []store.Write) []store.Write
	}{
		{"no constitution", "without a constitution", 0, func(_ *govtest.Network, w []store.Write) []store.Write {
			return govtest.Without(w, table.ConstitutionTable)
		}},
		{"no service", "without a service", 0, func(_ *govtest.Network, w []store.Write) []store.Write { return govtest.Without(w, table.ServiceTable) }},
		{"no node", "expected one of each", 0, func(_ *govtest.Network, w []store.Write) []store.Write { return govtest.Without(w, table.NodesTable) }},
		{"no epoch", "expected one of each", 0, func(_ *govtest.Network, w []store.Write) []store.Write { return govtest.Without(w, table.EpochsTable) }},
		{"settings changed", "have digest", 0, func(_ *govtest.Network, w []store.Write) []store.Write {
			return govtest.Altered(w, table.ConstitutionTable, func(b []byte) []byte {
				return bytes.Replace(b, []byte(`"max":5`), []byte(`"max":6`), 1)
			})
		}},
		{"settings more", "does not name", 0, func(_ *govtest.Network, w []store.Write) []store.Write {
			return append(w, store.Write{Table: table.ConstitutionTable, Key: []byte(table.SettingsKey + "x"), Value: []byte("{}")})
		}},
		{"an unknown part", "unknown part", 0, func(_ *govtest.Network, w []store.Write) []store.Write {
			return append(w, store.Write{Table: table.ConstitutionTable, Key: []byte("x"), Value: []byte("{}")})
		}},
		{"another constitution later", "without a decision", 2, func(n *govtest.Network, w []store.Write) []store.Write {
			return append(w, store.Write{Table: table.ConstitutionTable, Key: []byte(table.CoreKey), Value: n.C.Canonical()})
		}},
		{"another service later", "service certificate", 2, func(_ *govtest.Network, w []store.Write) []store.Write {
			return append(w, store.Write{Table: table.ServiceTable, Key: []byte(table.CertificateKey), Value: []byte{1}})
		}},
		{"a secret in public", "writes to coco.secrets in public", 2, func(_ *govtest.Network, w []store.Write) []store.Write {
			return append(w, store.Write{Table: table.SecretsTable, Key: []byte("x"), Value: []byte{1}})
		}},
		{"a node deleted", "nothing is deleted", 2, func(n *govtest.Network, w []store.Write) []store.Write {
			return append(w, store.Write{Table: table.NodesTable, Key: make([]byte, 32), Delete: true})
		}},
		{"another owner's node", "bad_owner", 1, func(n *govtest.Network, w []store.Write) []store.Write {
			return govtest.Node(n, w, func(rec *table.NodeRecord) { rec.Owner = n.Members[2].Actor() })
		}},
		{"unsigned by its owner", "bad_owner_signature", 1, func(n *govtest.Network, w []store.Write) []store.Write {
			return govtest.Node(n, w, func(rec *table.NodeRecord) { rec.Address = "x:1" })
		}},
		{"unlisted code", "unlisted_code", 1, func(n *govtest.Network, w []store.Write) []store.Write {
			return govtest.Node(n, w, func(rec *table.NodeRecord) { rec.Measurement = "virtual:00" })
		}},
		{"false evidence", "bad quote", 1, func(n *govtest.Network, w []store.Write) []store.Write {
			return govtest.Node(n, w, func(rec *table.NodeRecord) { rec.Evidence.Quote = []byte{1} })
		}},
		{"evidence for another key", "bad_evidence", 1, func(n *govtest.Network, w []store.Write) []store.Write {
			return govtest.Node(n, w, func(rec *table.NodeRecord) { rec.Nonce = bytes.Repeat([]byte{7}, 32) })
		}},
		{"not endorsed", "bad_node_certificate", 1, func(n *govtest.Network, w []store.Write) []store.Write {
			return govtest.Node(n, w, func(rec *table.NodeRecord) { rec.Certificate = n.Members[0].Cert.Raw })
		}},
		{"born retired", "is new and", 1, func(n *govtest.Network, w []store.Write) []store.Write {
			return govtest.Node(n, w, func(rec *table.NodeRecord) { rec.State = table.Retired })
		}},
		{"another seqno", "wrong place", 1, func(n *govtest.Network, w []store.Write) []store.Write {
			return govtest.Node(n, w, func(rec *table.NodeRecord) { rec.Since = 1 })
		}},
		{"another time", "admitted at time", 1, func(n *govtest.Network, w []store.Write) []store.Write {
			return govtest.Node(n, w, func(rec *table.NodeRecord) { rec.Time++ })
		}},
		{"no measurement", "no measurement", 1, func(n *govtest.Network, w []store.Write) []store.Write {
			return govtest.Node(n, w, func(rec *table.NodeRecord) { rec.Measurement = "" })
		}},
		{"not canonical", "node record", 1, func(n *govtest.Network, w []store.Write) []store.Write {
			return govtest.Altered(w, table.NodesTable, func(b []byte) []byte { return append(slices.Clone(b), 0) })
		}},
		{"a node changed", "other than by retiring", 3, func(n *govtest.Network, w []store.Write) []store.Write {
			return govtest.Node(n, w, func(rec *table.NodeRecord) {
				if rec.State == table.Retired {
					rec.ClientAddress = "x:1"
				}
			})
		}},
		{"the old one not retired", "both trusted", 3, func(n *govtest.Network, w []store.Write) []store.Write {
			return slices.DeleteFunc(w, func(w store.Write) bool {
				rec, err := table.DecodeNode(w.Value)
				return w.Table == table.NodesTable && err == nil && rec.State == table.Retired
			})
		}},
		{"an epoch again", "expected 2", 2, func(n *govtest.Network, w []store.Write) []store.Write {
			first, err := store.DecodeWrites(n.Records[0].Public)
			if err != nil {
				n.T.Fatal(err)
			}
			for _, e := range first {
				if e.Table == table.EpochsTable {
					rec, err := table.DecodeEpoch(e.Value)
					if err != nil {
						n.T.Fatal(err)
					}
					rec.Since = 3
					e.Value, err = canon.Marshal(rec)
					if err != nil {
						n.T.Fatal(err)
					}
					w = append(w, e)
				}
			}
			return w
		}},
		{"an epoch that is shared", "is shared among the members", 2, func(n *govtest.Network, w []store.Write) []store.Write {
			_, sealed, err := keys.NewEpoch(2, n.C.Recipients(), 2)
			if err != nil {
				n.T.Fatal(err)
			}
			b, err := sealed.Marshal()
			if err != nil {
				n.T.Fatal(err)
			}
			rec, err := canon.Marshal(table.EpochRecord{Epoch: 2, Since: 3, Sealed: b, Time: n.Times[2]})
			if err != nil {
				n.T.Fatal(err)
			}
			return append(w, store.Write{Table: table.EpochsTable, Key: table.EpochKey(2), Value: rec})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, a, _, _ := history(t)
			writes, err := store.DecodeWrites(n.Records[c.tx].Public)
			if err != nil {
				t.Fatal(err)
			}
			n.Records[c.tx].Public = store.EncodeWrites(c.change(n, writes))
			auditor := audit.New(audit.Config{Verifiers: govtest.Verifiers})
			err = govtest.Audit(auditor, n.Batches(a, a, a, a, a), false)
			if !errors.Is(err, coco.ErrVerify) || errors.Is(err, coco.ErrDenied) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, expected coco.ErrVerify about %q", err, c.text)
			}
		})
	}
}

// By rules 2 an epoch is shared among the members, and among nobody else.
func TestAnEpochThatIsSharedIsForTheMembers(t *testing.T) {
	n := govtest.New(t).ByRules2()
	first := n.Genesis()
	for name, change := range map[string]func([]keys.Recipient) []keys.Recipient{
		"":                                   func(rs []keys.Recipient) []keys.Recipient { return rs },
		"not for a member's":                 func(rs []keys.Recipient) []keys.Recipient { rs[0].Key = n.Guest.Encryption.Public(); return rs },
		"expected one for each of 3 members": func(rs []keys.Recipient) []keys.Recipient { return rs[1:] },
	} {
		_, sealed, err := keys.NewEpoch(2, change(n.C.Recipients()), 2)
		if err != nil {
			t.Fatal(err)
		}
		b, err := sealed.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		err = n.AuditWith(func(tx *store.Tx) {
			rec, err := canon.Marshal(table.EpochRecord{Epoch: 2, Since: tx.Seqno(), Sealed: b, Time: tx.Time()})
			if err != nil {
				t.Fatal(err)
			}
			tx.Put(table.EpochsTable, table.EpochKey(2), rec)
		}, first)
		if name == "" && err != nil || name != "" && (!errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), name)) {
			t.Errorf("error %v, expected coco.ErrVerify about %q", err, name)
		}
	}
}

func TestABatchIsSealedInAnEpochThatIsAnnounced(t *testing.T) {
	n := govtest.New(t)
	a := n.Genesis()
	b := n.Batches(a)[0]
	for _, epoch := range []uint64{0, 2} {
		altered := *b
		altered.Header.Epoch = epoch
		public, err := b.PublicRecords()
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.New(audit.Config{}).Apply(&altered, public); !errors.Is(err, coco.ErrVerify) {
			t.Errorf("epoch %d: error %v, expected coco.ErrVerify", epoch, err)
		}
	}
}

func FuzzAuditorApply(f *testing.F) {
	n := govtest.New(f)
	a := n.Genesis()
	n.Admit(n.Node(n.Members[1], "b:1"))
	genesis := n.Batches(a, a)
	f.Add(n.Records[0].Public, n.Records[1].Public)
	f.Add([]byte{}, []byte{0x80})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		auditor := audit.New(audit.Config{})
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
