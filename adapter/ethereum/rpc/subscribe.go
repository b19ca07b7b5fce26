package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/coder/websocket"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/logs"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/encode"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/filter"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
)

// subscriptionBuffer is how many blocks a subscriber may fall behind before it is dropped.
const subscriptionBuffer = 1024

// wsSubscription is a subscription of one connection.
type wsSubscription struct {
	id   string
	quit chan struct{} // closed when the client has had enough
	end  func()        // ends the ledger's side
	give func()        // gives its memory back
}

// subscriptionCall answers eth_subscribe and eth_unsubscribe, which go-ethereum's server would tie
// to a connection of its own. It reports false if body is another call.
func (s *Server) subscriptionCall(x *exchange, body, out []byte) ([]byte, bool) {
	if !bytes.Contains(body, []byte("subscribe")) {
		return out, false
	}
	batched := false
	if trimmed := bytes.TrimSpace(body); len(trimmed) > 1 && trimmed[0] == '[' {
		body, batched = trimmed[1:len(trimmed)-1], true // a batch of one
	}
	var msg struct {
		Version string          `json:"jsonrpc"`
		ID      json.RawMessage `json:"id"`
		Method  string          `json:"method"`
		Params  json.RawMessage `json:"params"`
	}
	if err := json.Unmarshal(body, &msg); err != nil || msg.Version != "2.0" || len(msg.ID) == 0 || msg.ID[0] == '{' || msg.ID[0] == '[' {
		return out, false
	}
	var result any
	var err error
	switch msg.Method {
	case "eth_subscribe":
		result, err = x.subscribe(msg.Params)
	case "eth_unsubscribe":
		result, err = x.unsubscribe(msg.Params)
	default:
		return out, false
	}
	if batched {
		out = append(out, '[')
	}
	if err != nil {
		out = appendError(out, msg.ID, err)
	} else {
		enc, _ := json.Marshal(result) // a string or a truth value
		out = append(append(appendReply(out, msg.ID), enc...), '}')
	}
	if batched {
		out = append(out, ']')
	}
	return out, true
}

// positional splits positional parameters.
func positional(raw json.RawMessage, least, most int) ([]json.RawMessage, error) {
	var params []json.RawMessage
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &params); err != nil {
			return nil, group.Errorf(codeInvalidParams, "non-array args")
		}
	}
	if len(params) < least {
		return nil, group.Errorf(codeInvalidParams, "missing value for required argument %d", len(params))
	}
	if len(params) > most {
		return nil, group.Errorf(codeInvalidParams, "too many arguments, want at most %d", most)
	}
	return params, nil
}

// subscribe makes a subscription; its notifications begin once the reply is on its way.
func (x *exchange) subscribe(raw json.RawMessage) (string, error) {
	params, err := positional(raw, 1, 2)
	if err != nil {
		return "", err
	}
	var name string
	if json.Unmarshal(params[0], &name) != nil {
		return "", group.Errorf(codeInvalidParams, "expected subscription name as first argument")
	}
	var query filter.Query
	switch name {
	case "newHeads", "syncing":
		_, err = positional(raw, 1, 1)
	case "newPendingTransactions":
		if whole := false; len(params) > 1 && (json.Unmarshal(params[1], &whole) != nil || whole) {
			err = group.Errorf(codeInvalidParams, "invalid argument 1: expected false, for hashes: ask for a transaction by txpool_content, or once it is committed")
		}
	case "logs":
		if _, err = positional(raw, 2, 2); err == nil {
			if err = json.Unmarshal(params[1], &query); err != nil {
				err = group.Errorf(codeInvalidParams, "invalid argument 1: %v", err)
			}
		}
	default:
		err = group.Errorf(codeNoMethod, "no %q subscription in eth namespace", name)
	}
	if err != nil {
		return "", err
	}
	c, read := x.conn, readBlocks
	if name == "logs" {
		read = readLogs
	}
	if err := c.server.authorize(x.caller, read); err != nil {
		return "", err
	}
	if name == "newPendingTransactions" {
		if err := c.server.mayWatch(&x.caller); err != nil {
			return "", err
		}
	}
	give, err := c.server.room.Take(x.caller.Actor, filter.OfSubscription+query.Size())
	if err != nil {
		return "", group.Errorf(codeLimit, "%v", err)
	}
	sub := &wsSubscription{id: filter.NewID(), quit: make(chan struct{}), give: give}
	if err := c.register(sub); err != nil {
		give()
		return "", err
	}
	ledger := c.server.ledger
	switch name {
	case "newPendingTransactions":
		c.beginPending(x, sub)
		return sub.id, nil
	case "syncing":
		c.begin(x, sub, sub.give, func() { defer sub.give(); c.tellSyncing(sub) })
		return sub.id, nil
	}
	notify := notifyHead
	if name == "logs" {
		from, to := query.Window(math.MaxUint64)
		notify = func(c *wsConn, id string, head *blocks.Block) error {
			// To a caller who does not see all the bloom tells nothing, not even by the time.
			if n := head.Number(); n < from || n > to || c.server.sights.All(&c.of.caller) && !query.MatchBloom(&head.Header.Bloom) {
				return nil
			}
			return c.notifyLogs(id, head, &query.Filter)
		}
	}
	heads := ledger.Subscribe(subscriptionBuffer)
	end := func() { heads.Close(); sub.give() }
	c.begin(x, sub, end, func() { defer end(); deliver(c, sub, heads.C, heads.Err, notify) })
	return sub.id, nil
}

// unsubscribe ends a subscription of this connection.
func (x *exchange) unsubscribe(raw json.RawMessage) (bool, error) {
	params, err := positional(raw, 1, 1)
	if err != nil {
		return false, err
	}
	var id string
	if err := json.Unmarshal(params[0], &id); err != nil {
		return false, group.Errorf(codeInvalidParams, "invalid argument 0: %v", err)
	}
	c := x.conn
	c.mu.Lock()
	sub := c.subs[id]
	if sub == nil || sub.end == nil { // unknown, or another message is about to make it
		c.mu.Unlock()
		return false, group.Errorf(codeServer, "subscription not found")
	}
	delete(c.subs, id)
	c.mu.Unlock()
	close(sub.quit)
	sub.end()
	return true, nil
}

// register adds a subscription to the connection.
func (c *wsConn) register(sub *wsSubscription) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.subs) >= c.server.limits().MaxSubscriptions {
		return group.Errorf(codeLimit, "more than %d subscriptions on one connection: unsubscribe from those that are not needed", c.server.limits().MaxSubscriptions)
	}
	c.subs[sub.id] = sub
	return nil
}

// begin arranges for run to be started behind the reply of x.
func (c *wsConn) begin(x *exchange, sub *wsSubscription, end func(), run func()) {
	c.mu.Lock()
	sub.end = end
	c.mu.Unlock()
	x.started = append(x.started, func() {
		c.wg.Add(1)
		go func() {
			defer c.wg.Done()
			defer c.crash("a subscription")
			run()
		}()
	})
}

// closeSubscriptions ends what is left when the connection has ended.
func (c *wsConn) closeSubscriptions() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, sub := range c.subs {
		sub.give()
		if sub.end != nil {
			sub.end()
		}
		delete(c.subs, id)
	}
}

// deliver sends what comes until the subscription or the connection ends. A client that falls behind too far loses the
// connection: it must not believe that it saw all. lost is why nothing comes any more.
func deliver[T any](c *wsConn, sub *wsSubscription, from <-chan T, lost func() error, notify func(*wsConn, string, T) error) {
	for {
		select {
		case news, ok := <-from:
			if !ok {
				select {
				case <-sub.quit:
				case <-c.ctx.Done():
				default:
					c.drop(dropCode(lost()))
				}
				return
			}
			if err := notify(c, sub.id, news); err != nil {
				c.drop(dropCode(err))
				return
			}
		case <-sub.quit:
			return
		case <-c.ctx.Done():
			return
		}
	}
}

// dropCode is what a client is told when its subscription ends.
func dropCode(err error) (websocket.StatusCode, string) {
	switch {
	case errors.Is(err, coco.ErrBusy), errors.Is(err, errSlowReader):
		return websocket.StatusPolicyViolation, errSlowReader.Error()
	case errors.Is(err, coco.ErrPending), errors.Is(err, coco.ErrMissing):
		return websocket.StatusPolicyViolation, "connection dropped: the client is so far behind that a block has left this node's memory"
	}
	return websocket.StatusGoingAway, "the node stops"
}

// notifyHead notifies of a new block.
func notifyHead(c *wsConn, id string, head *blocks.Block) error {
	shown := c.server.sights.Shown(head, &c.of.caller)
	return c.send(outgoing{data: append(encode.AppendHead(notification(id), shown), "}}"...)})
}

// notifyLogs notifies of each log of a block that a filter selects. They are read now, not when the block came: while
// the client reads slowly, numbers of blocks wait and not their logs. Who may see them is decided now, too.
func (c *wsConn) notifyLogs(id string, head *blocks.Block, f *logs.Filter) error {
	v := c.server.sights.View(c.server.ledger.PastReader().For(c.of.caller), &c.of.caller)
	defer v.Release()
	return v.LogsOf(c.ctx, head.Number(), f, func(l *types.Log) error {
		return c.send(outgoing{data: append(encode.AppendLog(notification(id), l), "}}"...)})
	})
}

// notification begins a notification; the result and two braces must follow.
func notification(id string) []byte {
	return fmt.Appendf(make([]byte, 0, 2048), `{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":%q,"result":`, id)
}
