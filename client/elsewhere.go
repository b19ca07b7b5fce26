package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// maxElsewhere bounds how many nodes are asked after one that must not have a row, and how many are remembered.
const maxElsewhere = 16

// elsewhere are clients of other nodes of the network, which nodes have named for rows that they must not have themselves. The zero value is ready.
type elsewhere struct {
	mu         sync.Mutex
	at         map[string]*Client // by the address
	of         map[string]*Client // the one that has answered, by the audience
	generation uint64             // of the policy that they have; see Transport.SetPolicy
}

// known returns the client that has answered for an audience. It forgets all whose policy is an older one.
func (e *elsewhere) known(audience string, generation uint64) *Client {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.generation != generation {
		for _, c := range e.at {
			c.Close()
		}
		e.at, e.of, e.generation = nil, nil, generation
	}
	return e.of[audience]
}

func (e *elsewhere) answers(audience string, c *Client) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of == nil || len(e.of) >= maxElsewhere {
		e.of = map[string]*Client{}
	}
	e.of[audience] = c
}

// client returns the client of a node, which must prove what the first one has: nothing is sent to it before.
func (e *elsewhere) client(cfg Config, address string) (*Client, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.at[address]; c != nil {
		return c, nil
	}
	if len(e.at) >= maxElsewhere {
		return nil, fmt.Errorf("%w: node at %s: %d other nodes of the network have been asked already", coco.ErrInvalid, address, len(e.at))
	}
	cfg.Addr = address
	c, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if e.at == nil {
		e.at = map[string]*Client{}
	}
	e.at[address] = c
	return c, nil
}

func (e *elsewhere) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.at {
		c.Close()
	}
}

// reside sends a request about rows that reside with an audience. A node outside of it refuses by the header, and names nodes of the audience: these are asked one
// after the other, as long as none has acted on the request. A node that answered is asked first from then on. make returns the request anew.
func (c *Client) reside(ctx context.Context, audience string, make func() (*http.Request, error)) (*http.Response, error) {
	cfg, generation, fixed := c.t.fixed()
	first := c
	if known := c.elsewhere.known(audience, generation); known != nil {
		first = known
	}
	resp, err := first.once(make)
	if first != c && errors.Is(err, coco.ErrUnreachable) && ctx.Err() == nil {
		resp, err = c.once(make)
	}
	if err != nil || resp.StatusCode != http.StatusMisdirectedRequest || !fixed {
		return resp, err
	}
	named := strings.Split(resp.Header.Get(wire.HeaderNodes), ",")
	refused := readError(resp)
	for _, address := range named[:min(len(named), maxElsewhere)] {
		other, err := c.elsewhere.client(cfg, strings.TrimSpace(address))
		if err == nil {
			resp, err = other.once(make)
		}
		switch {
		case err == nil && resp.StatusCode != http.StatusMisdirectedRequest:
			c.elsewhere.answers(audience, other)
			return resp, nil
		case err == nil:
			err = readError(resp)
		case errors.Is(err, coco.ErrUnknown) || ctx.Err() != nil:
			return nil, err
		}
		refused = fmt.Errorf("%w; %w", refused, unkind{err})
	}
	return nil, refused
}

// unkind is an error of no kind: its text is kept.
type unkind struct{ error }

func (c *Client) once(make func() (*http.Request, error)) (*http.Response, error) {
	req, err := make()
	if err != nil {
		return nil, err
	}
	resp, err := c.hc.Do(req)
	if err != nil {
		return nil, unwrapped(err)
	}
	return resp, nil
}

// fixed returns how nodes are reached and what they must prove now; ok is false if that names no service, so that a node of any network would do, or if what is between
// the caller and the nodes chooses one.
func (t *Transport) fixed() (cfg Config, generation uint64, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cfg, t.generation, t.sealed == nil && t.cfg.Policy.Service != nil
}
