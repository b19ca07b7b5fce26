package fleet

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
)

const (
	maxFilters   = 4096
	filterAnswer = 512 // bytes: larger than any answer that names a filter
)

// filters remembers which node keeps which polled filter: JSON-RPC's filters live on one node, and home moves.
type filters struct {
	mu    sync.Mutex
	at    map[string]*node
	order []string // the oldest first
}

// filterCall is a JSON-RPC call that makes a filter or uses one.
type filterCall struct {
	Method string `json:"method"`
	Params []any  `json:"params"`
}

func callOf(a *attempt) (c filterCall, ok bool) {
	if !a.whole || a.req.Method != http.MethodPost || a.req.URL.Path != "/rpc" || !bytes.Contains(a.content, []byte("Filter")) {
		return c, false
	}
	return c, json.Unmarshal(a.content, &c) == nil
}

// of returns the node that keeps the filter that a request is about; nil if it is about none, or the node is not known any more.
func (s *filters) of(f *Fleet, a *attempt) *node {
	c, ok := callOf(a)
	if !ok || len(c.Params) != 1 {
		return nil
	}
	id, ok := c.Params[0].(string)
	if !ok {
		return nil
	}
	s.mu.Lock()
	n := s.at[id]
	s.mu.Unlock()
	for _, known := range f.known() {
		if known == n {
			return n
		}
	}
	return nil
}

// note remembers the filter that an answer names.
func (s *filters) note(n *node, a *attempt, resp *http.Response) {
	c, ok := callOf(a)
	if !ok || !strings.HasPrefix(c.Method, "eth_new") || resp.ContentLength < 0 || resp.ContentLength > filterAnswer {
		return
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var reply struct {
		Result string `json:"result"`
	}
	if err != nil || json.Unmarshal(body, &reply) != nil || reply.Result == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.at = map[string]*node{}
	}
	s.at[reply.Result] = n
	if s.order = append(s.order, reply.Result); len(s.order) > maxFilters {
		delete(s.at, s.order[0])
		s.order = s.order[1:]
	}
}
