// Package client talks to validating nodes and believes only what it has verified.
//
// A [Policy] says which code and which service a node must prove. Each connection is mutual TLS
// that ends inside the node's enclave; before the first request goes out under a node key that
// was not seen before, the client asks for evidence over a fresh nonce on that same connection,
// verifies it, and checks that it binds the key of the TLS certificate and code that the policy
// lists. A node that restarts has a new key, and is verified anew.
//
// [Transport] is the verified connection as an http.RoundTripper, which the loopback proxy uses
// too; [Client] adds the calls that every network answers.
//
// Trust: host
package client

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// maxAnswer bounds what a call reads of an answer into memory.
const maxAnswer = 64 << 20

// Client calls one node.
type Client struct {
	t  *Transport
	hc *http.Client

	elsewhere elsewhere
}

// New returns a client of the node at cfg.Addr. It does not connect yet.
func New(cfg Config) (*Client, error) {
	t, err := NewTransport(cfg)
	if err != nil {
		return nil, err
	}
	return &Client{t: t, hc: &http.Client{Transport: t, CheckRedirect: noRedirect}}, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close drops the idle connections.
func (c *Client) Close() {
	c.t.CloseIdleConnections()
	c.elsewhere.close()
}

// Transport returns the client's verified connections, for libraries that want an http.Client.
func (c *Client) Transport() *Transport { return c.t }

// HTTPClient returns an http.Client over the verified connections. URLs name the host at will:
// all of them go to the one node.
func (c *Client) HTTPClient() *http.Client { return c.hc }

// Verify connects, verifies the node and returns what it has proven.
func (c *Client) Verify(ctx context.Context) (Attested, error) { return c.t.Verify(ctx) }

// Constitution returns the constitution's readable page and its digest as the node states it. The
// caller compares the digest with what it pinned, or recomputes it from the page.
func (c *Client) Constitution(ctx context.Context) (page []byte, digest coco.Digest, err error) {
	resp, err := c.do(ctx, http.MethodGet, "/node/constitution", nil)
	if err != nil {
		return nil, coco.Digest{}, err
	}
	page, err = readAll(resp)
	if err != nil {
		return nil, coco.Digest{}, err
	}
	if err := digest.UnmarshalText([]byte(resp.Header.Get(wire.HeaderDigest))); err != nil {
		return nil, coco.Digest{}, fmt.Errorf("the node's constitution: header %s: %w", wire.HeaderDigest, err)
	}
	return page, digest, nil
}

// Service returns the network's service certificate as the node states it.
func (c *Client) Service(ctx context.Context) (*x509.Certificate, error) {
	body, err := c.get(ctx, "/node/service")
	if err != nil {
		return nil, err
	}
	return ParseCertificate(body)
}

// Receipt returns the receipt of a committed transaction, as JSON.
func (c *Client) Receipt(ctx context.Context, tx coco.TxID) ([]byte, error) {
	return c.get(ctx, "/node/receipt/"+tx.String())
}

// Tx asks what became of a transaction.
func (c *Client) Tx(ctx context.Context, tx coco.TxID) (wire.TxStatus, error) {
	var answer wire.Tx
	if err := c.getJSON(ctx, "/node/tx/"+tx.String(), &answer); err != nil {
		return "", err
	}
	switch answer.Status {
	case wire.TxCommitted, wire.TxPending, wire.TxInvalid, wire.TxUnknown:
		return answer.Status, nil
	}
	return "", fmt.Errorf("%w: transaction %s has the unheard-of status %q", coco.ErrCorrupt, tx, answer.Status)
}

// RPCError is the error object of a JSON-RPC answer.
type RPCError struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (e *RPCError) Error() string { return fmt.Sprintf("%s (JSON-RPC error %d)", e.Message, e.Code) }

// RPC makes a JSON-RPC call at /rpc and stores its result, unless result is nil. It returns the id
// of the transaction that the call committed, which is zero for a read. An error object of the
// answer is returned as an *RPCError.
func (c *Client) RPC(ctx context.Context, result any, method string, params ...any) (coco.TxID, error) {
	if params == nil {
		params = []any{}
	}
	call, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return coco.TxID{}, fmt.Errorf("%w: %s: %w", coco.ErrInvalid, method, err)
	}
	resp, err := c.do(ctx, http.MethodPost, "/rpc", call)
	if err != nil {
		return coco.TxID{}, fmt.Errorf("%s: %w", method, err)
	}
	body, err := readAll(resp)
	if err != nil {
		return coco.TxID{}, fmt.Errorf("%s: %w", method, err)
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  *RPCError       `json:"error"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return coco.TxID{}, fmt.Errorf("%w: %s: the answer is no JSON-RPC: %w", coco.ErrCorrupt, method, err)
	}
	if answer.Error != nil {
		return coco.TxID{}, fmt.Errorf("%s: %w", method, answer.Error)
	}
	if result != nil {
		if err := json.Unmarshal(answer.Result, result); err != nil {
			return coco.TxID{}, fmt.Errorf("%w: %s: result %.100q: %w", coco.ErrCorrupt, method, answer.Result, err)
		}
	}
	var tx coco.TxID
	if h := resp.Header.Get(wire.HeaderTxID); h != "" {
		if tx, err = coco.ParseTxID(h); err != nil {
			return coco.TxID{}, fmt.Errorf("%s: header %s: %w", method, wire.HeaderTxID, err)
		}
	}
	return tx, nil
}

// Ask makes a request to one of a ledger's endpoints and returns the answer's body and header; a nil body is a GET, any other a POST
// of JSON. Any status but 200 is an error, of the kind that the node gave it.
func (c *Client) Ask(ctx context.Context, path string, body []byte) ([]byte, http.Header, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return nil, nil, err
	}
	answer, err := readAll(resp)
	return answer, resp.Header, err
}

func (c *Client) get(ctx context.Context, path string) ([]byte, error) {
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return readAll(resp)
}

func (c *Client) getJSON(ctx context.Context, path string, v any) error {
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	return readJSON(resp, path, v)
}

func readJSON(resp *http.Response, path string, v any) error {
	body, err := readAll(resp)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: %s: %w", coco.ErrCorrupt, path, err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	if body == nil {
		return c.send(ctx, method, path, "", nil)
	}
	return c.send(ctx, method, path, wire.MediaJSON, bytes.NewReader(body))
}

// send makes a request; a nil r is no body. Any status but 200 is an error: 202 too, by which a node says that
// it prepares an answer.
func (c *Client) send(ctx context.Context, method, path, contentType string, r io.Reader) (*http.Response, error) {
	resp, err := c.roundTrip(ctx, method, path, contentType, r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, readError(resp)
	}
	return resp, nil
}

// roundTrip makes a request and returns the answer, whatever its status.
func (c *Client) roundTrip(ctx context.Context, method, path, contentType string, r io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "https://node"+path, r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.hc.Do(req)
	if err != nil {
		return nil, unwrapped(err)
	}
	return resp, nil
}

// unwrapped returns the transport's error, which names the node. The host of the URL is made up.
func unwrapped(err error) error {
	if outer := (*url.Error)(nil); errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

func readAll(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("%w: reading the node's answer: %w", coco.ErrUnreachable, err)
	}
	if len(body) > maxAnswer {
		return nil, fmt.Errorf("%w: the node's answer exceeds %d bytes", coco.ErrInvalid, maxAnswer)
	}
	return body, nil
}

// readError returns the error that an answer reports whose status is not the expected one.
func readError(resp *http.Response) error {
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err := wire.FromAnswer(resp.StatusCode, body); err != nil {
		return err
	}
	return fmt.Errorf("%w: the node answers with the unexpected status %s", coco.ErrCorrupt, resp.Status)
}

// ParseCertificate reads one certificate in PEM form.
func ParseCertificate(data []byte) (*x509.Certificate, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("%w: expected one certificate in PEM form", coco.ErrInvalid)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.Join(coco.ErrInvalid, err)
	}
	return cert, nil
}
