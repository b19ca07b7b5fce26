package peer

import (
	"errors"
	"fmt"
	"testing"
	"time"

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
	number := uint64(0)
	next := func() uint64 { number++; return number }
	for {
		id, _, err := p.add(leader, next(), of(1), time.Minute)
		if err != nil {
			if !errors.Is(err, ErrShare) || !errors.Is(err, coco.ErrBusy) {
				t.Errorf("beyond its share a caller is told %v", err)
			}
			break
		}
		ids = append(ids, id)
	}
	if _, _, err := p.add(leader, next(), of(2), time.Minute); err != nil || len(ids) != 50 {
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

func TestAForwardSaysHowLongItsSenderWaits(t *testing.T) {
	for patience, want := range map[time.Duration]time.Duration{
		-time.Second: time.Millisecond, 1500 * time.Millisecond: 1500 * time.Millisecond, 24 * time.Hour: maxPatience * time.Millisecond,
	} {
		got, ok := patienceOf(idOf(1<<numberBits+7, patience))
		if !ok || got != want {
			t.Errorf("a sender that waits %v says %v, %v; expected %v", patience, got, ok, want)
		}
	}
	if _, ok := patienceOf(1<<numberBits - 1); ok {
		t.Error("the ID of a build that does not say it is read as if it did")
	}
}

func TestConsensusGoesBeforeCallsAndHasRoomOfItsOwn(t *testing.T) {
	for _, k := range []kind{kindForward, kindReply, kindPayload} {
		consensusGoesBefore(t, k)
	}
}

func consensusGoesBefore(t *testing.T, k kind) {
	s := &sender{ready: make(chan struct{}, 1)}
	forward := append([]byte{byte(k)}, make([]byte, 64<<10)...)
	sent := 0
	for s.queue(forward) {
		sent++
	}
	if got := sent * len(forward); got > maxQueued/2 || got < maxQueued/2-len(forward) {
		t.Errorf("frames of kind %d fill %d of %d bytes", k, got, maxQueued)
	}
	if s.queue([]byte{byte(kindPayloadWord), 1}) {
		sent++
	} else {
		t.Errorf("there is no room for a word beside frames of kind %d", k)
	}
	if !s.queue([]byte{byte(kindConsensus), 1}) {
		t.Fatalf("there is no room for consensus beside frames of kind %d", k)
	}
	frames := s.next()
	if kind(frames[0][0]) != kindConsensus || len(frames) > 1+turnBytes/len(forward)+1 {
		t.Errorf("first come a frame of kind %d and %d others", frames[0][0], len(frames)-1)
	}
	if rest := s.drain(); len(frames)-1+len(rest) != sent || s.calls.bytes != 0 || s.urgent.bytes != 0 {
		t.Errorf("%d of %d frames came out, %d bytes are left", len(frames)-1+len(rest), sent, s.calls.bytes)
	}
}
