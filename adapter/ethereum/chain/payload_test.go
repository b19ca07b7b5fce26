package chain

import (
	"bytes"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rlp"
	"pgregory.net/rapid"

	"github.com/cocoframework/coco/adapter/ethereum/memo"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
)

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
	cache := memo.Blooms{}
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
		cache.Add(&bloom, want.Logs)
		row := rows.Tx{
			Status: want.Status, Cumulative: want.CumulativeGasUsed, Logs: rows.EncodeLogs(want.Logs),
			Block: rapid.Uint64().Draw(t, "block"), Index: rapid.Uint64Range(0, 300).Draw(t, "index"),
		}
		gotClaims, got := rows.EncodeClaims(&common.Hash{5}, want.Type, &row, &bloom)
		if !bytes.Equal(got, enc) {
			t.Fatalf("got\n%x, want\n%x", got, enc)
		}
		claims, err := rlp.EncodeToBytes([]any{common.Hash{5}, row.Block, row.Index, enc})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(gotClaims, claims) {
			t.Fatalf("claims: got\n%x, want\n%x", gotClaims, claims)
		}
	})
}

func TestBloomIsWhereItIsReadInEveryHeader(t *testing.T) {
	for _, f := range settings.Forks {
		c := newTestChain(t, 1, map[string]any{"fork": f.Name})
		value, ok := c.store.Snapshot().Get(rows.Blocks, rows.BlockKey(0))
		equal(t, "there is a block 0", ok, true)
		row, err := rows.DecodeBlock(value)
		must(t, err)
		header := new(types.Header)
		must(t, rlp.DecodeBytes(row.Header, header))
		for i := range header.Bloom {
			header.Bloom[i] = byte(i)
		}
		row.Header, err = rlp.EncodeToBytes(header)
		must(t, err)
		var bloom types.Bloom
		bloom, ok = row.Bloom()
		if !ok || bloom != header.Bloom {
			t.Fatalf("%s: the bloom is not found", f.Name)
		}
	}
}
