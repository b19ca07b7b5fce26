package members_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/members"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

func TestPlacesAreVotedIn(t *testing.T) {
	n := govtest.New(t)
	n.C.Policies = map[string]string{constitution.PolicyAddNode: policy.Majority}
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	first := n.Genesis()
	admit := func(rec table.NodeRecord) error {
		claims := n.Claims(rec)
		return n.Transact(func(tx *store.Tx) error { return members.AdmitNode(tx, rec, claims) })
	}
	pend := func(rec table.NodeRecord) error {
		claims := n.Claims(rec)
		return n.Transact(func(tx *store.Tx) error { return members.PendNode(tx, rec, claims) })
	}
	refused := func(err error, reason members.Reason) {
		t.Helper()
		var r *members.Refusal
		if !errors.As(err, &r) || r.Reason != reason {
			t.Fatalf("error %v, expected a refusal for %s", err, reason)
		}
	}
	beta := n.Members[1]
	old := n.Node(beta, "b:1")
	refused(admit(old), members.NotVotedIn)
	for range 2 {
		if err := pend(old); err != nil {
			t.Fatal(err)
		}
	}
	b := n.Node(beta, "b:1") // it was started again meanwhile
	if err := pend(b); err != nil {
		t.Fatal(err)
	}
	if s := n.States(); s[old.ID] != table.Retired || s[b.ID] != table.Pending {
		t.Fatalf("states %v", s)
	}
	refused(pend(old), members.KnownNode)
	n.Decide(action.Action{Kind: action.AddNode, Args: action.Args{Node: b.ID.String()}})
	if err := admit(b); err != nil {
		t.Fatal(err)
	}
	// It comes back with another key, and so does the founder's, without a vote.
	again := n.Node(beta, "b:1")
	if err := admit(again); err != nil {
		t.Fatal(err)
	}
	if s := n.States(); s[b.ID] != table.Retired || s[again.ID] != table.Trusted {
		t.Fatalf("states %v", s)
	}
	n.Decide(
		action.Action{Kind: action.AddNode, Args: action.Args{Owner: "guest", Address: "g:1"}},
		action.Action{Kind: action.RemoveNode, Args: action.Args{Owner: "beta", Address: "b:1", Unbalanced: true}},
	)
	if s := n.States(); s[again.ID] != table.Retired {
		t.Fatalf("states %v", s)
	}
	refused(admit(n.Node(beta, "b:1")), members.NotVotedIn)
	if err := admit(n.Node(n.Guest, "g:1")); err != nil {
		t.Errorf("a participant's node that was voted in: %v", err)
	}
	n.Audited(first)
	// A place stays removed when nodes are admitted without a vote.
	n.Decide(action.Action{Kind: action.SetPolicy, Args: action.Args{Policy: constitution.PolicyAddNode, Expression: constitution.AutomaticAddNode}})
	refused(admit(n.Node(beta, "b:1")), members.NotVotedIn)
	if err := admit(n.Node(beta, "b:2")); err != nil {
		t.Error(err)
	}
	// What only a vote lets in is not admitted in a ledger without one.
	n.Audited(first)
	rec := n.Node(beta, "b:1")
	err := n.Transact(func(tx *store.Tx) error {
		rec.Time, rec.State, rec.Since = tx.Time(), table.Trusted, tx.Seqno()
		return table.PutNode(tx, rec)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = govtest.Audit(audit.New(audit.Config{}), n.Batches(slices.Repeat([]table.NodeRecord{first}, len(n.Records))...), false)
	if !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "not_voted_in") {
		t.Errorf("error %v, expected one about a vote", err)
	}
}

func TestARecoveryNeedsNoVote(t *testing.T) {
	n := govtest.New(t)
	n.C.Policies = map[string]string{constitution.PolicyAddNode: policy.Unanimous}
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	a := n.Genesis()
	takeOver := func(rec table.NodeRecord, epoch bool) error {
		claims := n.Claims(rec)
		return n.Transact(func(tx *store.Tx) error {
			if err := members.RecoverNode(tx, rec, claims); err != nil || !epoch {
				return err
			}
			return n.Rotate(tx, n.C)
		})
	}
	if err := takeOver(n.Node(n.Guest, "g:1"), true); !errors.Is(err, coco.ErrDenied) {
		t.Errorf("a participant begins a recovery: error %v", err)
	}
	c := n.Node(n.Members[2], "c:1")
	if err := takeOver(c, true); err != nil {
		t.Fatal(err)
	}
	if err := govtest.Audit(audit.New(audit.Config{}), n.Batches(a, c), true); err != nil {
		t.Error(err)
	}
	d := n.Node(n.Members[1], "d:1")
	if err := takeOver(d, false); err != nil {
		t.Fatal(err)
	}
	if err := govtest.Audit(audit.New(audit.Config{}), n.Batches(a, c, d), true); !errors.Is(err, coco.ErrVerify) {
		t.Errorf("error %v, expected coco.ErrVerify: this is no recovery", err)
	}
	// Nor is this one, in which the other node stays.
	e := n.Node(n.Members[0], "e:1")
	n.Records, n.Times = n.Records[:2], n.Times[:2]
	if err := n.Transact(func(tx *store.Tx) error {
		e.Time, e.State, e.Since = tx.Time(), table.Trusted, tx.Seqno()
		if err := table.PutNode(tx, e); err != nil {
			return err
		}
		return n.Rotate(tx, n.C)
	}); err != nil {
		t.Fatal(err)
	}
	// The ledger of a, c and e alone: its third transaction is e's.
	writes, err := store.DecodeWrites(n.Records[2].Public)
	if err != nil {
		t.Fatal(err)
	}
	govtest.Node(n, writes, func(rec *table.NodeRecord) { rec.Since = 3 })
	govtest.Forge(t, writes, table.EpochsTable, func(rec *table.EpochRecord) { rec.Since = 3 })
	n.Records[2].Public = store.EncodeWrites(slices.DeleteFunc(writes, func(w store.Write) bool {
		rec, err := table.DecodeNode(w.Value)
		return w.Table == table.NodesTable && (err != nil || rec.ID != e.ID)
	}))
	if err := govtest.Audit(audit.New(audit.Config{}), n.Batches(a, c, e), true); !errors.Is(err, coco.ErrVerify) || !strings.Contains(err.Error(), "begins no recovery") {
		t.Errorf("error %v, expected one about a recovery", err)
	}
}

func TestAnOwnerHasOnlySoManyNodesWaiting(t *testing.T) {
	n := govtest.New(t)
	n.C.Policies = map[string]string{constitution.PolicyAddNode: policy.Majority}
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	first := n.Genesis()
	for i := range members.MaxPending + 1 {
		rec := n.Node(n.Guest, fmt.Sprintf("g:%d", i+1))
		claims := n.Claims(rec)
		err := n.Transact(func(tx *store.Tx) error { return members.PendNode(tx, rec, claims) })
		if (err != nil) != (i == members.MaxPending) {
			t.Errorf("node %d: error %v", i+1, err)
		}
	}
	n.Audited(first)
}

func TestTEEsMustBeNewEnough(t *testing.T) {
	n := govtest.New(t)
	n.C.TEE[0].Policy = `{"minimum_security_version":7}`
	n.C.TEE[0].Debug = true
	if err := n.C.Complete(); err != nil {
		t.Fatal(err)
	}
	rec := n.Node(n.Members[0], "a:1")
	claims := n.Claims(rec)
	for _, c := range []struct {
		change func(*attest.Claims)
		reason members.Reason
	}{
		{func(c *attest.Claims) { c.Own = virtual.Claims{SecurityVersion: 6} }, members.OldTEE},
		{func(c *attest.Claims) { c.Own = virtual.Claims{SecurityVersion: 7} }, ""},
		{func(c *attest.Claims) { c.Own, c.Debug = virtual.Claims{SecurityVersion: 8}, true }, ""},
	} {
		changed := claims
		c.change(&changed)
		err := members.CheckNode(n.C, &rec, changed)
		var r *members.Refusal
		if c.reason == "" && err != nil || c.reason != "" && (!errors.As(err, &r) || r.Reason != c.reason) {
			t.Errorf("error %v, expected %q", err, c.reason)
		}
	}
}
