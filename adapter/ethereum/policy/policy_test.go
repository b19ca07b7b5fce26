package policy

import (
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"

	gethabi "github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
)

const tokenABI = `[
	{"type":"function","name":"transfer","stateMutability":"nonpayable","inputs":[{"name":"to","type":"address"},{"name":"amount","type":"uint256"}],"outputs":[]},
	{"type":"function","name":"many","inputs":[{"name":"of","type":"address[]"},{"name":"tag","type":"bytes4"},{"name":"note","type":"string"},{"name":"octets","type":"uint8[2]"}]},
	{"type":"function","name":"deep","inputs":[{"name":"n","type":"uint8"},{"name":"p","type":"tuple[]","components":[{"name":"x","type":"int256"},{"name":"y","type":"bool"}]}]},
	{"type":"event","name":"Transfer","inputs":[{"name":"from","type":"address","indexed":true},{"name":"to","type":"address","indexed":true},{"name":"amount","type":"uint256","indexed":false}]},
	{"type":"event","name":"Said","inputs":[{"name":"what","type":"string","indexed":true}]}]`

var (
	kim    = common.HexToAddress("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
	other  = common.HexToAddress("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
	asked  = Caller{Actor: coco.ActorID{1}.String(), Name: "acme", Role: coco.Member, User: "kim", Addresses: []common.Address{other, kim}}
	huge   = new(big.Int).Lsh(big.NewInt(1), 200)
	topic0 = crypto.Keccak256Hash([]byte("Transfer(address,address,uint256)"))
)

// pack encodes a call by go-ethereum's own reading of the ABI.
func pack(t *testing.T, method string, args ...any) []byte {
	t.Helper()
	a, err := gethabi.JSON(strings.NewReader(tokenABI))
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.Pack(method, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAPolicyDecidesByWhatIsAsked(t *testing.T) {
	type pair struct {
		X *big.Int
		Y bool
	}
	word := func(a common.Address) common.Hash { return common.BytesToHash(a[:]) }
	call := func(input []byte) Facts { return Facts{Question: "call", Contract: other, Input: input} }
	transfer := call(pack(t, "transfer", kim, big.NewInt(999)))
	many := call(pack(t, "many", []common.Address{other, kim}, [4]byte{0xab, 1}, "hello", [2]uint8{1, 2}))
	event := Facts{Question: "event", Contract: other, From: kim, Visible: true, Topics: []common.Hash{topic0, word(other), word(kim)}, Data: common.BigToHash(big.NewInt(5)).Bytes()}
	for _, c := range []struct {
		policy string
		facts  Facts
		want   string // yes, no, or none: no answer
	}{
		{`question == "call"`, transfer, "yes"},
		{`question == "state"`, transfer, "no"},
		{`caller.name == "acme" && caller.role == "member" && caller.user == "kim"`, transfer, "yes"},
		{`caller.actor.startsWith("01")`, transfer, "yes"},
		{`method.selector == "0xa9059cbb" && method.name == "transfer"`, transfer, "yes"},
		{`method.args.to in caller.addresses && method.args.amount < 1000`, transfer, "yes"},
		{`method.args.amount < 999`, transfer, "no"},
		{`method.args.amount < 999`, call(pack(t, "transfer", kim, huge)), "none"},
		{`caller.name == "acme" || method.args.amount < 999`, call(pack(t, "transfer", kim, huge)), "yes"},
		{`method.args.nothing == 1`, transfer, "none"},
		{`has(method.args.nothing)`, transfer, "no"},
		{`has(method.args.amount)`, call(transfer.Input[:20]), "no"}, // too short for its arguments
		{`method.name == "" && method.selector == ""`, call(nil), "yes"},
		{`method.name == "" && method.selector == "0x01020304"`, call([]byte{1, 2, 3, 4}), "yes"},
		{`method.args.of.exists(a, a in caller.addresses) && method.args.tag == "0xab010000" && method.args.note == "hello"`, many, "yes"},
		{`size(method.args.octets) == 2`, many, "none"},
		{`method.name == "deep" && !has(method.args.n)`, call(pack(t, "deep", uint8(1), []pair{{big.NewInt(1), true}})), "yes"},
		{`event.name == "Transfer" && event.args.to in caller.addresses && event.args.amount == 5`, event, "yes"},
		{`event.topics[2] in caller.topics && event.topics[0] == "` + topic0.Hex() + `"`, event, "yes"},
		{`tx.from in caller.addresses && tx.visible`, event, "yes"},
		{`event.topics[3] == ""`, event, "none"},
		{`event.name == "Transfer" && !has(event.args.amount)`, Facts{Question: "event", Topics: event.Topics[:2], Data: event.Data}, "yes"}, // other indexed fields
		{`event.name == "" && event.topics == []`, Facts{Question: "event"}, "compile"},
		{`event.name == "" && event.topics.size() == 0`, Facts{Question: "event"}, "yes"},
		{`event.args.what == "` + crypto.Keccak256Hash([]byte("hi")).Hex() + `"`, Facts{Question: "event", Topics: []common.Hash{crypto.Keccak256Hash([]byte("Said(string)")), crypto.Keccak256Hash([]byte("hi"))}}, "yes"},
	} {
		p, err := Compile(Text{c.policy, []byte(tokenABI)})
		if (err != nil) != (c.want == "compile") {
			t.Errorf("%s: %v", c.policy, err)
		}
		if err != nil {
			continue
		}
		ok, cost, err := p.Answer(&asked, &c.facts)
		got := map[bool]string{true: "yes", false: "no"}[ok]
		if err != nil {
			got = "none"
		}
		if got != c.want || err != nil && (ok || !errors.Is(err, coco.ErrInvalid)) || cost == 0 && err == nil {
			t.Errorf("%s: %s, cost %d, %v; expected %s", c.policy, got, cost, err, c.want)
		}
	}
}

func TestABadPolicyIsRefusedWithItsPlace(t *testing.T) {
	for _, c := range []struct{ policy, abi, says string }{
		{"", "", "expected an expression"},
		{"true && 1", "", "1:"},
		{`"x"`, "", "expected bool: true if the caller is admitted"},
		{`caller.nme == "x"`, "", "undefined field 'nme'"},
		{`"x".matches("x")`, "", "matches"},
		{`now > 5`, "", "undeclared reference to 'now'"},
		{`caller.addresses == caller.topics`, "", "cannot be compared"},
		{`"` + kim.Hex() + `" in caller.addresses`, "", "small letters"},
		{strings.Repeat("(", 100) + "true" + strings.Repeat(")", 100), "", "recursion"},
		{"true" + strings.Repeat(" ", MaxBytes), "", "bytes, expected at most"},
		{"true", "{}", "expected a list"},
		{"true", "[", "ABI"},
		{"true", `[{"type":"function","name":"f","inputs":[{"name":"x","type":"uint"}]}]`, "uint256"},
		{"true", `[{"type":"function","name":"","inputs":[]}]`, "expected a name"},
		{"true", "[" + strings.Repeat(`{"type":"event","name":"e"},`, maxEntries) + `{}]`, "entries"},
		{"true", `[{"type":"event","name":"` + strings.Repeat("e", MaxABI) + `"}]`, "leave out what"},
	} {
		if _, err := Compile(Text{c.policy, []byte(c.abi)}); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60q %.60q: %v, expected %q", c.policy, c.abi, err, c.says)
		}
	}
	nested := `{"name":"x","type":"tuple","components":[]}`
	for range 20 {
		nested = `{"name":"x","type":"tuple","components":[` + nested + `]}`
	}
	if _, err := Compile(Text{"true", []byte(`[{"type":"function","name":"f","inputs":[` + nested + `]}]`)}); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a tuple in a tuple, twenty times: %v", err)
	}
}

func TestTheCostOfAnAnswerIsBounded(t *testing.T) {
	p, err := Compile(Text{`caller.addresses.all(a, caller.addresses.all(b, caller.addresses.all(c, a != "" && b != "" && c != "")))`, nil})
	if err != nil {
		t.Fatal(err)
	}
	many := Caller{Addresses: []common.Address{other, kim}}
	for range 64 {
		many.Addresses = append(many.Addresses, kim)
	}
	if ok, cost, err := p.Answer(&many, &Facts{Question: "call"}); ok || err == nil || cost < MaxCost {
		t.Errorf("%t, cost %d, %v: expected that it ends at %d", ok, cost, err, MaxCost)
	}
}

// The selector of a method and the topic of an event are those that go-ethereum computes.
func TestSignaturesAreThoseOfSolidity(t *testing.T) {
	want, err := gethabi.JSON(strings.NewReader(tokenABI))
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseABI([]byte(tokenABI))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range want.Methods {
		if s := got.methods[[4]byte(m.ID)]; s == nil || s.name != m.Name {
			t.Errorf("%s is not found", m.Sig)
		}
	}
	for _, e := range want.Events {
		if s := got.events[e.ID]; s == nil || s.name != e.Name {
			t.Errorf("%s is not found", e.Sig)
		}
	}
}

// FuzzAPolicyNeverPanics gives an ABI and data that anybody may have written.
func FuzzAPolicyNeverPanics(f *testing.F) {
	f.Add(`[{"type":"function","name":"f","inputs":[{"name":"x","type":"uint256[9]"}]}]`, []byte{1, 2, 3, 4})
	f.Add(tokenABI, []byte{0xa9, 0x05, 0x9c, 0xbb, 0})
	f.Add(`[{"type":"event","name":"e","inputs":[{"name":"x","type":"tuple","components":[{"type":"uint8[999999999]"}]}]}]`, []byte{})
	f.Fuzz(func(t *testing.T, abi string, data []byte) {
		p, err := Compile(Text{`size(method.args) > 0 && size(event.args) > 0`, []byte(abi)})
		if err != nil {
			return
		}
		for id := range p.abi.methods {
			_, _, _ = p.Answer(&asked, &Facts{Question: "call", Input: append(id[:], data...)})
		}
		for id := range p.abi.events {
			_, _, _ = p.Answer(&asked, &Facts{Question: "event", Topics: []common.Hash{id, common.BytesToHash(data)}, Data: data})
		}
	})
}

func TestTheDocumentListsWhatAPolicyOfAContractSees(t *testing.T) {
	page, err := os.ReadFile("../../../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range records {
		for _, f := range typ.Fields {
			if word := strings.TrimPrefix(typ.CEL.TypeName(), "coco.") + "." + f.Name; !strings.Contains(string(page), fmt.Sprintf("`%s`", word)) {
				t.Errorf("docs/access.md does not name %s", word)
			}
		}
	}
}

func TestACallIsEncodedAsPeopleWriteIt(t *testing.T) {
	abi := []byte(`[{"type":"function","name":"f","inputs":[{"name":"a","type":"address"},{"name":"b","type":"uint8"},{"name":"c","type":"int256"},{"name":"d","type":"bytes2"},{"name":"e","type":"string"},{"name":"g","type":"bool"}]}]`)
	input, err := EncodeCall(abi, "f", []string{kim.Hex(), "200", "-5", "0xabcd", "hello", "true"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := Compile(Text{`method.name == "f" && method.args.a in caller.addresses && method.args.b == 200 && method.args.c == -5 && method.args.d == "0xabcd" && method.args.e == "hello" && method.args.g == true`, abi})
	if err != nil {
		t.Fatal(err)
	}
	if ok, _, err := p.Answer(&asked, &Facts{Question: "call", Input: input}); !ok || err != nil {
		t.Errorf("%x: %t %v", input, ok, err)
	}
	for _, c := range [][]string{{"f"}, {"g"}, {"0x0102"}, {"f", "x", "1", "1", "0xabcd", "", "true"}, {"f", kim.Hex(), "256", "1", "0xabcd", "", "true"}, {"f", kim.Hex(), "-1", "1", "0xabcd", "", "true"}, {"f", kim.Hex(), "1", "1", "0xab", "", "true"}} {
		if _, err := EncodeCall(abi, c[0], c[1:]); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if b, err := EncodeCall(nil, "0xa9059cbb", nil); err != nil || len(b) != 4 {
		t.Errorf("%x %v", b, err)
	}
}

// BenchmarkStep says what a step of a policy takes: ADR 26 charges it as gas.
func BenchmarkStep(b *testing.B) {
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 20), ",") + "]"
	p, err := Compile(Text{Policy: list + ".all(a, " + list + ".all(b, a + b == 2))"})
	if err != nil {
		b.Fatal(err)
	}
	steps := uint64(0)
	for b.Loop() {
		admitted, cost, err := p.Answer(&Caller{}, &Facts{Question: "code"})
		if !admitted || err != nil {
			b.Fatal(admitted, err)
		}
		steps += cost
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(steps), "ns/step")
}
