package nettest

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/wire"
)

// Council is an officer of each member, who decide together.
type Council struct {
	officers []*Officer
	patience time.Duration
	// Refused is told of a statement that a node on a host refuses, although it is right; nil for nobody.
	Refused func(host string, err error)
}

// NewCouncil makes the officers. Service is the first service's certificate in DER form. A request ends after the first time given, and what is not decided after the second one
// is given up. The caller closes the council.
func (n *Network) NewCouncil(service []byte, request, patience time.Duration) (*Council, error) {
	c := &Council{patience: patience}
	for i, m := range n.Members {
		o, err := n.NewOfficer(m, fmt.Sprintf("officer%d", i+1), service, request)
		if err != nil {
			return nil, err
		}
		c.officers = append(c.officers, o)
	}
	return c, nil
}

// Close ends the officers' connections.
func (c *Council) Close() {
	for _, o := range c.officers {
		o.Close()
	}
}

// Carry has one member propose a change and one after the other say yes, each at its own node, until it is decided. It returns how many did. The error
// says that no node told what became of a statement.
func (c *Council) Carry(first int, a action.Action) (out wire.Outcome, yes int, err error) {
	raw, err := c.officers[first].Propose(a)
	if err != nil {
		return out, 0, err
	}
	signed, err := envelope.Open(raw)
	if err != nil {
		return out, 0, err
	}
	if out, err = c.submit(first, first, signed.ID, raw, 0); err != nil {
		return out, 0, err
	}
	for yes = 0; out.State == string(table.Open) && yes < len(c.officers); yes++ {
		i := (first + yes) % len(c.officers)
		ballot, err := c.officers[i].Vote(signed.ID, envelope.Yes)
		if err != nil {
			return out, yes, err
		}
		if out, err = c.submit(i, i, signed.ID, ballot, yes+1); err != nil {
			return out, yes, err
		}
	}
	return out, yes, nil
}

// lag is how far a node may be behind the leader that answers for it.
const lag = 10 * time.Second

// submit hands a statement in, at other nodes if need be, until one says what became of it, or that the proposal has so many votes.
func (c *Council) submit(by, at int, id coco.Digest, raw []byte, votes int) (out wire.Outcome, err error) {
	o := c.officers[by]
	for start := time.Now(); time.Since(start) < c.patience; at = (at + 1) % len(c.officers) {
		if out, err = o.Submit(Host(at), raw); err == nil {
			return out, nil
		}
		refused := errors.Is(err, coco.ErrInvalid) || errors.Is(err, coco.ErrDenied)
		// An answer was lost, if so many votes count. A node that forwarded the statement to the leader, which refused it because it has counted already,
		// may know so a moment later.
		for asked := time.Now(); ; time.Sleep(100 * time.Millisecond) {
			p, e := o.Proposal(Host(at), id)
			if e == nil && p.Yes >= votes {
				return wire.Outcome{ID: id, State: p.State, Reason: p.Reason}, nil
			}
			if !refused || e == nil && time.Since(asked) > lag {
				break
			}
			if time.Since(start) > c.patience {
				return out, err
			}
		}
		if refused {
			if c.Refused != nil {
				c.Refused(Host(at), err)
			}
			return out, err
		}
		time.Sleep(time.Second)
	}
	return out, err
}

// Service asks the node on a host for the certificate of the service that it serves under.
func (c *Council) Service(host string) (*x509.Certificate, error) {
	resp, _, err := c.officers[0].do(http.MethodGet, host, "/gov/nodes", nil)
	if err != nil {
		return nil, err
	}
	if chain := resp.TLS.PeerCertificates; len(chain) > 1 {
		return chain[1], nil
	}
	return nil, fmt.Errorf("%w: the node on %s shows no service", coco.ErrNotFound, host)
}
