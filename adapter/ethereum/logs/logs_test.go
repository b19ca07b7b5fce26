package logs

import (
	"errors"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// What a filter selects is never ruled out, neither by the block's bloom nor by the terms of the row: a search that goes by
// these misses nothing.
func TestNothingThatMatchesIsRuledOut(t *testing.T) {
	address := rapid.Custom(func(t *rapid.T) common.Address { return common.Address{rapid.Byte().Draw(t, "address") % 3} })
	topic := rapid.Custom(func(t *rapid.T) common.Hash { return common.Hash{rapid.Byte().Draw(t, "topic") % 3} })
	rapid.Check(t, func(t *rapid.T) {
		var list []*types.Log
		var bloom types.Bloom
		for range rapid.IntRange(0, 4).Draw(t, "logs") {
			l := &types.Log{Address: address.Draw(t, "of"), Topics: rapid.SliceOfN(topic, 0, 4).Draw(t, "topics"), Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data")}
			list = append(list, l)
			bloom.Add(l.Address[:])
			for i := range l.Topics {
				bloom.Add(l.Topics[i][:])
			}
		}
		row := rows.Tx{Logs: rows.EncodeLogs(list), Raw: []byte{1}}
		f := Filter{Addresses: rapid.SliceOfN(address, 0, 2).Draw(t, "addresses")}
		for range rapid.IntRange(0, 4).Draw(t, "positions") {
			f.Topics = append(f.Topics, rapid.SliceOfN(topic, 0, 2).Draw(t, "any"))
		}

		var terms []string
		Terms(row.Encode(), func(term []byte) { terms = append(terms, string(term)) })
		may := true
		for _, g := range f.Groups() {
			may = may && slices.ContainsFunc(g, func(term []byte) bool { return slices.Contains(terms, string(term)) })
		}
		if len(f.Groups()) == 0 {
			t.Fatal("a filter without conditions looks into blocks without logs")
		}
		matches, count := false, 0
		err := Each(row.Logs, func(i int, l *types.Log) error {
			if count++; l.Address != list[i].Address || !slices.Equal(l.Topics, list[i].Topics) || string(l.Data) != string(list[i].Data) {
				t.Fatalf("log %d is decoded as %+v, expected %+v", i, l, list[i])
			}
			matches = matches || f.Match(l)
			return nil
		})
		if err != nil || count != len(list) {
			t.Fatalf("%d of %d logs: %v", count, len(list), err)
		}
		if matches && (!may || !f.MatchBloom(&bloom)) {
			t.Fatalf("%+v selects a log and is ruled out: by terms %v, by the bloom %v", f, !may, !f.MatchBloom(&bloom))
		}
	})
}

func FuzzEach(f *testing.F) {
	f.Add(rows.EncodeLogs([]*types.Log{{Address: common.Address{1}, Topics: []common.Hash{{2}}, Data: []byte{3}}}))
	f.Add([]byte{0xc0})
	f.Add([]byte{0xc1, 0xf9})
	f.Fuzz(func(t *testing.T, list []byte) {
		if err := Each(list, func(int, *types.Log) error { return nil }); err != nil && !errors.Is(err, coco.ErrCorrupt) {
			t.Errorf("%v", err)
		}
		row := rows.Tx{Logs: list}
		Terms(row.Encode(), func([]byte) {})
		Terms(list, func([]byte) {})
	})
}

func TestALimitNamesTheRangeThatFits(t *testing.T) {
	for _, c := range []struct {
		err  LimitError
		want string
	}{
		{LimitError{"query returned more than 10 results", 0, 0x1300}, "query returned more than 10 results. Try with this block range [0x0, 0x12ff], and then go on from block 0x1300."},
		{LimitError{"query returned more than 10 results", 7, 7}, "query returned more than 10 results in block 0x7 alone: ask for fewer addresses or topics, or for the receipts of single transactions"},
	} {
		if got := c.err.Error(); got != c.want || !errors.Is(&c.err, coco.ErrInvalid) {
			t.Errorf("%q, expected %q", got, c.want)
		}
	}
}
