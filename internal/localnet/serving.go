package localnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/wire"
)

// servingPatience bounds how long a node may take to say that it serves.
const servingPatience = 5 * time.Second

// Serving verifies and asks the sandbox's nodes, all at once, and returns those that take part in the network now, in their
// order. The error is coco.ErrUnreachable if none does.
func (i *Info) Serving(ctx context.Context, verifiers attest.Verifiers) ([]Node, error) {
	ctx, cancel := context.WithTimeout(ctx, servingPatience)
	defer cancel()
	errs := make([]error, len(i.Nodes))
	var wg sync.WaitGroup
	for k, n := range i.Nodes {
		if n.Retired {
			errs[k] = errors.New("it has left the network")
			continue
		}
		wg.Go(func() { errs[k] = i.serves(ctx, n, verifiers) })
	}
	wg.Wait()
	var serving []Node
	for k, n := range i.Nodes {
		if errs[k] == nil {
			serving = append(serving, n)
		} else {
			errs[k] = fmt.Errorf("node %s: %w", n.Name, errs[k])
		}
	}
	if len(serving) == 0 {
		return nil, fmt.Errorf("%w: no node of the network in %s serves: %w", coco.ErrUnreachable, i.Dir, errors.Join(errs...))
	}
	return serving, nil
}

func (i *Info) serves(ctx context.Context, n Node, verifiers attest.Verifiers) error {
	c, err := i.Connect(n, verifiers)
	if err != nil {
		return err
	}
	defer c.Close()
	s, err := c.Status(ctx)
	switch {
	case err != nil:
		return err
	case s.Role == "joining":
		return errors.New("it is joining")
	case s.Problem != "":
		return errors.New(s.Problem)
	}
	return nil
}

// One returns the node of a name, or one that serves if none is named.
func (i *Info) One(ctx context.Context, name string, verifiers attest.Verifiers) (Node, error) {
	if name == "" {
		serving, err := i.Serving(ctx, verifiers)
		if err != nil {
			return Node{}, err
		}
		return serving[0], nil
	}
	n, err := i.Node(name)
	if err == nil && n.Retired {
		err = fmt.Errorf("%w: node %s has left the network: name another one", coco.ErrInvalid, n.Name)
	}
	return n, err
}

// Others returns the nodes of the network that are none of the sandbox's, as the first of the given ones says that answers: nodes that joined
// from outside.
func (i *Info) Others(ctx context.Context, serving []Node, verifiers attest.Verifiers) (_ []wire.Node, err error) {
	for _, n := range serving {
		var all []wire.Node
		if all, err = i.nodesOf(ctx, n, verifiers); err == nil {
			return slices.DeleteFunc(all, func(o wire.Node) bool {
				return o.State != "trusted" || slices.ContainsFunc(i.Nodes, func(own Node) bool { return own.Peer == o.Address })
			}), nil
		}
	}
	return nil, err
}

func (i *Info) nodesOf(ctx context.Context, n Node, verifiers attest.Verifiers) ([]wire.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, servingPatience)
	defer cancel()
	c, err := i.Connect(n, verifiers)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Nodes(ctx)
}

// ConnectOther returns a client of a node that is none of the sandbox's, under the identity of the first member's user.
func (i *Info) ConnectOther(n wire.Node, verifiers attest.Verifiers) (*client.Client, error) {
	cert, err := i.Members[0].UserCertificate()
	if err != nil {
		return nil, err
	}
	trust, err := i.Trust(verifiers)
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Addr: n.ClientAddress, Certificate: cert, Policy: trust})
}
