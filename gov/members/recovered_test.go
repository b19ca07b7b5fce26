package members_test

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"slices"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// recovery is a recovery of a network by a node, which tests may spoil.
type recovery struct {
	n       *govtest.Network
	old     *channel.Service
	next    *channel.Service
	node    table.NodeRecord
	signers []table.NodeRecord // of the batches before
}

// newRecovery has a network whose only node is gone recovered by another member's.
func newRecovery(t *testing.T) *recovery {
	t.Helper()
	n := govtest.New(t)
	a := n.Genesis()
	n.Put()
	r := &recovery{n: n, old: n.Service, signers: []table.NodeRecord{a, a}}
	r.succeed(r.last(), r.root())
	return r
}

func (r *recovery) last() coco.TxID { return coco.TxID{View: 2, Seqno: uint64(len(r.signers))} }
func (r *recovery) root() coco.Digest {
	all := r.n.Batches(r.signers...)
	return all[len(all)-1].Header.Root
}

// succeed makes the new service, and a node that it endorses.
func (r *recovery) succeed(last coco.TxID, root coco.Digest) {
	var err error
	if r.next, err = r.old.Succeed(last, root, r.n.Now); err != nil {
		r.n.T.Fatal(err)
	}
	r.n.Service = r.next
	r.node = r.n.Node(r.n.Members[2], "c:1")
}

func (r *recovery) write(tx *store.Tx, last coco.TxID, root coco.Digest) error {
	key, err := r.next.MarshalKey()
	if err != nil {
		return err
	}
	if err := members.WriteRecovery(tx, r.node.ID, members.Recovered{Service: r.next.Certificate().Raw, ServiceKey: key, Last: last, Root: root}); err != nil {
		return err
	}
	if err := members.RecoverNode(tx, r.node, r.n.Claims(r.node)); err != nil {
		return err
	}
	return r.n.Rotate(tx, r.n.C)
}

// audit audits the ledger, whose batches after the recovery the new node has signed.
func (r *recovery) audit() (*audit.Auditor, error) {
	signers := slices.Clone(r.signers)
	for len(signers) < len(r.n.Records) {
		signers = append(signers, r.node)
	}
	a := audit.New(audit.Config{Verifiers: govtest.Verifiers, Service: r.old.Certificate().Raw})
	return a, govtest.Audit(a, r.n.Batches(signers...), true)
}

func TestARecoveredNetworkIsClosedUntilItsMembersOpenIt(t *testing.T) {
	r := newRecovery(t)
	n := r.n
	if err := n.Transact(func(tx *store.Tx) error { return r.write(tx, r.last(), r.root()) }); err != nil {
		t.Fatal(err)
	}
	d := n.Node(n.Members[1], "d:1")
	admit := func() error {
		return n.Transact(func(tx *store.Tx) error { return members.AdmitNode(tx, d, n.Claims(d)) })
	}
	var refused *members.Refusal
	if err := admit(); !errors.As(err, &refused) || refused.Reason != members.NotOpen {
		t.Errorf("a node joins a closed network: %v", err)
	}
	for name, a := range map[string]action.Action{
		"another epoch":     {Kind: action.Rotate},
		"another threshold": {Kind: action.Set, Args: action.Args{Setting: "shares.threshold", Value: "3"}},
		"one member less":   {Kind: action.RemoveMember, Args: action.Args{Actor: "beta"}},
	} {
		_, err := n.Submit(n.SignProposal(n.Members[0], a))
		if why, coded := reason.Of(err); !coded || why.Code != reason.HoldersFrozen {
			t.Errorf("%s is proposed to a closed network: %v", name, err)
		}
	}
	// What does not touch the keys may be decided.
	n.Decide(govtest.AddCode(govtest.OtherCode))
	// Another recovery of the same ledger has another service, and its members' statements go for this one's.
	other := action.Action{Kind: action.OpenNetwork, Args: action.Args{Service: coco.Digest{1}.String()}}
	_, err := n.Submit(n.SignProposal(n.Members[0], other))
	if why, coded := reason.Of(err); !coded || why.Code != reason.OtherService {
		t.Errorf("a vote for another recovery's service is taken: %v", err)
	}
	var service coco.Digest
	n.Read(func(s store.Reader) { service, err = table.ServiceDigest(s) })
	if err != nil {
		t.Fatal(err)
	}
	open := action.Action{Kind: action.OpenNetwork, Args: action.Args{Service: service.String()}}
	n.Decide(open)
	if _, err := n.Submit(n.SignProposal(n.Members[0], open)); err == nil {
		t.Error("an open network is opened")
	}
	if err := admit(); err != nil {
		t.Errorf("a node joins an open network: %v", err)
	}
	a, err := r.audit()
	if err != nil {
		t.Fatal(err)
	}
	if at := a.Recovered(); at != 3 {
		t.Errorf("the network was recovered by batch %d, expected 3", at)
	}
	id, err := table.NetworkID(a.ServiceCertificate())
	if was, _ := table.NetworkID(r.old.Certificate().Raw); err != nil || id != was {
		t.Errorf("the network's id is %s, expected %s, as before (%v)", id.Short(), was.Short(), err)
	}
	n.Read(func(s store.Reader) {
		rec, found, err := table.NewestRecovery(s)
		if err != nil || !found || rec.Opened == 0 || rec.LastTx() != r.last() || rec.Node != r.node.ID {
			t.Errorf("the record is %+v, %v", rec, err)
		}
	})
}

func TestARecoveryThatDoesNotFollowFromTheLedgerIsRefused(t *testing.T) {
	forge := func(change func(*table.RecoveryRecord)) func(*recovery, []store.Write) []store.Write {
		return func(r *recovery, w []store.Write) []store.Write {
			return govtest.Forge(r.n.T, w, table.RecoveriesTable, change)
		}
	}
	for name, spoil := range map[string]func(*recovery, []store.Write) []store.Write{
		"another number":         forge(func(rec *table.RecoveryRecord) { rec.Number = 2 }),
		"another transaction":    forge(func(rec *table.RecoveryRecord) { rec.Since++ }),
		"another time":           forge(func(rec *table.RecoveryRecord) { rec.Time++ }),
		"an earlier end":         forge(func(rec *table.RecoveryRecord) { rec.Last-- }),
		"an end in another view": forge(func(rec *table.RecoveryRecord) { rec.View-- }),
		"another root":           forge(func(rec *table.RecoveryRecord) { rec.Root[0] ^= 1 }),
		"another service before": forge(func(rec *table.RecoveryRecord) { rec.Old = rec.Old[1:] }),
		"another node":           forge(func(rec *table.RecoveryRecord) { rec.Node[0] ^= 1 }),
		"open already":           forge(func(rec *table.RecoveryRecord) { rec.Opened = 3 }),
		"opened by a proposal":   forge(func(rec *table.RecoveryRecord) { rec.Proposal[0] = 1 }),
		"no record":              func(_ *recovery, w []store.Write) []store.Write { return govtest.Without(w, table.RecoveriesTable) },
		"no service":             func(_ *recovery, w []store.Write) []store.Write { return govtest.Without(w, table.ServiceTable) },
		"no epoch":               func(_ *recovery, w []store.Write) []store.Write { return govtest.Without(w, table.EpochsTable) },
		"the same service as before": func(r *recovery, w []store.Write) []store.Write {
			return govtest.Altered(w, table.ServiceTable, func([]byte) []byte { return r.old.Certificate().Raw })
		},
		"a service that follows none": func(r *recovery, w []store.Write) []store.Write {
			s, err := channel.NewService("test", true, r.n.Now)
			if err != nil {
				r.n.T.Fatal(err)
			}
			return govtest.Altered(w, table.ServiceTable, func([]byte) []byte { return s.Certificate().Raw })
		},
		"a service from another end on": func(r *recovery, w []store.Write) []store.Write {
			s, err := r.old.Succeed(coco.TxID{View: 2, Seqno: 1}, coco.Digest{}, r.n.Now)
			if err != nil {
				r.n.T.Fatal(err)
			}
			return govtest.Altered(w, table.ServiceTable, func([]byte) []byte { return s.Certificate().Raw })
		},
		"the node of before stays": func(r *recovery, w []store.Write) []store.Write {
			return slices.DeleteFunc(w, func(w store.Write) bool {
				return w.Table == table.NodesTable && string(w.Key) == string(r.signers[0].ID[:])
			})
		},
	} {
		r := newRecovery(t)
		set := r.n.Store.Begin(2, r.n.Ms())
		tx := set.Begin()
		if err := r.write(tx, r.last(), r.root()); err != nil {
			t.Fatal(err)
		}
		tx.Commit()
		writes, err := store.DecodeWrites(set.Records()[0].Public)
		if err != nil {
			t.Fatal(err)
		}
		signers := append(slices.Clone(r.signers), r.node)
		err = audited(r.n, spoil(r, writes), signers)
		if !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: %v, expected coco.ErrVerify", name, err)
		}
	}
	// Unspoilt, it is right: the cases above fail for what they change.
	r := newRecovery(t)
	if err := r.n.Transact(func(tx *store.Tx) error { return r.write(tx, r.last(), r.root()) }); err != nil {
		t.Fatal(err)
	}
	if _, err := r.audit(); err != nil {
		t.Error(err)
	}
}

// audited audits a network's ledger with one more transaction at its end.
func audited(n *govtest.Network, writes []store.Write, signers []table.NodeRecord) error {
	more := *n
	set := n.Store.Begin(2, n.Ms())
	tx := set.Begin()
	for _, w := range writes {
		if w.Delete {
			tx.Delete(w.Table, w.Key)
		} else {
			tx.Put(w.Table, w.Key, w.Value)
		}
	}
	tx.Commit()
	more.Records = append(slices.Clone(n.Records), set.Records()...)
	more.Times = append(slices.Clone(n.Times), set.Time())
	return govtest.Audit(audit.New(audit.Config{}), more.Batches(signers...), true)
}

// A renewed certificate says the same about the service before.
func TestARenewedServiceFollowsTheSameOne(t *testing.T) {
	r := newRecovery(t)
	der, err := r.next.RenewSelf(r.n.Now.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := members.CheckRenewedService(r.next.Certificate().Raw, der); err != nil {
		t.Error(err)
	}
	// One that says nothing of it is refused.
	silent, err := channel.ParseService(silentOf(t, r.next))
	if err != nil {
		t.Fatal(err)
	}
	der, err = silent.RenewSelf(r.n.Now.AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	if err := members.CheckRenewedService(r.next.Certificate().Raw, der); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a renewed certificate that forgets whom it follows: %v", err)
	}
}

// silentOf returns a service's key, and a certificate for it that says nothing of the service before.
func silentOf(t *testing.T, s *channel.Service) (certificate, key []byte) {
	t.Helper()
	key, err := s.MarshalKey()
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.ParsePKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	template := *s.Certificate()
	template.ExtraExtensions, template.Extensions = nil, nil
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, template.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}
