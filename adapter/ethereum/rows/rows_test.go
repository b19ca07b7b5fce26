package rows

import (
	"bytes"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/holiman/uint256"
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
