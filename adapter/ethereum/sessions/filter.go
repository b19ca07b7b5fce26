package sessions

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/coder/websocket"
)

// message is a call of JSON-RPC.
type message struct {
	Version json.RawMessage `json:"jsonrpc,omitempty"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params,omitempty"`
}

// Filter returns what a server is asked in place of a body of JSON-RPC, a call or a batch. A call of a method that the credential is not good for
// has a name that no method has, so it is answered as an unknown one and the others of its batch are not touched.
//
// Each call is written anew: which name a call has must not depend on who reads it, as with one that has two.
func (g *Grant) Filter(body []byte) []byte {
	var batch []json.RawMessage
	if json.Unmarshal(body, &batch) != nil {
		if !json.Valid(body) {
			return []byte("no JSON")
		}
		return g.filter(body)
	}
	out := []byte{'['}
	for i, call := range batch {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, g.filter(call)...)
	}
	return append(out, ']')
}

// filter is Filter for one call. What is none becomes null, which is none either.
func (g *Grant) filter(call []byte) []byte {
	var m message
	if json.Unmarshal(call, &m) != nil {
		return []byte("null")
	}
	if !g.Allows(m.Method) {
		may := methodSignIn
		if g.SignIn == nil {
			may = strings.Join(g.Scope, ", ")
		}
		m.Method += fmt.Sprintf(" (the credential is for %s only)", may) // the server says that it does not exist or is not available
	}
	out, err := json.Marshal(&m)
	if err != nil {
		return []byte("null")
	}
	return out
}

// protocol is what a page names before its token in a WebSocket's handshake: see package caller/session.
const protocol = "coco-session"

// Handshake returns how a WebSocket's handshake is answered. The core has judged the origin of a page that came by a session; it names the
// protocol, and browsers close the connection unless it is answered.
func Handshake(r *http.Request) *websocket.AcceptOptions {
	if Of(r.Context()) == nil {
		return nil
	}
	o := &websocket.AcceptOptions{InsecureSkipVerify: true}
	if slices.Contains(r.Header.Values("Sec-WebSocket-Protocol"), protocol) {
		o.Subprotocols = []string{protocol}
	}
	return o
}
