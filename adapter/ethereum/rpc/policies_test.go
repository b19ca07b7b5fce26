package rpc

import (
	"encoding/json"
	"math/big"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/policies"
	"github.com/cocoframework/coco/adapter/ethereum/policy"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
	"github.com/cocoframework/coco/internal/contracts"
)

// attach attaches a policy to a contract by the account 0, or removes it if the text is empty, as a call of the ledger does.
func (n *testNode) attach(contract common.Address, nonce uint64, text policy.Text) {
	n.t.Helper()
	c := &policies.Call{Contract: contract, Deployer: policies.Deployer{Address: n.address(0), Nonce: nonce}, Remove: true}
	if text.Policy != "" {
		var err error
		c, err = policies.New(contract, c.Deployer, text)
		must(n.t, err)
	}
	set := n.store.Begin(n.view, n.now)
	part := set.Part(n.scope)
	tx := part.Begin()
	must(n.t, c.Execute(tx, maker))
	tx.Commit()
	part.End()
	n.commit(set)
}

// documented is the policy that docs/access.md shows.
func documented(t *testing.T) string {
	page, err := os.ReadFile("../../../docs/access.md")
	must(t, err)
	m := regexp.MustCompile("(?s)```cel\n(.*?)```").FindSubmatch(page)
	if m == nil {
		t.Fatal("docs/access.md has no policy")
	}
	return string(m[1])
}

// The example of docs/access.md: a plain ERC-20 token, which states no rule.
func TestAPolicyIsAttachedToAContractThatCannotBeChanged(t *testing.T) {
	n := closedNode(t, parties...)
	a := contracts.Token()
	token := n.create(a, "Token", "T", big.NewInt(1000))
	n.sent(maker, 0, 1, &token, 0, packed(t, &a.ABI, "transfer", n.address(1), big.NewInt(5)))
	balance := func(of int) []byte { return packed(t, &a.ABI, "balanceOf", n.address(of)) }
	if got := n.calls(carrier, token, balance(1)); len(got) > 0 {
		t.Fatalf("without a rule a call returns %v", got)
	}
	abi, err := os.ReadFile("testdata/token.abi.json")
	must(t, err)
	n.attach(token, 0, policy.Text{Policy: documented(t), ABI: abi})

	equal(t, "own balance", new(big.Int).SetBytes(n.calls(carrier, token, balance(1))).Int64(), 5)
	for what, data := range map[string][]byte{"another's balance": balance(0), "another method": packed(t, &a.ABI, "totalSupply"), "no method": nil} {
		equal(t, what, len(n.calls(carrier, token, data)), 0)
	}
	equal(t, "storage", got[common.Hash](n, carrier, "eth_getStorageAt", token, "0x0", "latest"), common.Hash{})
	equal(t, "a party's logs", n.logsOf(carrier, a, token), "Transfer")
	equal(t, "a stranger's logs", n.logsOf(shop, a, token), "")
	equal(t, "an auditor's logs", n.logsOf(auditor, a, token), "OwnershipTransferred Transfer Transfer")

	// A new version counts at once, also for what was before.
	n.attach(token, 0, policy.Text{Policy: `question == "event"`})
	equal(t, "a stranger's logs by another policy", n.logsOf(shop, a, token), "OwnershipTransferred Transfer Transfer")
	equal(t, "own balance by another policy", len(n.calls(carrier, token, balance(1))), 0)
	// By vote, in the place of the deployer's; an empty policy ends it.
	vote := func(value map[string]any) {
		text, err := json.Marshal(value)
		must(t, err)
		must(t, n.Configure(with(t, n.env.Settings, "policies", string(text))))
	}
	vote(map[string]any{token.Hex(): map[string]any{"policy": `question == "call" && caller.name == "` + shop.Name + `"`}})
	equal(t, "a stranger's logs by a vote", n.logsOf(shop, a, token), "")
	equal(t, "a call by a vote", new(big.Int).SetBytes(n.calls(shop, token, balance(1))).Int64(), 5)
	vote(map[string]any{token.Hex(): map[string]any{"policy": ""}})
	equal(t, "a party's logs without a policy", n.logsOf(carrier, a, token), "")
	equal(t, "a call without a policy", len(n.calls(shop, token, balance(1))), 0)
	vote(map[string]any{})
	equal(t, "a stranger's logs by the deployer's again", n.logsOf(shop, a, token), "OwnershipTransferred Transfer Transfer")
	n.attach(token, 0, policy.Text{})
	equal(t, "a stranger's logs once it is removed", n.logsOf(shop, a, token), "")
	equal(t, "the sender's logs", n.logsOf(maker, a, token), "OwnershipTransferred Transfer Transfer")
}

// What a contract's own code says is a promise to whoever uses it: its deployer cannot widen it.
func TestADeployersPolicyDoesNotWidenAContractsOwnRule(t *testing.T) {
	n := closedNode(t, parties...)
	for i, contract := range []common.Address{n.create(contracts.TenToken(), big.NewInt(1000)), n.create(contracts.Shipments(), common.Address{0x15})} {
		n.attach(contract, uint64(i), policy.Text{Policy: "true"})
		state := map[string]any{"contract": contract, "question": "state", "as": map[string]any{"name": shop.Name}}
		if e := got[sight.Explanation](n, maker, "coco_explainAccess", state); e.Admitted || !strings.Contains(e.Rule, "the contract itself") {
			t.Errorf("%v by its deployer's policy: %+v", contract, e)
		}
		must(t, n.Configure(with(t, n.env.Settings, "policies", `{"`+contract.Hex()+`":{"policy":"question == \"state\""}}`)))
		if e := got[sight.Explanation](n, maker, "coco_explainAccess", state); !e.Admitted || !strings.Contains(e.Rule, "voted") {
			t.Errorf("%v by a vote: %+v", contract, e)
		}
		must(t, n.Configure(with(t, n.env.Settings, "policies", `{}`)))
	}
}

// One organisation's user may come with several roles: what one of them sees is not what the other does.
func TestRolesOfOneUserAreToldApart(t *testing.T) {
	n := closedNode(t, parties...)
	token := n.create(contracts.Token(), "Token", "T", big.NewInt(1000))
	n.attach(token, 0, policy.Text{Policy: `caller.role == "participant" && question == "event"`})
	as := shop
	as.Role = coco.Participant
	for range 2 {
		equal(t, "a member's logs", n.logsOf(shop, contracts.Token(), token), "")
		equal(t, "a participant's logs", n.logsOf(as, contracts.Token(), token), "OwnershipTransferred Transfer")
	}
}

func TestAnExplanationNamesTheRuleAndItsReason(t *testing.T) {
	n := closedNode(t, parties...)
	a := contracts.Token()
	token, ten, ships := n.create(a, "Token", "T", big.NewInt(1000)), n.create(contracts.TenToken(), big.NewInt(1)), n.create(contracts.Shipments(), common.Address{0x15})
	n.attach(token, 0, policy.Text{Policy: `method.args.account in caller.addresses`, ABI: []byte(`[{"type":"function","name":"balanceOf","inputs":[{"name":"account","type":"address"}]}]`)})
	mine := packed(t, &a.ABI, "balanceOf", n.address(1))
	explain := func(by coco.Caller, contract common.Address, more map[string]any) (out sight.Explanation) {
		q := map[string]any{"contract": contract, "question": "call", "input": hexutil.Bytes(mine), "as": map[string]any{"name": carrier.Name, "role": "member", "addresses": []common.Address{n.address(1)}}}
		for k, v := range more {
			q[k] = v
		}
		return got[sight.Explanation](n, by, "coco_explainAccess", q)
	}
	nobody := map[string]any{"as": map[string]any{"name": "nobody"}}
	for _, c := range []struct {
		what     string
		contract common.Address
		more     map[string]any
		admitted bool
		rule     string
		why      string
	}{
		{"the deployer's policy", token, nil, true, "its deployer", ""},
		{"as nobody", token, nobody, false, "its deployer", ""},
		{"no answer", token, map[string]any{"question": "state", "input": "0x"}, false, "its deployer", "no such key"},
		{"TEN", ten, nobody, true, "visibilityRules", ""},
		{"CocoAccess", ships, nobody, false, "CocoAccess", ""},
		{"an auditor", ships, map[string]any{"as": map[string]any{"name": auditor.Name}}, true, "network", "auditor"},
		{"a party", token, map[string]any{"question": "receipt", "from": n.address(1)}, true, "transaction", "party"},
		{"no contract", common.Address{9}, nil, false, "no rule", "no contract at the address"},
	} {
		for _, by := range []coco.Caller{maker, auditor} {
			if by == maker && c.contract == (common.Address{9}) {
				continue
			}
			e := explain(by, c.contract, c.more)
			if e.Admitted != c.admitted || !strings.Contains(e.Rule, c.rule) || !strings.Contains(e.Why, c.why) || c.why == "" && e.Why != "" {
				t.Errorf("%s: %+v, expected %t by %q because of %q", c.what, e, c.admitted, c.rule, c.why)
			}
		}
	}
	n.attach(token, 0, policy.Text{})
	if e := explain(maker, token, nil); e.Admitted || !strings.Contains(e.Why, "without a rule") {
		t.Errorf("without a rule: %+v", e)
	}
	// To all others it is as if there were no contract.
	for _, c := range []coco.Caller{carrier, callerOf(1, "kim")} {
		ask := func(contract common.Address) string {
			return strings.ReplaceAll(n.by(c, "coco_explainAccess", map[string]any{"contract": contract, "question": "call"}), contract.Hex(), "it")
		}
		if of, none := ask(token), ask(common.Address{7}); of != none || !strings.Contains(of, "no address that is linked to the caller") {
			t.Errorf("%s, and of none %s", of, none)
		}
	}
}

// The deployer is found among the caller's addresses, and a policy is told to it alone.
func TestAPolicyIsToldToItsDeployer(t *testing.T) {
	n := closedNode(t, parties...)
	token := n.create(contracts.Token(), "Token", "T", big.NewInt(1000))
	for c, says := range map[coco.Caller]string{
		carrier: "no address that is linked to the caller", callerOf(1, "kim"): "no address that is linked to the caller", auditor: "no address that is linked to the caller",
		maker: "expected bool",
	} {
		if r := n.by(c, "coco_setAccessPolicy", token, policy.Text{Policy: "1"}); !strings.Contains(r, says) || !strings.Contains(r, "-32602") {
			t.Errorf("%s: %s", c.Name, r)
		}
	}
	n.attach(token, 0, policy.Text{Policy: "true"})
	for c, known := range map[coco.Caller]bool{maker: true, auditor: true, carrier: false, callerOf(1, "kim"): false} {
		if r := n.by(c, "coco_accessPolicy", token); strings.Contains(r, `"policy":"true"`) != known || !known && r != n.by(c, "coco_accessPolicy", common.Address{7}) {
			t.Errorf("%s: %s", c.Name, r)
		}
	}
	if d, ok := policies.Find(n.env.State.Snapshot(), crypto.CreateAddress(n.address(1), 5), []common.Address{n.address(1)}); ok {
		t.Errorf("found %+v, which is to come", d)
	}
}

// What was decided about a block while its contract had no rule is not kept when a policy is attached, though no block follows: the next read obeys it.
func TestADecisionIsDroppedWhenAPolicyIsAttached(t *testing.T) {
	n := closedNode(t, parties...)
	a := contracts.Token()
	token := n.create(a, "Token", "T", big.NewInt(1000))
	n.sent(maker, 0, 1, &token, 0, packed(t, &a.ABI, "transfer", n.address(1), big.NewInt(5)))
	const all = "OwnershipTransferred Transfer Transfer"
	see := func(when, sender, stranger string) {
		t.Helper()
		for _, again := range []string{", first", ", again"} { // the second answer is what was remembered
			equal(t, when+again+": the sender", n.logsOf(maker, a, token), sender)
			equal(t, when+again+": a stranger", n.logsOf(shop, a, token), stranger)
		}
	}
	see("without a rule", all, "")
	head := n.Head().Hash
	n.attach(token, 0, policy.Text{Policy: "false"})
	see("a policy that admits nobody", "", "")
	n.attach(token, 0, policy.Text{})
	see("removed", all, "")
	n.attach(token, 0, policy.Text{Policy: `question == "event"`})
	see("a policy that shows events", all, all)
	n.attach(token, 0, policy.Text{})
	see("removed again", all, "")
	if n.Head().Hash != head {
		t.Error("a block followed")
	}
}
