package peer

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/channel"
)

// What one caller asks for through another node must not end the leader.
func TestAPanicOverWhatANodeForwardsEndsTheCallsAlone(t *testing.T) {
	withNetwork(t, 2, func(t *testing.T, n *network) {
		leader, asker := n.nodes[0], n.nodes[1]
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if r := asker.forwarder.Submit(ctx, "kv", call("panic"))[0]; !errors.Is(r.Err, coco.ErrUnknown) {
			t.Errorf("calls over which the leader panics: %+v", r)
		}
		if r := asker.forwarder.Submit(t.Context(), "kv", call("put"))[0]; r.Err != nil {
			t.Errorf("the next call, on the same connection: %+v", r)
		}
		if got := leader.transport.Panics.Total(); got != 1 {
			t.Errorf("%d panics are counted, expected 1", got)
		}
		leader.expect(t, "calls of alpha: put")
	})
}

func TestAPanicOverAJoinerOrAFetchEndsItsConnectionAlone(t *testing.T) {
	withNetwork(t, 2, func(t *testing.T, n *network) {
		leader, other := n.nodes[0], n.nodes[1]
		leader.joined = func(*channel.Conn) { panic("for the test") }
		self, err := channel.NewIdentity(true)
		if err != nil {
			t.Fatal(err)
		}
		dialer := Dialer{Net: n.Host("another").Net, Identity: self, Verify: n.verify}
		conn, err := dialer.Dial(t.Context(), leader.id.ID(), leader.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.ReadFrame(); err == nil {
			t.Error("a joiner over whom the sponsor panics is answered")
		}
		leader.pieces = func() (Pieces, error) { panic("for the test") }
		if _, err := other.fetcher.Fetch(t.Context(), leader.id.ID(), leader.address, FetchRequest{Index: 1, To: 2}); err == nil {
			t.Error("a fetch over which the node panics is answered")
		}
		if got := leader.transport.Panics.Total(); got != 2 {
			t.Errorf("%d panics are counted, expected 2", got)
		}
	})
}
