package rpc

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/sessions"
	"github.com/cocoframework/coco/host"
)

// inSession serves requests of a session.
func (n *testNode) inSession(g *sessions.Grant) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n.serve(w, r.WithContext(adapter.WithScope(r.Context(), g)))
	}
}

func (n *testNode) postBy(g *sessions.Grant, body string) string {
	r := httptest.NewRequest(http.MethodPost, "/rpc", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	n.inSession(g)(w, r)
	return w.Body.String()
}

// A session for reading changes nothing, whatever methods there will be: one that changes something has the verdict of a sending, and is refused here.
func TestASessionForReadingChangesNothing(t *testing.T) {
	n := newTestNode(t, nil)
	reading, sending := &sessions.Grant{Scope: sessions.Scope{sessions.ScopeRead}}, &sessions.Grant{Scope: sessions.Scope{sessions.ScopeSend}}
	one, asking := &sessions.Grant{Scope: sessions.Scope{"eth_blockNumber"}}, &sessions.Grant{SignIn: &sessions.SignIn{}}
	refused := func(g *sessions.Grant, method string) bool {
		return strings.Contains(n.postBy(g, call(method)), "the credential is for ")
	}
	transactions := []string{"eth_sendRawTransaction", "eth_sendRawTransactionSync", "coco_sendRawTransaction"}
	itself := []string{"coco_endSession", "coco_sessions"}
	for _, method := range n.methods() {
		changes := verdicts[method] == sends && method != "coco_endSession"
		if refused(reading, method) != changes {
			t.Errorf("%s by a session for reading: refused %t", method, !changes)
		}
		if changes := changes && !slices.Contains(transactions, method); refused(sending, method) != changes {
			t.Errorf("%s by a session for sending: refused %t", method, !changes)
		}
		if may := method == "eth_blockNumber" || slices.Contains(itself, method); refused(one, method) == may {
			t.Errorf("%s by a session for one method: refused %t", method, may)
		}
		if refused(asking, method) == (method == "coco_signIn") {
			t.Errorf("%s by a signed message", method)
		}
	}
}

// The direct way, that of batches and the full server's are given the same calls.
func TestASessionsCallsAreFilteredOnEachWay(t *testing.T) {
	n := newTestNode(t, nil)
	reading := &sessions.Grant{Scope: sessions.Scope{sessions.ScopeRead}}
	to := n.address(0)
	first, second := n.raw(&to, 21000, nil), n.raw(&to, 21000, nil)
	before := n.Head().Number()
	for name, body := range map[string]string{
		"alone":        call("eth_sendRawTransaction", first),
		"in a batch":   "[" + call("eth_sendRawTransaction", first) + "," + call("eth_sendRawTransaction", second) + "]",
		"with escapes": `{"jsonrpc":"2.0","id":1,"\u006dethod":"eth_sendRaw\u0054ransaction","params":["` + first + `"]}`,
		"named twice":  `{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","METHOD":"eth_sendRawTransaction","params":["` + first + `"]}`,
		"with more":    call("eth_sendRawTransaction", first) + " {}",
		"in a mixture": "[" + call("eth_sendRawTransaction", first) + `,{"id":2,"method":7}]`,
	} {
		if reply := n.postBy(reading, body); strings.Contains(reply, `"result"`) || n.Head().Number() != before {
			t.Errorf("%s: %s", name, reply)
		}
	}
	var replies []struct {
		Result json.RawMessage
		Error  *struct{ Code int }
	}
	reply := n.postBy(reading, "["+call("eth_blockNumber")+","+call("eth_sendRawTransaction", first)+","+call("eth_chainId")+"]")
	if err := json.Unmarshal([]byte(reply), &replies); err != nil || len(replies) != 3 || replies[0].Result == nil || replies[1].Error == nil || replies[1].Error.Code != codeNoMethod || replies[2].Result == nil {
		t.Errorf("a batch: %s", reply)
	}
	sending := &sessions.Grant{Scope: sessions.Scope{sessions.ScopeSend}}
	if reply := n.postBy(sending, call("eth_sendRawTransaction", first)); !strings.Contains(reply, `"result"`) {
		t.Errorf("by a session for sending: %s", reply)
	}
}

// quickTicks is a clock whose tickers tick a hundred times as often.
type quickTicks struct{ host.Clock }

func (c quickTicks) NewTicker(d time.Duration) host.Ticker { return c.Clock.NewTicker(d / 100) }

// A WebSocket ends with its session: at the next message, or soon after it if none comes.
func TestAWebSocketEndsWithItsSession(t *testing.T) {
	for _, silent := range []bool{false, true} {
		n := newTestNode(t, nil)
		n.env.Clock = quickTicks{n.env.Clock}
		var ended atomic.Bool
		g := &sessions.Grant{Scope: sessions.Scope{sessions.ScopeRead}, Still: func() error {
			if ended.Load() {
				return coco.ErrDenied
			}
			return nil
		}}
		srv := httptest.NewServer(n.inSession(g))
		t.Cleanup(srv.Close)
		ws, _, err := websocket.Dial(context.Background(), "ws"+strings.TrimPrefix(srv.URL, "http")+"/rpc", &websocket.DialOptions{
			Subprotocols: []string{"coco-session"}, HTTPHeader: http.Header{"Origin": {"https://app.example"}},
		})
		must(t, err)
		t.Cleanup(func() { _ = ws.CloseNow() })
		if ws.Subprotocol() != "coco-session" {
			t.Errorf("the handshake is answered with the protocol %q: a browser ends the connection", ws.Subprotocol())
		}
		s := &testSocket{t, ws}
		var id string
		s.call(&id, "eth_subscribe", "newHeads")
		s.write(call("eth_subscribe", "no such thing"))
		s.read()
		s.write(call("eth_sendRawTransaction", "0x00"))
		if reply := s.read(); !strings.Contains(reply, "the credential is for ") {
			t.Errorf("a message beyond the session: %s", reply)
		}
		ended.Store(true)
		if !silent {
			s.write(call("eth_blockNumber"))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, b, err := ws.Read(ctx); websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
			t.Errorf("silent %t: %s %v", silent, b, err)
		}
	}
}
