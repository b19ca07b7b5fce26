package network

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/signer"
	"github.com/cocoframework/coco/wire"
)

// patience bounds how long nodes may take to answer, all together.
const patience = 5 * time.Second

// Network is a network that a command asks. At most one of Sandbox and Config is set.
type Network struct {
	Sandbox   *localnet.Info     // of `coco up`
	Processes localnet.Status    // of Sandbox
	Config    *nodeconfig.Config // of a node of one's own
	Name      string             // as a node said; empty for a sandbox, whose description has it
	Insecure  bool               // the same

	flags     Flags
	verifiers attest.Verifiers
	trust     client.Policy
	sealed    *client.SealedConfig // nil if nodes are reached
	shown     *signer.Identity     // the certificate of the last connection whose key may be behind a command
}

// Node is a node of a network, as far as it is known before it is asked.
type Node struct {
	Name   string // in its network's folder, or in its node.toml; else its address
	Owner  string // the organisation's name, if it is known
	Peer   string // host:port for other nodes, if it is known
	Client string // host:port for clients
	Admin  string // host:port of the administrative listener; empty if it has none, or it is not known
	Dir    string // its folder on this machine; empty if it is elsewhere
	// Elsewhere: neither the folder nor the node.toml is its own. The network says that it is there.
	Elsewhere bool
	Retired   bool // it has left the network for good
	Voter     bool // of a node elsewhere: it votes in consensus
}

// String names a node for people.
func (n Node) String() string {
	if n.Elsewhere && n.Owner != "" {
		return n.Owner + " at " + n.Name
	}
	return n.Name
}

// Of returns the network of a sandbox that need not run.
func Of(info localnet.Info, st localnet.Status, verifiers attest.Verifiers) (*Network, error) {
	trust, err := info.Trust(verifiers)
	return &Network{Sandbox: &info, Processes: st, flags: Flags{Dir: info.Dir}, verifiers: verifiers, trust: trust}, err
}

// Hint is that of the flags that the network was opened by.
func (n *Network) Hint() string { return n.flags.Hint() }

// Own are the nodes that the command line names: all of a sandbox, also retired ones, the one of a node.toml, or the one at an address.
func (n *Network) Own() []Node {
	if n.flags.Node != "" && n.Sandbox == nil {
		return []Node{n.at(n.flags.Node)}
	}
	return n.own()
}

func (n *Network) own() []Node {
	switch {
	case n.sealed != nil:
		return []Node{{Name: n.sealed.URL, Client: n.sealed.URL, Elsewhere: true}}
	case n.Sandbox != nil:
		own := make([]Node, len(n.Sandbox.Nodes))
		for i, s := range n.Sandbox.Nodes {
			own[i] = Node{Name: s.Name, Owner: s.Member, Peer: s.Peer, Client: s.Client, Admin: s.Admin, Dir: s.Dir, Retired: s.Retired}
		}
		return own
	case n.Config != nil:
		c := n.Config
		return []Node{{
			Name: c.Name, Peer: dialed(c.PeerAddress, c.Peer), Client: dialed(c.ClientAddress, c.Client), Admin: dialed("", c.Admin), Dir: c.Dir,
		}}
	}
	return []Node{n.at(n.flags.Node)}
}

// at is the node at an address, at whichever listener.
func (n *Network) at(address string) Node {
	address = Address(address)
	if n.Config != nil {
		if own := n.own()[0]; address == own.Name || address == own.Client {
			return own
		}
	}
	return Node{Name: address, Client: address, Admin: address, Elsewhere: true}
}

// dialed is where a node on this machine is reached that listens somewhere: a listener on all addresses is at the loopback one too.
func dialed(told, listens string) string {
	host, port, err := net.SplitHostPort(listens)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("localhost", port)
	}
	return cmp.Or(listens, told)
}

// One returns the node that was named or, if none was, one that serves; a node of the command line's own, if one does.
func (n *Network) One(ctx context.Context) (Node, error) {
	if n.flags.Node != "" {
		return n.named(ctx)
	}
	serving, err := n.Serving(ctx)
	if err != nil {
		return Node{}, err
	}
	return serving[0], nil
}

func (n *Network) named(ctx context.Context) (Node, error) {
	if n.Sandbox == nil && strings.Contains(n.flags.Node, ":") {
		return n.at(n.flags.Node), nil
	}
	if n.Config != nil {
		known := []string{n.Config.Name}
		if n.flags.Node == n.Config.Name {
			return n.own()[0], nil
		}
		others, err := n.Others(ctx, n.Ask(ctx, n.own()))
		for _, o := range others {
			known = append(known, o.Client)
		}
		return Node{}, errors.Join(fmt.Errorf("%w: no node %q: expected one of %q", coco.ErrInvalid, n.flags.Node, known), err)
	}
	s, err := n.Sandbox.Node(n.flags.Node)
	if err == nil && s.Retired {
		err = fmt.Errorf("%w: node %s has left the network: name another one", coco.ErrInvalid, s.Name)
	}
	if err != nil {
		return Node{}, err
	}
	return n.own()[slices.IndexFunc(n.Sandbox.Nodes, func(o localnet.Node) bool { return o.Name == s.Name })], nil
}

// Serving asks nodes, all at once, and returns those that take part in the network now: of the command line's own or, if none of those does, of
// the others. The error is coco.ErrUnreachable if there are none.
func (n *Network) Serving(ctx context.Context) ([]Node, error) {
	own := n.Own()
	if n.Config == nil && n.Sandbox == nil {
		return own, nil // the one that was named
	}
	answers := n.Ask(ctx, own)
	serving, errs := sorted(answers)
	if len(serving) == 0 {
		others, err := n.Others(ctx, nil)
		if err != nil {
			errs = append(errs, err)
		}
		more, failed := sorted(n.Ask(ctx, others))
		serving, errs = more, append(errs, failed...)
	}
	if len(serving) == 0 {
		return nil, fmt.Errorf("%w: no node of the network%s serves: %w", coco.ErrUnreachable, n.where(), errors.Join(errs...))
	}
	return serving, nil
}

// sorted separates nodes that serve from the reasons why others do not.
func sorted(answers []Answer) (serving []Node, errs []error) {
	for _, a := range answers {
		if err := a.Serves(); err != nil {
			errs = append(errs, fmt.Errorf("node %s: %w", a.Node, err))
		} else {
			serving = append(serving, a.Node)
		}
	}
	return serving, errs
}

func (n *Network) where() string {
	switch {
	case n.Sandbox != nil:
		return " in " + n.Sandbox.Dir
	case n.Config != nil:
		return " of " + n.flags.Config
	}
	return ""
}

// Answer is what a node said of itself.
type Answer struct {
	Node     Node
	Attested coco.Measurement // what its evidence proved to this command
	Status   *wire.Status     // nil if it did not answer
	Err      error
}

// Serves returns why a node takes no part in the network now; nil if it does.
func (a Answer) Serves() error {
	switch {
	case a.Node.Retired:
		return errors.New("it has left the network")
	case a.Err != nil:
		return a.Err
	case a.Status.Role == "joining":
		return errors.New("it is joining")
	case a.Status.Problem != "":
		return errors.New(a.Status.Problem)
	}
	return nil
}

// Ask verifies nodes and asks them for their status, all at once. The answers have the order of the nodes; those that have retired are not asked.
func (n *Network) Ask(ctx context.Context, nodes []Node) []Answer {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answers := make([]Answer, len(nodes))
	var wg sync.WaitGroup
	for i, node := range nodes {
		answers[i].Node = node
		if !node.Retired {
			wg.Go(func() { answers[i].ask(ctx, n) })
		}
	}
	wg.Wait()
	return answers
}

func (a *Answer) ask(ctx context.Context, n *Network) {
	var c *client.Client
	if c, a.Err = n.Look(a.Node); a.Err != nil {
		return
	}
	defer c.Close()
	var proof client.Attested
	if proof, a.Err = c.Verify(ctx); a.Err != nil {
		return
	}
	a.Attested = proof.Claims.Measurement
	a.Status, a.Err = c.Status(ctx)
}

// Others returns the nodes that the network trusts and that are none of the command line's own, as one says that has just answered, or one that a
// node.toml asks. Such a question needs a certificate. With an error, they are those that the node.toml asks: there may be more.
func (n *Network) Others(ctx context.Context, answers []Answer) ([]Node, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var asked, all []Node
	if n.Config != nil {
		asked = n.asked()
	}
	for _, a := range answers {
		if a.Serves() == nil {
			all = append(all, a.Node)
		}
	}
	failed := fmt.Errorf("%w: no node serves that could name them", coco.ErrUnreachable)
	for _, node := range append(all, asked...) {
		others, err := n.listed(ctx, node)
		if err == nil {
			return others, nil
		}
		failed = err
	}
	return asked, failed
}

// listed are the nodes that are none of the command line's own, as a node says.
func (n *Network) listed(ctx context.Context, node Node) (others []Node, err error) {
	c, err := n.Connect(node)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	all, err := c.Nodes(ctx)
	if err != nil {
		return nil, n.Explain(err)
	}
	own := n.own()
	for _, o := range all {
		mine := func(s Node) bool {
			return s.Peer == o.Address || s.Client == o.ClientAddress || n.Config != nil && n.Config.PeerAddress == o.Address
		}
		if o.State == "trusted" && !slices.ContainsFunc(own, mine) {
			others = append(others, Node{Name: o.Address, Owner: o.OwnerName, Peer: o.Address, Client: o.ClientAddress, Elsewhere: true, Voter: o.Voter})
		}
	}
	slices.SortFunc(others, func(a, b Node) int { return cmp.Or(cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Peer, b.Peer)) })
	return others, nil
}

// asked are the nodes that a node.toml asks.
func (n *Network) asked() (nodes []Node) {
	own := n.own()[0].Client
	for _, address := range n.Config.Ask {
		if address != own {
			nodes = append(nodes, n.at(address))
		}
	}
	return nodes
}

// Connect returns a client of a node, at its listener for clients, with an application's certificate. The error is coco.ErrDenied if
// none is known.
func (n *Network) Connect(node Node) (*client.Client, error) {
	if n.sealed != nil {
		by, err := signer.Load(n.flags.Cert, n.flags.Key)
		if err != nil {
			return nil, err
		}
		n.shown = by
		sealed := *n.sealed
		sealed.Policy, sealed.Signing = n.trust, Signing(by)
		return client.New(client.Config{Policy: n.trust, Sealed: &sealed})
	}
	cert, err := n.user(node)
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Addr: node.Client, Certificate: cert, Policy: n.trust})
}

// Look returns a client of a node for what a node tells everybody. It shows no certificate.
func (n *Network) Look(node Node) (*client.Client, error) {
	return client.New(client.Config{Addr: node.Client, Policy: n.trust, Sealed: n.sealed})
}

// user is the certificate to ask a node by at its listener for clients.
func (n *Network) user(node Node) (*tls.Certificate, error) {
	if n.Sandbox != nil {
		m := n.Sandbox.Members[0]
		if owner := cmp.Or(n.flags.As, node.Owner); n.flags.As != "" || !node.Elsewhere {
			var err error
			if m, err = n.Sandbox.Member(owner); err != nil {
				return nil, err
			}
		}
		return m.UserCertificate()
	}
	if n.flags.Cert != "" {
		id, err := signer.Load(n.flags.Cert, n.flags.Key)
		if err != nil {
			return nil, err
		}
		n.shown = id
		return id.TLS(), nil
	}
	if n.Config == nil {
		return nil, fmt.Errorf("%w: no certificate to ask by: name one with --cert and --%s", coco.ErrDenied, n.flags.keyFlag)
	}
	cert, err := folder(n.Config).UserCertificate()
	if err != nil {
		return nil, fmt.Errorf("%w: no certificate to ask by: name one with --cert and --%s, or put %s and %s beside owner_certificate: %w", coco.ErrDenied, n.flags.keyFlag,
			filepath.Base(folder(n.Config).User()), filepath.Base(folder(n.Config).UserKey()), err)
	}
	return cert, nil
}

// ConnectAdmin returns a client of a node at its administrative listener, with a certificate for governance: the one that was named, of the
// member that runs the node, or the one beside owner_certificate.
func (n *Network) ConnectAdmin(node Node) (*client.Client, error) {
	if n.Sandbox != nil {
		s, err := n.Sandbox.Node(node.Name)
		if err != nil {
			return nil, err
		}
		return n.Sandbox.ConnectAdmin(s, n.verifiers)
	}
	addr, err := n.Admin(node)
	if err != nil {
		return nil, err
	}
	id, err := n.flags.Governance()
	if err != nil {
		return nil, err
	}
	n.shown = id
	return client.New(client.Config{Addr: addr, Certificate: id.TLS(), Policy: n.trust})
}

// Explain returns why the key of the certificate that was shown did not sign, if that is why a node could not be reached.
func (n *Network) Explain(err error) error {
	if err != nil && n.shown != nil {
		if kerr := n.shown.Key.Err(); kerr != nil {
			return kerr
		}
	}
	return err
}

// Admin is where a node's administrative listener is reached. The error is coco.ErrInvalid if that is not known.
func (n *Network) Admin(node Node) (string, error) {
	switch {
	case node.Admin != "":
		return node.Admin, nil
	case node.Elsewhere:
		return "", fmt.Errorf("%w: where the administrative listener of node %s is, is not known: name it with --node HOST:PORT", coco.ErrInvalid, node)
	}
	return "", fmt.Errorf("%w: %s names no administrative listener, which is needed for this: add admin = \"HOST:PORT\" and start the node again", coco.ErrInvalid, n.flags.Config)
}

// Trust is what a node of the network must prove.
func (n *Network) Trust() client.Policy { return n.trust }
