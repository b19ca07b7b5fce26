package sessions

import (
	"bytes"
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
//
// A batch of more than most calls, as many as the server answers, becomes one of a call more, which the server refuses as a whole. So what is returned
// is little larger than body.
func (g *Grant) Filter(body []byte, most int) []byte {
	if !json.Valid(body) {
		return []byte("no JSON")
	}
	if !bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
		return g.filter(body)
	}
	dec := json.NewDecoder(bytes.NewReader(body)) // one call in memory at a time
	_, _ = dec.Token()
	out := []byte{'['}
	for n := 0; n <= most && dec.More(); n++ {
		var call json.RawMessage
		if dec.Decode(&call) != nil {
			return []byte("no JSON")
		}
		if n > 0 {
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
			may = g.Scope.said()
		}
		m.Method += fmt.Sprintf(" (the credential is for %s only)", may) // the server says that it does not exist or is not available
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false) // six bytes for one, for readers that there are not
	if enc.Encode(&m) != nil {
		return []byte("null")
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// said is a scope in a message, which is not longer with each entry.
func (s Scope) said() string {
	if len(s) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(s[:3], ", "), len(s)-3)
	}
	return strings.Join(s, ", ")
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
