package sessions

import (
	"slices"
	"strings"
)

// Scope is what a session may do: ScopeRead, ScopeSend, or single methods by their names.
type Scope []string

// What a scope may have beside the names of methods.
const (
	ScopeRead = "read" // all methods that change nothing
	ScopeSend = "send" // sending transactions that a wallet has signed, and reading
)

const (
	maxScope      = 16 // entries
	maxMethod     = 64 // bytes of a name
	methodSignIn  = "coco_signIn"
	methodEnd     = "coco_endSession"
	methodListing = "coco_sessions"
)

// sending are the methods by which transactions are sent, and never those that ScopeRead allows.
var sending = []string{"eth_sendRawTransaction", "eth_sendRawTransactionSync", "coco_sendRawTransaction"}

// unsigned are methods that send what nobody signs: a session is good for them only if it names them.
var unsigned = []string{"coco_sendCall", "coco_sendCalls"}

// never are methods for which no session is good: whose an address is decides what a session is, and a contract's policy what others see.
var never = []string{"coco_linkMessage", "coco_linkAddress", "coco_unlinkAddress", "coco_setAccessPolicy", "coco_removeAccessPolicy"}

// check checks the form of a scope. The error is coco.ErrInvalid.
func (s Scope) check() error {
	if len(s) == 0 || len(s) > maxScope {
		return refuse("scope: expected 1 to %d entries, found %d", maxScope, len(s))
	}
	for i, may := range s {
		if slices.Contains(s[:i], may) {
			return refuse("scope: %q is there twice", may)
		}
		if may != ScopeRead && may != ScopeSend && !isMethod(may) {
			return refuse("scope %.80q: expected %s, %s or the name of a method", may, ScopeRead, ScopeSend)
		}
		if slices.Contains(never, may) {
			return refuse("scope %q: no session is good for this method", may)
		}
	}
	return nil
}

func isMethod(name string) bool {
	group, method, found := strings.Cut(name, "_")
	return found && len(name) <= maxMethod && isWord(group) && isWord(method)
}

func isWord(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') })
}

// allows reports whether a scope has a method. A session may always be told of itself, and end itself.
func (s Scope) allows(method string) bool {
	switch {
	case slices.Contains(never, method):
		return false
	case method == methodEnd, method == methodListing, slices.Contains(s, method):
		return true
	case slices.Contains(unsigned, method):
		return false
	case slices.Contains(sending, method):
		return slices.Contains(s, ScopeSend)
	}
	return slices.Contains(s, ScopeRead) || slices.Contains(s, ScopeSend)
}
