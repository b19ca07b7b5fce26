package ethereum

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/wire"
)

func TestClaimsOfATransactionAreExplained(t *testing.T) {
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	to, from := common.Address{7}, crypto.PubkeyToAddress(key.PublicKey)
	logs := []*types.Log{{Address: common.Address{9}, Topics: []common.Hash{{5}}, Data: []byte{1, 2}}}
	legacy, unprotected := &types.LegacyTx{Nonce: 4, To: &to, Gas: 21000, GasPrice: new(big.Int), Value: big.NewInt(12)}, types.Signer(types.HomesteadSigner{})
	for name, c := range map[string]struct {
		data   types.TxData
		signer types.Signer
		to     string
	}{
		"dynamic fees": {&types.DynamicFeeTx{ChainID: big.NewInt(77), Nonce: 4, To: &to, Gas: 21000, GasTipCap: new(big.Int), GasFeeCap: new(big.Int), Value: big.NewInt(12)}, types.LatestSignerForChainID(big.NewInt(77)), to.Hex()},
		"legacy":       {legacy, types.LatestSignerForChainID(big.NewInt(77)), to.Hex()},
		"unprotected":  {legacy, unprotected, to.Hex()},
		"creation":     {&types.LegacyTx{Nonce: 4, Gas: 21000, GasPrice: new(big.Int), Value: big.NewInt(12)}, types.LatestSignerForChainID(big.NewInt(77)), "none: it creates a contract"},
	} {
		t.Run(name, func(t *testing.T) {
			tx, err := types.SignNewTx(key, c.signer, c.data)
			if err != nil {
				t.Fatal(err)
			}
			hash := tx.Hash()
			row := rows.Tx{Block: 300, Index: 1, Status: 1, Cumulative: 42000, Logs: rows.EncodeLogs(logs)}
			claims, _ := rows.EncodeClaims(&hash, tx.Type(), &row, &types.Bloom{})
			raw, err := tx.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			for _, content := range [][]byte{raw, []byte(hexutil.Encode(raw) + "\n")} {
				facts, err := ethereum{}.Explain(claims, content)
				if err != nil {
					t.Fatal(err)
				}
				found := map[string]string{}
				for _, f := range facts {
					found[f.Name] = f.Value
				}
				want := map[string]string{
					"hash": hash.Hex(), "block": "300", "index": "1", "type": fmt.Sprint(tx.Type()), "status": "success", "cumulative_gas": "42000",
					"log": logs[0].Address.Hex(), "from": from.Hex(), "to": c.to, "value": "12", "nonce": "4",
				}
				if fmt.Sprint(found) != fmt.Sprint(want) {
					t.Errorf("explained as %v, expected %v", found, want)
				}
			}
			raw[len(raw)-1] ^= 1
			if _, err := (ethereum{}).Explain(claims, raw); !errors.Is(err, coco.ErrVerify) && !errors.Is(err, coco.ErrInvalid) {
				t.Errorf("another transaction: %v", err)
			}
			for n := range claims {
				if facts, err := (ethereum{}).Explain(claims[:n], nil); facts != nil || err != nil {
					t.Fatalf("the first %d bytes of claims: %v, %v", n, facts, err)
				}
			}
		})
	}
}

// What a node says of a hash is told apart: busy and being prepared are asked again, all else is final.
func TestWhatANodeSaysOfAHashIsToldApart(t *testing.T) {
	const hash = "0x00000000000000000000000000000000000000000000000000000000000000aa"
	known := http.Header{wire.HeaderTxID: {"2.17"}}
	for name, c := range map[string]struct {
		reply  string
		header http.Header
		kind   error // nil: one of none
		says   string
	}{
		"unknown":        {`{"jsonrpc":"2.0","id":1,"result":null}`, nil, coco.ErrNotFound, "no transaction with the hash"},
		"busy":           {`{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"busy"}}`, nil, coco.ErrBusy, "busy"},
		"being prepared": {`{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"being prepared","data":{"retryAfter":1}}}`, nil, coco.ErrPending, "being prepared"},
		"elsewhere":      {`{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"message":"not on this node, ask another one"}}`, nil, coco.ErrMissing, "ask another one"},
		"refused":        {`{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"you may not"}}`, nil, nil, "refuses it: you may not (JSON-RPC error -32000)"},
		"crashed":        {`{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"method handler crashed","data":"0x"}}`, nil, nil, "method handler crashed"},
		"no such method": {`{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no method"}}`, nil, coco.ErrInvalid, "no method"},
		"too large":      {`{"jsonrpc":"2.0","id":1,"error":{"code":-32003,"message":"too large"}}`, nil, nil, "too large"},
		"older release":  {`{"jsonrpc":"2.0","id":1,"result":{}}`, nil, coco.ErrNotFound, "earlier release"},
		"no JSON-RPC":    {`<html>`, nil, coco.ErrCorrupt, ""},
	} {
		ask := func(context.Context, string, []byte) ([]byte, http.Header, error) {
			return []byte(c.reply), c.header, nil
		}
		_, err := findHash(t.Context(), hash, ask)
		if err == nil || c.kind != nil && !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, expected %v", name, err, c.kind)
		}
		again := errors.Is(err, coco.ErrBusy) || errors.Is(err, coco.ErrPending) || errors.Is(err, coco.ErrNotCommitted)
		if again != (name == "busy" || name == "being prepared") {
			t.Errorf("%s is asked again: %v", name, again)
		}
	}
	ask := func(context.Context, string, []byte) ([]byte, http.Header, error) {
		return []byte(`{"jsonrpc":"2.0","id":1,"result":{}}`), known, nil
	}
	if tx, err := findHash(t.Context(), hash, ask); err != nil || tx != (coco.TxID{View: 2, Seqno: 17}) {
		t.Errorf("%v, %v", tx, err)
	}
	if _, err := findHash(t.Context(), "0xzz", ask); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("no hash: %v", err)
	}
}
