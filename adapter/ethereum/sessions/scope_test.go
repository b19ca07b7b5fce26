package sessions

import "testing"

// Nobody signs what these methods send: that a session may send what a wallet has signed, or read, is not enough.
func TestASessionSendsWithoutASignatureOnlyIfItNamesTheMethod(t *testing.T) {
	for _, method := range unsigned {
		for _, s := range []Scope{{ScopeRead}, {ScopeSend}, {ScopeRead, ScopeSend}, {"eth_sendRawTransaction"}} {
			if s.allows(method) {
				t.Errorf("%v is good for %s", s, method)
			}
		}
		if !(Scope{method}).allows(method) {
			t.Errorf("a session that names %s is not good for it", method)
		}
	}
}
