package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

type pooled struct {
	Hash        common.Hash
	From        common.Address
	Nonce       hexutil.Uint64
	BlockHash   *common.Hash
	BlockNumber *hexutil.Uint64
}

// What a node is sending for an organisation is seen by that organisation, until it is committed.
func TestThePoolIsWhatThisNodeIsSending(t *testing.T) {
	n := newTestNode(t, nil)
	to := common.Address{7}
	var raw []string
	var txs []*types.Transaction
	for _, nonce := range []uint64{0, 1, 3} {
		tx := n.sign(0, nonce, &to, 21000, 1, nil)
		enc, err := tx.MarshalBinary()
		must(t, err)
		raw, txs = append(raw, hexutil.Encode(enc)), append(txs, tx)
	}
	var filter string
	n.ask(&filter, "eth_newPendingTransactionFilter")
	looked := false
	n.env.Submit = func(_ context.Context, calls ...*adapter.Call) []adapter.Result {
		looked = true
		var status map[string]hexutil.Uint
		n.ask(&status, "txpool_status")
		equal(t, "ready", status["pending"], 2)
		equal(t, "behind a gap", status["queued"], 1)
		var content struct {
			Pending, Queued map[common.Address]map[string]pooled
		}
		n.ask(&content, "txpool_content")
		equal(t, "senders", len(content.Pending), 1)
		for i, tx := range txs {
			list := content.Pending
			if i == 2 {
				list = content.Queued
			}
			p := list[n.address(0)][fmt.Sprint(tx.Nonce())]
			equal(t, "hash", p.Hash, tx.Hash())
			equal(t, "sender", p.From, n.address(0))
			if p.BlockHash != nil || p.BlockNumber != nil {
				t.Errorf("transaction %d has a block: %+v", i, p)
			}
		}
		var from struct{ Pending, Queued map[string]pooled }
		n.ask(&from, "txpool_contentFrom", n.address(0))
		equal(t, "of the sender", len(from.Pending)+len(from.Queued), 3)
		var none json.RawMessage
		n.ask(&none, "txpool_contentFrom", n.address(1))
		equal(t, "of another sender", string(none), `{"pending":{},"queued":{}}`)
		var short struct {
			Pending map[common.Address]map[string]string
		}
		n.ask(&short, "txpool_inspect")
		equal(t, "in short", short.Pending[n.address(0)]["1"], to.Hex()+": 1 wei + 21000 gas × 0 wei")
		var list []pooled
		n.ask(&list, "eth_pendingTransactions")
		equal(t, "list", len(list), 3)

		// Another organisation sees nothing.
		other := coco.Caller{Actor: coco.ActorID{9}}
		equal(t, "of another organisation", len(n.Sending().Of(other.Actor)), 0)

		out := make([]adapter.Result, len(calls))
		for i := range out {
			out[i].Err = coco.ErrNotCommitted
		}
		return out
	}
	batch := make([]string, len(raw))
	for i := range raw {
		batch[i] = call("eth_sendRawTransaction", raw[i])
	}
	n.post("[" + strings.Join(batch, ",") + "]")
	equal(t, "submitted", looked, true)
	var status map[string]hexutil.Uint
	n.ask(&status, "txpool_status")
	equal(t, "afterwards", status["pending"]+status["queued"], 0)

	var hashes []common.Hash
	n.ask(&hashes, "eth_getFilterChanges", filter)
	equal(t, "announced", len(hashes), 3)
	for _, tx := range txs {
		if !slices.Contains(hashes, tx.Hash()) {
			t.Errorf("%v is not announced", tx.Hash())
		}
	}
	n.ask(&hashes, "eth_getFilterChanges", filter)
	equal(t, "announced again", len(hashes), 0)
	var gone bool
	n.ask(&gone, "eth_uninstallFilter", filter)
	equal(t, "uninstalled", gone, true)
}

// A filter that is not polled while too many transactions come is lost, rather than told a part.
func TestAFilterThatMissesTransactionsIsLost(t *testing.T) {
	n := newTestNode(t, nil)
	var filter string
	n.ask(&filter, "eth_newPendingTransactionFilter")
	to := common.Address{7}
	for range 1030 {
		n.send(n.raw(&to, 21000, nil))
	}
	if r := n.call("eth_getFilterChanges", filter); r.Error == nil || r.Error.Message != "filter not found" {
		t.Errorf("%+v %.100s", r.Error, r.Result)
	}
}

func TestPendingTransactionsAndSyncingAreSubscribedTo(t *testing.T) {
	if testing.Short() {
		t.Skip("the state is looked at once a second")
	}
	n := newTestNode(t, nil)
	s := n.dial()
	ask := func(params ...any) string {
		t.Helper()
		s.write(call("eth_subscribe", params...))
		var r reply
		must(t, json.Unmarshal([]byte(s.read()), &r))
		if r.Error != nil {
			t.Fatalf("eth_subscribe %v: %+v", params, r.Error)
		}
		var id string
		must(t, json.Unmarshal(r.Result, &id))
		return id
	}
	pending := ask("newPendingTransactions", false)
	to := common.Address{7}
	hash := n.send(n.raw(&to, 21000, nil))
	if got := s.read(); !strings.Contains(got, pending) || !strings.Contains(got, hash.Hex()) {
		t.Errorf("news %s, expected %v", got, hash)
	}
	s.write(call("eth_subscribe", "newPendingTransactions", true))
	if got := s.read(); !strings.Contains(got, "expected false") {
		t.Errorf("whole transactions: %s", got)
	}
	syncing := ask("syncing")
	n.status.Store(&adapter.Status{Role: "joining", Committed: 1, Known: 11})
	if got := s.read(); !strings.Contains(got, syncing) || !strings.Contains(got, `"syncing":true`) {
		t.Errorf("news %s", got)
	}
	n.status.Store(&adapter.Status{Role: "leader"})
	if got := s.read(); !strings.Contains(got, `"result":false`) {
		t.Errorf("news %s", got)
	}
}
