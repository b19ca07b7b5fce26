package rows

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"

	"github.com/cocoframework/coco"
)

func FuzzAccountRow(f *testing.F) {
	for _, r := range []Account{
		NoAccount,
		{Exists: true, Balance: ZeroBalance, CodeHash: types.EmptyCodeHash},
		{Exists: true, Nonce: 300, Balance: uint256.NewInt(1 << 40), CodeHash: common.Hash{1}, Stored: true, Gen: 129},
		{Balance: ZeroBalance, CodeHash: types.EmptyCodeHash, Gen: 1},
	} {
		f.Add(r.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := DecodeAccount(b); err == nil && !bytes.Equal(r.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, r.Encode())
		}
	})
}

func FuzzTransactionRow(f *testing.F) {
	r := Tx{Sender: common.Address{1}, View: 2, Seqno: 300, Block: 4, GasUsed: 1 << 20, Cumulative: 1 << 30, Status: 1, Logs: []byte{0xc0}, Raw: []byte{1, 2}}
	f.Add(r.Encode())
	for _, by := range []By{{coco.ActorID{7}, "kim", 0}, {coco.ActorID{7}, "", ByCertificate}, {coco.ActorID{7}, "kim", ByMessage}} {
		r.By = by
		f.Add(r.Encode())
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeTx(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, r.Encode())
		}
	})
}

// A row names the user who sent the transaction. Where an organisation did itself, it has the bytes that it always had.
func TestARowNamesTheUserWhoSent(t *testing.T) {
	r := Tx{Sender: common.Address{1}, View: 2, Seqno: 300, Block: 4, GasUsed: 5, Cumulative: 6, Status: 1, Logs: []byte{0xc0}, Raw: []byte{1, 2}}
	if got := fmt.Sprintf("%x", r.Encode()); got != "0100000000000000000000000000000000000000"+"02ac02040000050601"+"01c0"+"0102" {
		t.Errorf("a row of nobody's: %s", got)
	}
	r.By = By{coco.ActorID{7}, "kim", 0}
	for _, status := range []uint64{0, 1} {
		r.Status = status
		got, err := DecodeTx(r.Encode())
		if err != nil || got.By != r.By || got.Status != status || !bytes.Equal(got.Raw, r.Raw) || !bytes.Equal(got.Logs, r.Logs) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	for name, by := range map[string]By{"a control character": {User: "a\nb"}, "too long": {User: strings.Repeat("x", coco.MaxUser+1)}} {
		r.By = by
		if _, err := DecodeTx(r.Encode()); !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzHeadRow(f *testing.F) {
	h := Head{Number: 5, Time: 1_700_000_000, Hash: common.Hash{1}, Mix: common.Hash{2}, Carried: KnownRoot{3, common.Hash{4}}}
	f.Add(h.Encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := DecodeHead(b); err == nil && !bytes.Equal(h.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, h.Encode())
		}
	})
}

func FuzzBlockRow(f *testing.F) {
	r := Block{Hash: common.Hash{1}, View: 2, First: 300, Size: 1000, Header: []byte{1, 2, 3}, Txs: make([]byte, 64)}
	f.Add(r.Encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := DecodeBlock(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.Encode(), b) {
			t.Fatalf("%x encodes as %x", b, r.Encode())
		}
		r.Bloom()
	})
}
