package rpc

import (
	"bytes"
	"context"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/chain"
	"github.com/cocoframework/coco/internal/contracts"
)

// discard is a http.ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkSend compares a whole eth_sendRawTransaction, by the direct way and by go-ethereum's
// server, with what of it is no matter of JSON-RPC: a plain handler that reads and writes bodies,
// and checking the transaction in the ledger. Consensus and execution are left out of all.
func BenchmarkSend(b *testing.B) {
	n := newTestNode(b, nil)
	to := common.Address{7}
	token := make([]byte, 68) // as long as an ERC-20 transfer's
	raw := n.raw(&to, 100_000, token)
	n.env.Submit = func(_ context.Context, calls ...*adapter.Call) []adapter.Result {
		out := make([]adapter.Result, len(calls))
		for i := range out {
			out[i].TxID = coco.TxID{View: 2, Seqno: 7}
		}
		return out
	}
	body := []byte(call("eth_sendRawTransaction", raw))
	unusual := bytes.Replace(body, []byte(`"id"`), []byte(`"i\u0064"`), 1)
	done := make([]chain.SendResult, 100)
	for i := range done {
		done[i] = chain.SendResult{Hash: common.Hash{byte(i)}, TxID: coco.TxID{View: 2, Seqno: 7}}
	}
	serve := func(b *testing.B, body []byte, handler func(http.ResponseWriter, *http.Request)) {
		w := &discard{http.Header{}}
		r, err := http.NewRequest(http.MethodPost, "http://localhost/rpc", nil)
		must(b, err)
		r.Header.Set("Content-Type", "application/json")
		r.ContentLength = int64(len(body))
		reader := bytes.NewReader(nil)
		r.Body = io.NopCloser(reader)
		b.ReportAllocs()
		for b.Loop() {
			reader.Reset(body)
			handler(w, r)
		}
	}
	b.Run("plain", func(b *testing.B) {
		serve(b, body, func(w http.ResponseWriter, r *http.Request) {
			in, err := io.ReadAll(r.Body)
			must(b, err)
			_, _ = w.Write(in[:60])
		})
	})
	b.Run("ledger", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tx := hexutil.MustDecode(raw)
			if n.Send(context.Background(), testCaller, false, tx)[0].Err != nil {
				b.Fatal("refused")
			}
		}
	})
	all := func(w http.ResponseWriter, r *http.Request) { n.rpc.serve(testCaller, w, r) }
	b.Run("direct", func(b *testing.B) { serve(b, body, all) })
	b.Run("full", func(b *testing.B) { serve(b, unusual, all) })
	n.rpc.submit = func(_ context.Context, _ coco.Caller, _ bool, raw ...[]byte) []chain.SendResult {
		return done[:len(raw)]
	}
	b.Run("direct-without-ledger", func(b *testing.B) { serve(b, body, all) })
	b.Run("full-without-ledger", func(b *testing.B) { serve(b, unusual, all) })
	batch := "[" + strings.Repeat(string(body)+",", 99) + string(body) + "]"
	b.Run("batch-of-100-without-ledger", func(b *testing.B) { serve(b, []byte(batch), all) })
}

// BenchmarkCall is a small eth_call by either way.
func BenchmarkCall(b *testing.B) {
	n := newTestNode(b, nil)
	contract := n.deploy(keeper)
	for name, body := range map[string]string{
		"direct": call("eth_call", map[string]any{"to": contract, "data": "0x"}, "latest"),
		"full":   call("eth_call", map[string]any{"to": contract, "data": "0x", "nonce": "0x0"}, "latest"),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x := &exchange{ctx: context.Background(), caller: testCaller}
				buf := &buffers{in: []byte(body)}
				n.rpc.reply(x, buf)
			}
		})
	}
}

// BenchmarkSight compares what a caller of an ERC-20 token asks for in an open network, and in a closed one in which the token's rule admits it.
func BenchmarkSight(b *testing.B) {
	for _, visibility := range []string{"network", "closed"} {
		n := closedNode(b, parties...)
		a := contracts.TenToken()
		token := n.create(a, big.NewInt(1_000_000))
		txs := make([]*adapter.Call, 100)
		for i := range txs {
			txs[i] = n.testChain.call(n.sign(0, uint64(i+1), &token, 100_000, 0, packed(b, &a.ABI, "transfer", n.address(1), big.NewInt(1))))
		}
		included_(b, n.execute(txs...), len(txs))
		if visibility == "network" {
			n.opened()
		}
		hash := n.Head().Txs[50]
		for name, body := range map[string]string{
			"call":    call("eth_call", map[string]any{"from": n.address(0), "to": token, "data": hexutil.Bytes(packed(b, &a.ABI, "balanceOf", n.address(1)))}, "latest"),
			"receipt": call("eth_getTransactionReceipt", hash),
			"balance": call("eth_getBalance", n.address(0), "latest"),
			"block":   call("eth_getBlockByNumber", "latest", true),
		} {
			b.Run(name+"/"+visibility, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					x := &exchange{ctx: context.Background(), caller: maker}
					buf := &buffers{in: []byte(body)}
					n.rpc.reply(x, buf)
				}
			})
		}
	}
}
