package ethereum

import (
	"bytes"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/holiman/uint256"
	"pgregory.net/rapid"
)

func FuzzAccountRow(f *testing.F) {
	for _, r := range []record{
		noAccount,
		{exists: true, balance: zeroBalance, codeHash: types.EmptyCodeHash},
		{exists: true, nonce: 300, balance: uint256.NewInt(1 << 40), codeHash: common.Hash{1}, stored: true, gen: 129},
		{balance: zeroBalance, codeHash: types.EmptyCodeHash, gen: 1},
	} {
		f.Add(r.encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRecord(b); err == nil && !bytes.Equal(r.encode(), b) {
			t.Fatalf("%x encodes as %x", b, r.encode())
		}
	})
}

func FuzzTransactionRow(f *testing.F) {
	r := txRow{sender: common.Address{1}, view: 2, seqno: 300, block: 4, gasUsed: 1 << 20, cumulative: 1 << 30, status: 1, logs: []byte{0xc0}, raw: []byte{1, 2}}
	f.Add(r.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeTxRow(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.encode(), b) {
			t.Fatalf("%x encodes as %x", b, r.encode())
		}
		_, _ = expandLogs(&r, common.Hash{}, &Block{Header: new(types.Header)})
	})
}

func FuzzHeadRow(f *testing.F) {
	h := head{number: 5, time: 1_700_000_000, hash: common.Hash{1}, mix: common.Hash{2}, carried: knownRoot{3, common.Hash{4}}}
	f.Add(h.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := decodeHead(b); err == nil && !bytes.Equal(h.encode(), b) {
			t.Fatalf("%x encodes as %x", b, h.encode())
		}
	})
}

func FuzzBlockRow(f *testing.F) {
	r := blockRow{hash: common.Hash{1}, view: 2, first: 300, size: 1000, header: []byte{1, 2, 3}, txs: make([]byte, 64)}
	f.Add(r.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeBlockRow(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.encode(), b) {
			t.Fatalf("%x encodes as %x", b, r.encode())
		}
		r.bloom()
		_, _ = r.block()
	})
}

func FuzzTransaction(f *testing.F) {
	c := newTestChain(f, 1, nil)
	f.Add(c.call(c.transfer(0, 0, 1)).Payload[common.AddressLength:])
	f.Add(c.call(c.sign(0, 1, nil, 100_000, 0, []byte{1, 2, 3})).Payload[common.AddressLength:])
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := c.DecodeAndCheck(raw)
		if err != nil {
			return
		}
		again, err := d.tx.MarshalBinary()
		if err != nil || !bytes.Equal(again, raw) || d.tx.Hash() != d.hash {
			t.Fatalf("%x encodes as %x (%v)", raw, again, err)
		}
		other, err := c.Decode(d.payload())
		if err != nil || other.(*checked).hash != d.hash || other.(*checked).msg.From != d.msg.From {
			t.Fatalf("the payload of %x: %v", raw, err)
		}
	})
}

func FuzzPayload(f *testing.F) {
	c := newTestChain(f, 1, nil)
	f.Add(c.call(c.transfer(0, 0, 1)).Payload)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := c.Decode(b); err == nil && !bytes.Equal(d.(*checked).payload(), b) {
			t.Fatalf("%x encodes as %x", b, d.(*checked).payload())
		}
	})
}

// genLogs draws logs as contracts emit them.
func genLogs(t *rapid.T) []*types.Log {
	hash := rapid.Custom(func(t *rapid.T) common.Hash {
		return common.BytesToHash(rapid.SliceOfN(rapid.Byte(), 1, 32).Draw(t, "hash"))
	})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) *types.Log {
		return &types.Log{
			Address: common.BytesToAddress(hash.Draw(t, "address").Bytes()),
			Topics:  rapid.SliceOfN(hash, 0, 4).Draw(t, "topics"),
			Data:    rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data"),
		}
	}), 0, 5).Draw(t, "logs")
}

func TestReceiptsEncodeAsGoEthereums(t *testing.T) {
	cache := bloomCache{}
	rapid.Check(t, func(t *rapid.T) {
		want := &types.Receipt{
			Type:              rapid.SampledFrom([]uint8{0, 1, 2, 3, 4}).Draw(t, "type"),
			Status:            rapid.Uint64Range(0, 1).Draw(t, "status"),
			CumulativeGasUsed: rapid.Uint64().Draw(t, "gas"),
			Logs:              genLogs(t),
		}
		want.Bloom = types.CreateBloom(want)
		enc, err := want.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var bloom types.Bloom
		cache.add(&bloom, want.Logs)
		row := txRow{
			status: want.Status, cumulative: want.CumulativeGasUsed, logs: encodeLogs(want.Logs),
			block: rapid.Uint64().Draw(t, "block"), index: rapid.Uint64Range(0, 300).Draw(t, "index"),
		}
		gotClaims, got := encodeClaims(&common.Hash{5}, want.Type, &row, &bloom)
		if !bytes.Equal(got, enc) {
			t.Fatalf("got\n%x, want\n%x", got, enc)
		}
		claims, err := rlp.EncodeToBytes([]any{common.Hash{5}, row.block, row.index, enc})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(gotClaims, claims) {
			t.Fatalf("claims: got\n%x, want\n%x", gotClaims, claims)
		}
	})
}

func TestBloomIsWhereItIsReadInEveryHeader(t *testing.T) {
	for _, f := range forks {
		c := newTestChain(t, 1, map[string]any{"fork": f.name})
		value, ok := c.store.Snapshot().Get(tableBlocks, blockKey(0))
		equal(t, "there is a block 0", ok, true)
		row, err := decodeBlockRow(value)
		must(t, err)
		header, err := row.block()
		must(t, err)
		for i := range header.Header.Bloom {
			header.Header.Bloom[i] = byte(i)
		}
		row.header, err = rlp.EncodeToBytes(header.Header)
		must(t, err)
		var bloom types.Bloom
		bloom, ok = row.bloom()
		if !ok || bloom != header.Header.Bloom {
			t.Fatalf("%s: the bloom is not found", f.name)
		}
	}
}
