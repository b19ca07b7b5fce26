package rpc

import (
	"encoding/json"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
)

// beginPending begins a subscription to what this node begins to send for the caller's organisation.
func (c *wsConn) beginPending(x *exchange, sub *wsSubscription) {
	watch := c.server.ledger.Sending().Watch(x.caller.Actor, subscriptionBuffer)
	end := func() { watch.Close(); sub.give() }
	lost := func() error { return errSlowReader }
	c.begin(x, sub, end, func() { defer end(); deliver(c, sub, watch.C, lost, notifyPending) })
}

// notifyPending notifies of a transaction.
func notifyPending(c *wsConn, id string, hash common.Hash) error {
	return c.send(outgoing{data: append(encode.AppendData(notification(id), hash[:]), "}}"...)})
}

// syncingEvery is how often a subscription to syncing looks.
const syncingEvery = time.Second

// tellSyncing tells when the node begins to catch up, and when it has caught up.
func (c *wsConn) tellSyncing(sub *wsSubscription) {
	ticker := c.server.env.Clock.NewTicker(syncingEvery)
	defer ticker.Stop()
	before := c.server.progress() != nil
	for {
		select {
		case <-ticker.C():
		case <-sub.quit:
			return
		case <-c.ctx.Done():
			return
		}
		at := c.server.progress()
		if (at != nil) == before {
			continue
		}
		before = at != nil
		var news any = false
		if before {
			news = map[string]any{"syncing": true, "status": at}
		}
		enc, _ := json.Marshal(news) // numbers and truth values
		if err := c.send(outgoing{data: append(append(notification(sub.id), enc...), "}}"...)}); err != nil {
			c.drop(dropCode(err))
			return
		}
	}
}
