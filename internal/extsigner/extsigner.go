// Package extsigner answers calls about accounts whose keys an external signer on the user's side has: Web3Signer, or Clef. It stands between a program and
// a node, which has no keys of users.
//
//	program ── eth_sendTransaction ──> Signer ──┬── eth_fillTransaction ────> node
//	                                            ├── sign ───────────────────> external signer
//	                                            └── eth_sendRawTransaction ─> node
//
// Whoever reaches it asks the signer for signatures. What is signed without a question is the signer's to decide: Clef asks a person, or its rules.
//
// Trust: host
package extsigner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// API is whose methods a signer has.
type API string

// The APIs, as Consensys and go-ethereum document them.
const (
	Web3Signer API = "web3signer"
	Clef       API = "clef"
)

// APIs are all of them.
func APIs() []string { return []string{string(Web3Signer), string(Clef)} }

// Config says which signer is asked, and who answers everything else.
type Config struct {
	URL      string // of the signer: https, or http on this machine
	API      API
	Upstream http.RoundTripper // reaches the node, whose JSON-RPC is at /rpc
}

// patience is how long a signer may take, which may ask a person.
const patience = 5 * time.Minute

// maxAnswer bounds an answer of the signer, in bytes.
const maxAnswer = 4 << 20

// Signer is a way to a node that answers calls about the signer's accounts itself. It is safe for concurrent use.
type Signer struct {
	cfg    Config
	client *http.Client

	mu    sync.Mutex
	turns map[string]*sync.Mutex // of accounts: a transaction's nonce follows from those before
}

// New returns a signer. The error is coco.ErrInvalid.
func New(cfg Config) (*Signer, error) {
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%w: external signer %q: expected a URL, such as http://127.0.0.1:9000", coco.ErrInvalid, cfg.URL)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, fmt.Errorf("%w: external signer %s: expected https, or an address of this machine: whoever is between could have anything signed", coco.ErrInvalid, u.Redacted())
	case !slices.Contains(APIs(), string(cfg.API)):
		return nil, fmt.Errorf("%w: external signer's API %q: expected one of %s", coco.ErrInvalid, cfg.API, strings.Join(APIs(), ", "))
	}
	client := &http.Client{
		Timeout:       patience,
		Transport:     &http.Transport{DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Signer{cfg: cfg, client: client, turns: map[string]*sync.Mutex{}}, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// request is one JSON-RPC call.
type request struct {
	Version string            `json:"jsonrpc"`
	ID      json.RawMessage   `json:"id,omitempty"`
	Method  string            `json:"method"`
	Params  []json.RawMessage `json:"params"`
}

// reply is the answer to one.
type reply struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *rpcError       `json:"error,omitempty"`
}

// rpcError is why a call was refused, by the node or by the signer.
type rpcError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (e *rpcError) Error() string { return e.Message }

func refuse(code int, format string, args ...any) error {
	return &rpcError{Code: code, Message: fmt.Sprintf(format, args...)}
}

const (
	codeServer        = -32000
	codeInvalidParams = -32602
)

// methods are those that are answered here.
var methods = map[string]func(*exchange, []json.RawMessage) (json.RawMessage, error){
	"eth_accounts":         (*exchange).accounts,
	"eth_requestAccounts":  (*exchange).accounts,
	"eth_sendTransaction":  (*exchange).send,
	"eth_signTransaction":  (*exchange).signTransaction,
	"eth_sign":             (*exchange).sign,
	"personal_sign":        (*exchange).signPersonal,
	"eth_signTypedData":    (*exchange).signTyped,
	"eth_signTypedData_v3": (*exchange).signTyped,
	"eth_signTypedData_v4": (*exchange).signTyped,
}

// RoundTrip implements http.RoundTripper. A request whose body is not at hand as a whole (http.Request.GetBody) goes to the node.
func (s *Signer) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodPost || req.URL.Path != "/rpc" || req.GetBody == nil {
		return s.cfg.Upstream.RoundTrip(req)
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	calls, batch, ours := parse(text)
	if !ours {
		return s.cfg.Upstream.RoundTrip(req)
	}
	x := &exchange{Signer: s, req: req, header: http.Header{"Content-Type": {"application/json"}}}
	replies := []reply{}
	for i := range calls {
		r, err := x.answer(&calls[i])
		if err != nil {
			return nil, err
		}
		if calls[i].ID != nil {
			replies = append(replies, r)
		}
	}
	var out []byte
	switch {
	case batch && len(replies) > 0:
		out, err = json.Marshal(replies)
	case len(replies) > 0:
		out, err = json.Marshal(replies[0])
	}
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: x.header, Body: io.NopCloser(bytes.NewReader(out)), ContentLength: int64(len(out)), Request: req,
	}, nil
}

// parse reads the calls of a body. They are not ours if it has none that is answered here, or is not JSON-RPC: then the node says what is wrong.
func parse(body []byte) (calls []request, batch, ours bool) {
	batch = bytes.HasPrefix(bytes.TrimSpace(body), []byte("["))
	if batch {
		if json.Unmarshal(body, &calls) != nil {
			return nil, true, false
		}
	} else {
		calls = make([]request, 1)
		if json.Unmarshal(body, &calls[0]) != nil {
			return nil, false, false
		}
	}
	return calls, batch, slices.ContainsFunc(calls, func(c request) bool { return methods[c.Method] != nil })
}

// exchange is one request of a program.
type exchange struct {
	*Signer
	req    *http.Request
	header http.Header // of the answer
}

// answer answers one call. The error is one of the way to the node.
func (x *exchange) answer(c *request) (reply, error) {
	r := reply{Version: "2.0", ID: c.ID}
	var err error
	if method := methods[c.Method]; method != nil {
		r.Result, err = method(x, c.Params)
	} else {
		r.Result, err = x.node(c.Method, c.Params)
	}
	if refused := (*rpcError)(nil); errors.As(err, &refused) {
		r.Error, r.Result = refused, nil
		return r, nil
	}
	return r, err
}

// node makes a call at the node.
func (x *exchange) node(method string, params []json.RawMessage) (json.RawMessage, error) {
	body, err := json.Marshal(request{Version: "2.0", ID: json.RawMessage("1"), Method: method, Params: params})
	if err != nil {
		return nil, err
	}
	out := x.req.Clone(x.req.Context())
	out.ContentLength = int64(len(body))
	out.Header.Del("Content-Length")
	out.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	out.Body, _ = out.GetBody()
	resp, err := x.cfg.Upstream.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	if id := resp.Header.Get(wire.HeaderTxID); id != "" {
		x.header.Set(wire.HeaderTxID, id)
	}
	return read(resp, "the node", 0)
}

// ask makes a call at the signer.
func (x *exchange) ask(method string, params ...any) (json.RawMessage, error) {
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(x.req.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, x.cfg.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := x.client.Do(req)
	if err != nil {
		return nil, refuse(codeServer, "the external signer cannot be reached, and nothing was sent: %v", err)
	}
	return read(resp, "the external signer", maxAnswer)
}

// read reads an answer of up to limit bytes; 0 is no bound.
func read(resp *http.Response, who string, limit int64) (json.RawMessage, error) {
	defer resp.Body.Close()
	var from io.Reader = resp.Body
	if limit > 0 {
		from = io.LimitReader(from, limit)
	}
	text, err := io.ReadAll(from)
	if err != nil {
		return nil, refuse(codeServer, "%s has not answered as a whole: %v", who, err)
	}
	var r reply
	if err := json.Unmarshal(text, &r); err != nil || r.Error == nil && r.Result == nil {
		return nil, refuse(codeServer, "%s has answered with status %s, expected JSON-RPC, found %.200q", who, resp.Status, text)
	}
	if r.Error != nil {
		return nil, r.Error
	}
	return r.Result, nil
}
