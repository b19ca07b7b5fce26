package rpc

import (
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/filter"
)

// 256 subscriptions on each of 2048 connections would take gigabytes: all of them together have one amount of memory.
func TestSubscriptionsOfAllConnectionsTakeNoMoreThanTheirMemory(t *testing.T) {
	n := newTestNode(t, nil)
	n.rpc.room = filter.NewRoom(16 * filter.OfSubscription)
	a, b := n.dial(), n.dial()
	var ids []string
	refused := ""
	for i := range 20 {
		s := []*testSocket{a, b}[i%2]
		s.write(call("eth_subscribe", "newHeads"))
		if got := s.read(); strings.Contains(got, "error") {
			refused = got
			break
		} else if i%2 == 0 {
			ids = append(ids, strings.Split(got, `"result":"`)[1][:34])
		}
	}
	if len(ids) < 3 || len(ids) > 9 || !strings.Contains(refused, "as much memory as they may") {
		t.Fatalf("%d subscriptions, then %q", len(ids), refused)
	}
	var ok bool
	a.call(&ok, "eth_unsubscribe", strings.Trim(ids[0], `"}`))
	var again string
	a.call(&again, "eth_subscribe", "logs", map[string]any{})
	for _, s := range []*testSocket{a, b} {
		_ = s.ws.CloseNow()
	}
	for n.rpc.room.Used() > 0 { // until the connections have ended
		time.Sleep(time.Millisecond)
	}
}
