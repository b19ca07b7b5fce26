package sessions

import (
	"encoding/json"
	"strings"
	"testing"
)

// methodsOf reads a body as a server does that is given any JSON: members of a name in whatever case count, the last of them.
func methodsOf(body []byte) (methods []string) {
	one := func(raw json.RawMessage) {
		var m struct{ Method string }
		if json.Unmarshal(raw, &m) == nil {
			methods = append(methods, m.Method)
		}
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	for {
		var raw json.RawMessage
		if dec.Decode(&raw) != nil {
			return methods
		}
		var batch []json.RawMessage
		if json.Unmarshal(raw, &batch) != nil {
			one(raw)
		}
		for _, m := range batch {
			one(m)
		}
	}
}

func TestWhatASessionIsNotForIsCalledByNoName(t *testing.T) {
	g := &Grant{Scope: Scope{ScopeRead}}
	for body, want := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"0x00"},"latest"]}`: `{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{"to":"0x00"},"latest"]}`,
		`{"id":1,"method":"eth_call","method":"eth_sendRawTransaction"}`:                 `{"id":1,"method":"eth_sendRawTransaction (the credential is for read only)"}`,
		`{"id":1,"method":"eth_call","METHOD":"coco_signIn"}`:                            `{"id":1,"method":"coco_signIn (the credential is for read only)"}`,
		`[{"id":1,"method":"eth_call"},7,{"id":2,"method":"coco_unlinkAddress"}]`:        `[{"id":1,"method":"eth_call"},null,{"id":2,"method":"coco_unlinkAddress (the credential is for read only)"}]`,
		`{"id":1,"method":"eth_call"} {}`:                                                `no JSON`,
		`{"id":1,"method":7}`:                                                            `null`,
		`[]`:                                                                             `[]`,
	} {
		if got := string(g.Filter([]byte(body), 100)); got != want {
			t.Errorf("%s\nbecomes  %s\nexpected %s", body, got, want)
		}
	}
	if got := string((&Grant{Scope: Scope{"eth_blockNumber"}}).Filter([]byte(`{"id":1,"method":"eth_call"}`), 100)); !strings.Contains(got, "for eth_blockNumber only") {
		t.Errorf("a session for one method: %s", got)
	}
	if got := string((&Grant{SignIn: &SignIn{}}).Filter([]byte(`{"id":1,"method":"eth_call"}`), 100)); !strings.Contains(got, "for coco_signIn only") {
		t.Errorf("a signed message: %s", got)
	}
	if got := string((&Grant{Scope: Scope{ScopeSend}}).Filter([]byte(`{"id":1,"method":"eth_sendRawTransaction"}`), 100)); strings.Contains(got, "only") {
		t.Errorf("a session for sending: %s", got)
	}
}
