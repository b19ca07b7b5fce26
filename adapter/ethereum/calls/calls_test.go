package calls

import (
	"math/big"
	"net/http/httptest"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

var (
	signer = types.LatestSignerForChainID(big.NewInt(7))
	by     = rows.By{Actor: coco.ActorID{1}, User: "kim", How: rows.ByToken}
	from   = common.HexToAddress("0xc0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0")
)

func made(t *testing.T, data types.TxData, salt uint64) *types.Transaction {
	t.Helper()
	tx, err := New(types.NewTx(data), from, by, salt, signer)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

// Whatever its type, such a transaction names its sender and proves its record, before and after it was encoded, in bytes and in JSON.
func TestATransactionThatNobodyHasSignedNamesItsSender(t *testing.T) {
	id := big.NewInt(7)
	for _, data := range []types.TxData{
		&types.LegacyTx{Gas: 21_000, GasPrice: new(big.Int), Value: new(big.Int)},
		&types.AccessListTx{ChainID: id, GasPrice: new(big.Int), Value: new(big.Int)},
		&types.DynamicFeeTx{ChainID: id, GasTipCap: new(big.Int), GasFeeCap: new(big.Int), Value: new(big.Int)},
	} {
		tx := made(t, data, 0)
		raw, err := tx.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var read, told types.Transaction
		if err := read.UnmarshalBinary(raw); err != nil {
			t.Fatal(err)
		}
		text, err := tx.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := told.UnmarshalJSON(text); err != nil {
			t.Fatal(err)
		}
		for _, x := range []*types.Transaction{tx, &read, &told} {
			if got, is := Is(x); !is || got != from || !Marked(x) || x.Hash() != tx.Hash() {
				t.Errorf("type %d: sender %v, %v", x.Type(), got, is)
			}
			other := by
			other.User = "lee"
			if !Proves(by, x) || Proves(other, x) || Proves(rows.By{Actor: by.Actor, User: by.User, How: rows.ByMessage}, x) {
				t.Errorf("type %d: its record is not what it proves", x.Type())
			}
			if was, err := types.Sender(signer, x); err == nil && was == from {
				t.Error("a signature recovers to the sender")
			}
		}
		for _, s := range []types.Signer{signer, types.LatestSignerForChainID(big.NewInt(8)), types.FrontierSigner{}} {
			Own(&read)
			if got, err := types.Sender(s, &read); err != nil || got != from {
				t.Errorf("type %d: go-ethereum says that it is from %v: %v", read.Type(), got, err)
			}
		}
		if salted := made(t, data, 5); salted.Hash() == tx.Hash() || !Proves(by, salted) {
			t.Errorf("type %d: with a salt its hash is %v", tx.Type(), salted.Hash())
		}
	}
	key, err := crypto.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signed := types.MustSignNewTx(key, signer, &types.LegacyTx{GasPrice: new(big.Int)})
	if _, is := Is(signed); is || Marked(signed) || Proves(by, signed) {
		t.Error("a signed transaction counts as one that is not")
	}
	Own(signed)
	if got, err := types.Sender(signer, signed); err != nil || got != crypto.PubkeyToAddress(key.PublicKey) {
		t.Errorf("a signed transaction is from %v: %v", got, err)
	}
}

func TestAPayloadSaysHowItsCallWasAuthenticated(t *testing.T) {
	for _, how := range []rows.How{rows.ByCertificate, rows.ByToken, rows.BySession, rows.ByMessage} {
		got, rest, err := Cut(Payload(how, []byte("rest")))
		if got != how || string(rest) != "rest" || err != nil {
			t.Errorf("%v: %v %q %v", how, got, rest, err)
		}
	}
	if how, rest, err := Cut([]byte("another")); how != 0 || string(rest) != "another" || err != nil {
		t.Errorf("another payload: %v %q %v", how, rest, err)
	}
	for _, bad := range [][]byte{Payload(0, nil), Payload(5, nil), marker} {
		if _, _, err := Cut(bad); err == nil {
			t.Errorf("%x is taken", bad)
		}
	}
	for header, want := range map[string]rows.How{"Bearer x": rows.ByToken, "bearer x": rows.ByToken, "Coco-Session x": rows.BySession, "Coco-Message x": rows.ByMessage, "": rows.ByMessage} {
		r := httptest.NewRequest("POST", "/rpc", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		if got := HowOf(r); got != want {
			t.Errorf("%q is %v", header, got)
		}
	}
}
