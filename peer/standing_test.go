package peer

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// The leader believes a node whom a call is from, so a node that members have removed brings no call, whatever connection it has.
func TestARemovedNodeThatIsLeavingSpeaksForNobody(t *testing.T) {
	withNetwork(t, 2, func(t *testing.T, n *network) {
		leader, removed := n.nodes[0], n.nodes[1]
		if r := removed.forwarder.Submit(t.Context(), "kv", call("before"))[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
		leader.expect(t, "calls of alpha: before")
		n.remove(removed.id.ID())

		if r := removed.forwarder.Submit(t.Context(), "kv", call("after"))[0]; !errors.Is(r.Err, coco.ErrBusy) {
			t.Errorf("a forwarded call was answered %+v, expected that another node is to be asked", r)
		}
		for _, k := range []RequestKind{Snapshot, Renew, Govern, Keys, Grants} {
			if r := removed.forwarder.Ask(t.Context(), Request{Kind: k}); !errors.Is(r.Err, coco.ErrBusy) {
				t.Errorf("a request to %s was answered %+v", k, r)
			}
		}
		for _, m := range []Message{Behind{}, &Secret{Epoch: 1}, &SecretHeld{}, &SecretWanted{Epoch: 1}, &PartWanted{Committee: 1}, &Parts{Committee: 1}, &PartRefused{Committee: 1}, &Payload{Payload: []byte{1}}, &PayloadWord{Word: PayloadWanted}} {
			removed.transport.Send(leader.id.ID(), m)
		}
		time.Sleep(time.Second)
		leader.expect(t)
		if r := removed.forwarder.Ask(t.Context(), Request{Kind: Retire}); r.Err != nil {
			t.Errorf("it cannot retire: %v", r.Err)
		}
		leader.expect(t, "node1 asks to retire")
		removed.transport.Send(leader.id.ID(), Consensus("a vote"))
		time.Sleep(time.Second)
		leader.expect(t, "node1 consensus a vote")
	})
}

// A node that is asked before members remove it answers: what it was asked for may be committed.
func TestARemovedNodeAnswersWhatItWasAsked(t *testing.T) {
	withNetwork(t, 2, func(t *testing.T, n *network) {
		leader, asker := n.nodes[0], n.nodes[1]
		leader.mu.Lock()
		leader.hold = true
		leader.mu.Unlock()
		answered := make(chan adapter.Result, 1)
		go func() { answered <- asker.forwarder.Submit(t.Context(), "kv", call("put"))[0] }()
		leader.expectSoon(t, "calls of alpha: put")
		n.remove(leader.id.ID())
		(<-leader.held)()
		if r := <-answered; r.Err != nil || string(r.Reply) != "done" {
			t.Errorf("the call was answered %+v", r)
		}
	})
}

func TestAFetchEndsWhenTheFetcherIsRemoved(t *testing.T) {
	withNetwork(t, 2, func(t *testing.T, n *network) {
		server, fetcher := n.nodes[0], n.nodes[1]
		more := make(chan struct{})
		server.pieces = func() (Pieces, error) {
			return Pieces{Next: func() ([]byte, error) {
				<-more
				return []byte("piece"), nil
			}}, nil
		}
		f, err := fetcher.fetcher.Fetch(t.Context(), server.id.ID(), server.address, FetchRequest{What: FetchEntries, Index: 1, To: 9})
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		more <- struct{}{}
		if _, err := f.Piece(); err != nil {
			t.Fatal(err)
		}
		n.remove(fetcher.id.ID())
		synctest.Wait()
		close(more) // one piece may be under way
		_, _ = f.Piece()
		if piece, err := f.Piece(); err == nil || errors.Is(err, io.EOF) && len(piece) > 0 {
			t.Errorf("a removed node fetches on: %q, %v", piece, err)
		}
		if _, err := fetcher.fetcher.Fetch(t.Context(), server.id.ID(), server.address, FetchRequest{What: FetchEntries, Index: 1, To: 9}); err == nil {
			t.Error("a removed node begins another fetch")
		}
	})
}
