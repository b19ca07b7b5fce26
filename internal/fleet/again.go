package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/wire"
)

// attempt is a request that is being tried.
type attempt struct {
	req     *http.Request
	content []byte         // of the body, if it can be had again
	whole   bool           // content is all of it
	sent    bool           // the body of req has been handed to a node's connection
	last    *http.Response // a refusal
	stream  bool           // it wants an upgraded connection
	// maybe: a node may have acted on it. From then on content is the form that may be sent again.
	maybe        bool
	linearizable bool // asked for, by whomever
	// elsewhere are nodes that may have the row which the request is about, where the first node must not; directed says that they were looked for.
	elsewhere []*node
	directed  bool
	alone     bool // the node is chosen by what is in front of the nodes
}

func newAttempt(req *http.Request) (*attempt, error) {
	a := &attempt{req: req, stream: req.Header.Get("Upgrade") != ""}
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		a.whole = true
	case req.GetBody != nil:
		body, err := req.GetBody()
		if err != nil {
			a.close()
			return nil, err
		}
		if a.content, err = io.ReadAll(body); err != nil {
			a.close()
			return nil, fmt.Errorf("%w: the body of the request: %w", coco.ErrInvalid, err)
		}
		a.whole = true
		a.close()
	}
	return a, nil
}

func (a *attempt) close() {
	if a.req.Body != nil {
		a.req.Body.Close()
	}
}

// end gives the request up. A node's refusal says more than that there was no other node.
func (a *attempt) end(err error) (*http.Response, error) {
	if !a.whole && !a.sent {
		a.close()
	}
	if a.last != nil && !a.maybe {
		return a.last, nil
	}
	return nil, a.outcome(err)
}

// request is what goes to a node.
func (a *attempt) request(n *node) *http.Request {
	out := a.req.Clone(a.req.Context())
	if a.whole && len(a.content) > 0 {
		content := a.content
		out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
		out.Body, _ = out.GetBody()
		out.ContentLength = int64(len(content))
	}
	if a.resident() != "" && out.Body != nil {
		out.Header.Set("Expect", "100-continue") // a node that must not have the value refuses before it is sent
	}
	a.sent = true
	asked := out.Header.Get(wire.HeaderConsistency)
	if asked == "" && !a.stream && !n.current.Load() && !strings.HasPrefix(a.req.URL.Path, "/node/") {
		asked = wire.Linearizable
		out.Header.Set(wire.HeaderConsistency, asked)
	}
	a.linearizable = asked == wire.Linearizable
	return out
}

// again reports whether the request may be tried at another node after it has failed with err, nil for a refusal: then it had no effect.
func (a *attempt) again(err error) bool {
	if !a.whole {
		return false
	}
	if !errors.Is(err, coco.ErrUnknown) {
		return err == nil || errors.Is(err, coco.ErrUnreachable) || errors.Is(err, coco.ErrVerify)
	}
	if a.maybe { // content is in that form already
		return true
	}
	form, ok := Again(a.req.Method, a.req.URL.Path, a.content)
	if ok {
		a.content, a.maybe = form, true
	}
	return ok
}

// outcome is the error of a request that is given up.
func (a *attempt) outcome(err error) error {
	if a.maybe && !errors.Is(err, coco.ErrUnknown) {
		return fmt.Errorf("%w: a node was lost while it had the request, and no other one has answered since: %w", coco.ErrUnknown, unkind{err})
	}
	return err
}

// refused reports whether an answer says that its node cannot serve now and that nothing happened, and keeps it.
func (a *attempt) refused(resp *http.Response) bool {
	if resp.StatusCode != http.StatusServiceUnavailable || !a.whole {
		return false
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxRefusal)) // the status says enough
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Del("Content-Length")
	a.last = resp
	return true
}

const maxRefusal = 64 << 10 // bytes

// retryAfter is how long a node that refuses shall be left alone.
func retryAfter(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		seconds = 1
	}
	return max(time.Duration(min(seconds, 5))*time.Second, 100*time.Millisecond)
}

// Again returns the form in which a request may be sent again that a node may have acted on; ok is false if it may not. It is about requests that are not safe by
// their method (RFC 9110, section 9.2.1): JSON-RPC is posted, and most of its calls read.
//
// A transaction is sent again by a method of its own, which answers for one that is in the ledger as the first time: it never executes twice.
func Again(method, path string, body []byte) (form []byte, ok bool) {
	if method != http.MethodPost || path != "/rpc" {
		return nil, false
	}
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) == 0 || trimmed[0] != '[' {
		return againCall(body)
	}
	var batch []json.RawMessage
	if json.Unmarshal(body, &batch) != nil || len(batch) == 0 {
		return nil, false
	}
	for i, call := range batch {
		if batch[i], ok = againCall(call); !ok {
			return nil, false
		}
	}
	form, err := json.Marshal(batch)
	return form, err == nil
}

const (
	sendOnce  = "eth_sendRawTransaction"
	sendAgain = "coco_sendRawTransaction"
)

// notAgain are methods of the reading namespaces that have an effect on the node, or whose first answer may have used something up.
var notAgain = []string{"eth_sendRawTransactionSync", "eth_sendTransaction", "eth_getFilterChanges", "eth_subscribe", "eth_unsubscribe"}

var reading = []string{"eth", "net", "web3", "debug", "trace", "ots", "erigon", "txpool", "rpc"}

func againCall(call []byte) ([]byte, bool) {
	var members map[string]json.RawMessage
	var method string
	if json.Unmarshal(call, &members) != nil || json.Unmarshal(members["method"], &method) != nil {
		return nil, false
	}
	namespace, _, _ := strings.Cut(method, "_")
	switch {
	case method == sendOnce:
		members["method"] = json.RawMessage(`"` + sendAgain + `"`)
	case method == sendAgain:
	case slices.Contains(notAgain, method) || !slices.Contains(reading, namespace):
		return nil, false
	}
	form, err := json.Marshal(members) // each member once: what is sent is what was judged
	return form, err == nil
}

// EffectOf says what a request does that is not safe by its method.
func EffectOf(method, path string, body []byte) client.Effect {
	form, ok := Again(method, path, body)
	switch {
	case !ok:
		return client.EachTime
	case bytes.Contains(form, []byte(sendAgain)):
		return client.Once
	}
	return client.Never
}
