package access

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

func TestOnlyTrueIsAYes(t *testing.T) {
	word := func(first, last byte) []byte { return common.Hash{0: first, 31: last}.Bytes() }
	for _, c := range []struct {
		returned []byte
		want     Bool
	}{
		{word(0, 1), True},
		{word(0, 0), False},
		{word(0, 2), Neither},
		{word(1, 1), Neither},
		{word(1, 0), Neither},
		{nil, Neither},
		{word(0, 1)[1:], Neither},
		{append(word(0, 1), 0), Neither},
		{[]byte{1}, Neither},
	} {
		if got := ParseBool(c.returned); got != c.want {
			t.Errorf("%x is %d, expected %d", c.returned, got, c.want)
		}
	}
}

// What TEN's contracts state, question by question.
func TestARuleOfTENAnswersEachQuestion(t *testing.T) {
	named, toSender, toAll, toNobody, other := common.Hash{1}, common.Hash{2}, common.Hash{3}, common.Hash{4}, common.Hash{5}
	type event struct {
		EventSignature *big.Int
		VisibleTo      []uint8
	}
	type config struct {
		ContractCfg     uint8
		EventLogConfigs []event
	}
	rule := func(kind uint8) *TEN {
		t.Helper()
		returned, err := tenABI().Methods["visibilityRules"].Outputs.Pack(config{kind, []event{
			{named.Big(), []uint8{0, 2}}, {toSender.Big(), []uint8{3}}, {toAll.Big(), []uint8{4}}, {toNobody.Big(), []uint8{}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		ten, err := ParseTEN(returned)
		if err != nil {
			t.Fatal(err)
		}
		return ten
	}
	mine, others := common.Address{19: 7}, common.Address{19: 8}
	owns := func(addr common.Address) bool { return addr == mine }
	topic := func(addr common.Address) common.Hash { return common.BytesToHash(addr[:]) }
	lookalike := topic(mine)
	lookalike[0] = 1
	private, transparent := rule(1), rule(0)
	for _, c := range []struct {
		what   string
		from   common.Address
		topics []common.Hash
		want   Answer
	}{
		{"the first topic", others, []common.Hash{named, topic(mine)}, Admitted},
		{"the second topic, which is not named", others, []common.Hash{named, topic(others), topic(mine)}, Refused},
		{"the third topic", others, []common.Hash{named, topic(others), topic(others), topic(mine)}, Admitted},
		{"no topic", mine, []common.Hash{named}, Refused},
		{"a topic that ends as the address does", others, []common.Hash{named, lookalike}, Refused},
		{"the sender", mine, []common.Hash{toSender}, Admitted},
		{"another sender", others, []common.Hash{toSender, topic(mine)}, Refused},
		{"everyone", others, []common.Hash{toAll}, Admitted},
		{"nobody", mine, []common.Hash{toNobody, topic(mine)}, Refused},
		{"an event that is not named", mine, []common.Hash{other, topic(mine)}, Silent},
		{"an event without topics", mine, nil, Silent},
	} {
		ask := &Ask{Question: Event, Log: &types.Log{Topics: c.topics}, From: c.from}
		if got := private.Answer(ask, owns); got != c.want {
			t.Errorf("%s: %d, expected %d", c.what, got, c.want)
		}
		if got := transparent.Answer(ask, owns); got != Admitted {
			t.Errorf("%s of a transparent contract: %d", c.what, got)
		}
	}
	for q, want := range map[Question][2]Answer{Call: {Admitted, Admitted}, State: {Refused, Admitted}, Code: {Refused, Admitted}, Receipt: {Silent, Silent}} {
		ask := &Ask{Question: q, From: mine}
		if got := [2]Answer{private.Answer(ask, owns), transparent.Answer(ask, owns)}; got != want {
			t.Errorf("%s: %v, expected %v", q, got, want)
		}
	}
	bad, err := tenABI().Methods["visibilityRules"].Outputs.Pack(config{2, nil})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseTEN(bad); err == nil {
		t.Error("a contract is neither transparent nor private")
	}
	bad, err = tenABI().Methods["visibilityRules"].Outputs.Pack(config{1, []event{{named.Big(), []uint8{5}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseTEN(bad); err == nil {
		t.Error("an event is for a field that there is not")
	}
}
