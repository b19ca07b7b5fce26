package node

import (
	"context"

	"github.com/cocoframework/coco/gov/table"
)

// closed reports whether members have yet to open the network that they recovered.
func (n *node) closed() bool {
	s := n.state.store.Snapshot()
	defer s.Release()
	closed, err := table.Closed(s)
	if err != nil {
		n.log.Error("the record of the recovery does not decode", "error", err)
	}
	return closed || err != nil
}

// awaitOpen waits until members have opened the network. It reports false when ctx ends.
func (n *node) awaitOpen(ctx context.Context) bool {
	for {
		changed := n.decided.changed.Wait() // before looking
		if !n.closed() {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}
