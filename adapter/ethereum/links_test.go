package ethereum

import (
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/linking"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/store"
)

// Links and transactions in one queue: each link is a transaction of its own, between blocks, whose transactions follow one another.
func TestLinksAreExecutedBetweenBlocks(t *testing.T) {
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	address, acme := crypto.PubkeyToAddress(key.PublicKey), coco.Caller{Actor: coco.ActorID{1}, Name: "acme"}
	founder := common.HexToAddress("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
	l := begin(t, map[string]any{
		"alloc": map[string]any{address.Hex(): map[string]any{"balance": "1000000"}},
		"links": map[string]any{founder.Hex(): map[string]any{"actor": acme.Actor.String(), "user": "founder"}},
	})
	state := l.scope.Snapshot()
	if h, ok := links.Of(state, founder); !ok || h != (links.Holder{Actor: acme.Actor, User: "founder", Since: 1}) {
		t.Errorf("linked at the start: %+v", h)
	}
	state.Release()

	transfer := func(nonce uint64) *adapter.Call {
		return l.transaction(acme, key, &types.DynamicFeeTx{Nonce: nonce, To: &common.Address{1}, Gas: 21000, Value: big.NewInt(1)})
	}
	link := func(ms int64) *adapter.Call {
		return l.call(acme, (&linking.Call{Statement: linking.New(address, acme, time.UnixMilli(ms))}).Payload())
	}
	unlink := l.call(acme, (&linking.Call{Unlink: true, Statement: linking.Statement{Address: address}}).Payload())
	calls := []*adapter.Call{transfer(0), transfer(1), link(began), link(began), unlink, transfer(2), link(began + 2000), transfer(3)}
	outcome := l.execute(calls...)
	for i, c := range calls {
		o, done := outcome[c]
		if refused := i == 3; !done || refused != errors.Is(o.Err, coco.ErrInvalid) || !refused && (o.Err != nil || o.TxID.Seqno == 0) {
			t.Errorf("call %d: done %t, %v, %v", i, done, o.TxID, o.Err)
		}
	}
	// Blocks of two, one and one, with the links between them.
	if a, b := outcome[calls[1]].TxID.Seqno, outcome[calls[0]].TxID.Seqno; a != b+1 {
		t.Errorf("the transactions of a block have seqnos %d and %d", b, a)
	}
	state = l.scope.Snapshot()
	defer state.Release()
	h, ok := links.Of(state, address)
	if !ok || h.Actor != acme.Actor || h.Since != outcome[calls[6]].TxID.Seqno {
		t.Errorf("holder %+v %t, expected the link of transaction %v", h, ok, outcome[calls[6]].TxID)
	}
	if head, ok, err := rows.ReadHead(state); !ok || err != nil || head.Number != 3 {
		t.Errorf("head %+v %v, expected block 3", head, err)
	}
	// A stranger of this closed network is told alike what became of a transfer, of a link, and of what is not there: all tell what /node/status does.
	stranger, at := coco.Caller{Actor: coco.ActorID{2}, Name: "other"}, outcome[calls[0]].TxID
	for _, id := range []coco.TxID{at, outcome[calls[2]].TxID, {View: 2, Seqno: 10_000}} {
		if err := l.Authorize(stranger, adapter.Read{Subject: adapter.Transaction, TxID: id}); err != nil {
			t.Errorf("what became of %v: %v", id, err)
		}
	}
	if err := l.Authorize(stranger, adapter.Read{Subject: adapter.Receipt, TxID: at}); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("a stranger's view of a receipt: %v", err)
	}
}

func TestLinksAreExplainedAndExported(t *testing.T) {
	row := links.Row{Holder: links.Holder{Actor: coco.ActorID{1}, User: "kim", Since: 9}, Linked: true, Issued: 5}
	gone := links.Row{Issued: 6}
	a := common.HexToAddress("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
	out, err := ethereum{}.Export()([]store.Write{
		{Table: rows.Links, Key: append([]byte{0}, a[:]...), Value: row.Encode()},
		{Table: rows.Links, Key: append(append([]byte{1}, row.Actor[:]...), "kim"...), Value: a[:]},
		{Table: rows.Links, Key: append([]byte{0}, a[:]...), Value: gone.Encode()},
	})
	want := []string{
		`{"address":"0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266","organisation":"0100000000000000000000000000000000000000000000000000000000000000","user":"kim"}`,
		`{"address":"0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266","organisation":null,"user":""}`,
	}
	if err != nil || len(out) != 2 || out[0].Kind != "ethereum.link" || string(out[0].Value) != want[0] || string(out[1].Value) != want[1] {
		t.Errorf("%v %s", err, out)
	}
}
