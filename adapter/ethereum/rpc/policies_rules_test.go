package rpc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco/adapter/ethereum/policy"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
)

// A contract's own rule that calls a contract with a policy is that contract's caller: the policy sees its address, and nobody's name.
func TestAPolicyDecidesWhichContractsRulesReadIt(t *testing.T) {
	n := closedNode(t, parties...)
	registry, member, stranger := n.of(0), n.of(1), n.of(2)
	for nonce, code := range [][]byte{
		creation("600160005260206000f3"), // answers everything with 1, and states no rule
		deciding(answerOf(registry, nil, staticCall), ""),
		deciding(answerOf(registry, nil, staticCall), ""),
	} {
		n.made(maker, 0, uint64(nonce), code)
	}
	seen := func(at common.Address) bool { return len(n.calls(carrier, at, []byte{1})) > 0 }
	for _, c := range []struct {
		policy           string
		member, stranger bool
	}{
		{"", false, false},
		{`question == "call" && method.selector == "" && "` + strings.ToLower(member.Hex()) + `" in caller.addresses`, true, false},
		{`question == "call" && "` + strings.ToLower(stranger.Hex()) + `" in caller.addresses`, false, true},
		{`caller.name == "` + carrier.Name + `" || caller.user != "" || caller.role != "" || caller.actor != ""`, false, false},
		{"true", true, true},
	} {
		if c.policy != "" {
			n.attach(registry, 0, policy.Text{Policy: c.policy}) // in no block: what was remembered of this one does not count
		}
		for _, again := range []string{"first", "again"} {
			if m, s := seen(member), seen(stranger); m != c.member || s != c.stranger {
				t.Errorf("%s, by %q: member %t, stranger %t", again, c.policy, m, s)
			}
		}
	}
}

// Steps of a policy are paid as the gas of a contract's own rule is: what one contract's policy takes closes no event of another, nor the block.
func TestAPolicyThatCostsMuchClosesItsOwnEventsAlone(t *testing.T) {
	const events = 300
	n := closedNode(t, parties...)
	emitter := creation(assembled("600035:z8060006000a16001900380@z5700"))
	token, heavy := n.made(maker, 0, 0, emitter), n.made(maker, 0, 1, emitter)
	both := n.made(maker, 0, 2, creation(n.emitting(heavy, events)+n.emitting(token, 1)+"00"))
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 20), ",") + "]"
	costly := list + ".all(a, " + list + ".all(b, a + b == 2))"
	n.attach(token, 0, policy.Text{Policy: `question == "event"`})
	n.attach(heavy, 1, policy.Text{Policy: costly})
	included_(t, n.execute(
		n.testChain.call(n.sign(0, 3, &heavy, 1_000_000, 0, word(events))),
		n.testChain.call(n.sign(0, 4, &token, 1_000_000, 0, word(events))),
		n.testChain.call(n.sign(0, 5, &both, 1_000_000, 0, nil)),
	), 3)
	for range 2 {
		equal(t, "events of the token", n.newLogs(carrier, token), events+1)
		if shown := n.newLogs(carrier, heavy); shown == 0 || shown >= 2*events {
			t.Errorf("%d events whose policy takes much are shown, of %d", shown, 2*events)
		}
	}
	// One answer has a limit of its own.
	q := map[string]any{"contract": heavy, "question": "event", "as": map[string]any{"name": carrier.Name}}
	e := got[sight.Explanation](n, maker, "coco_explainAccess", q)
	if !e.Admitted {
		t.Errorf("%+v", e)
	}
	n.attach(heavy, 1, policy.Text{Policy: fmt.Sprintf("%s.all(a, %s.all(b, %s.all(c, a + b + c == 3)))", list, list, list)})
	if e := got[sight.Explanation](n, maker, "coco_explainAccess", q); e.Admitted || !strings.Contains(e.Why, "it takes more than 10000 steps") {
		t.Errorf("%+v", e)
	}
}
