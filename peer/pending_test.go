package peer

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

func TestForwardedCallsAreBoundedAndFair(t *testing.T) {
	p := &pending{open: map[uint64]*forward{}}
	p.bound(100, 1<<20)
	leader := coco.NodeID{9}
	of := func(caller byte) []*adapter.Call {
		return []*adapter.Call{{Caller: coco.Caller{Actor: coco.ActorID{caller}}, Payload: make([]byte, 10)}}
	}
	var ids []uint64
	for {
		id, _, err := p.add(leader, of(1))
		if err != nil {
			if !errors.Is(err, ErrShare) || !errors.Is(err, coco.ErrBusy) {
				t.Errorf("beyond its share a caller is told %v", err)
			}
			break
		}
		ids = append(ids, id)
	}
	if _, _, err := p.add(leader, of(2)); err != nil || len(ids) != 50 {
		t.Errorf("one caller has %d of 100 calls under way, another one gets %v", len(ids), err)
	}
	if p.remove(ids[0], coco.NodeID{8}) != nil {
		t.Error("an answer of a node that was not asked counts")
	}
	for _, id := range ids[:25] {
		p.remove(id, leader)
	}
	p.fail(leader, fmt.Errorf("%w: gone", coco.ErrUnknown))
	if calls, bytes := p.waiting(); calls != 0 || bytes != 0 {
		t.Errorf("%d calls of %d bytes wait after all were answered", calls, bytes)
	}
}
