package decide_test

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/store"
)

// What Known refuses, Submit refuses; what is new, Known lets through.
func TestAStatementIsKnownOnceItCanCountNoMore(t *testing.T) {
	n := govtest.New(t)
	n.Genesis()
	known := func(raw []byte) (err error) {
		n.Read(func(r store.Reader) { err = decide.Known(r, raw) })
		return err
	}
	expect := func(what string, raw []byte, refused bool) {
		t.Helper()
		err := known(raw)
		if errors.Is(err, coco.ErrInvalid) != refused || (err == nil) == refused {
			t.Errorf("%s: %v", what, err)
		}
		if _, serr := n.Submit(raw); refused && serr == nil {
			t.Errorf("%s counts, and is refused before: %v", what, err)
		}
	}
	proposal := n.SignProposal(n.Members[0], govtest.AddCode(govtest.OtherCode))
	if err := known(proposal); err != nil {
		t.Errorf("a new proposal: %v", err)
	}
	out, err := n.Submit(proposal)
	if err != nil {
		t.Fatal(err)
	}
	expect("a proposal again", proposal, true)
	ballot := n.SignBallot(n.Members[0], out.ID, envelope.Yes)
	if err := known(ballot); err != nil {
		t.Errorf("a new ballot: %v", err)
	}
	if _, err := n.Submit(ballot); err != nil {
		t.Fatal(err)
	}
	expect("a ballot again", ballot, true)
	late := n.SignBallot(n.Members[1], out.ID, envelope.No)
	if out := n.Vote(n.Members[2], out.ID, envelope.Yes); out.State != "accepted" {
		t.Fatalf("the proposal is %s", out.State)
	}
	expect("a ballot about a decided proposal", late, true)
	if err := known([]byte("no envelope")); err == nil {
		t.Error("what is no envelope is let through")
	}
}
