package democmd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/linking"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/internal/cli/identitycmd"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/cli/officer"
)

const (
	login  = "carrier-login" // the issuer's name in the constitution
	driver = "kim"
)

// leak has a driver of the carrier work with a token, and members take it back once it has leaked.
func (c *chain) leak(ctx context.Context) (err error) {
	is, err := startIssuer()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, is.stop()) }()
	terms := &access.Terms{URL: is.url, Audience: audience}
	terms.Complete()
	err = c.vote(ctx, action.Action{Kind: action.AddIssuer, Args: action.Args{Name: login, Actor: companies[carrier], Issuer: terms, Certificates: [][]byte{is.root}}})
	if err != nil {
		return err
	}
	c.say("issuer", "", "Members have voted: tokens of the carrier's login stand for its drivers.")

	address, err := c.link(ctx)
	if err != nil {
		return err
	}
	g := c.goods[2]
	if err := c.pass(ctx, g, carrier, address); err != nil {
		return err
	}
	leaked, err := is.login(driver, "phone-1")
	if err != nil {
		return err
	}
	held, err := c.byToken(ctx, retailer, leaked, address, g)
	if err != nil {
		return err
	}
	other, err := c.byToken(ctx, retailer, leaked, address, c.goods[0])
	if err != nil {
		return err
	}
	if held == hidden || other != hidden {
		return fmt.Errorf("%w: the driver sees %s as %q and %s as %q, expected the first alone", coco.ErrVerify, g.name(), held, c.goods[0].name(), other)
	}
	c.say("token", companies[retailer], "The carrier passes %s to its driver %s, who asks with a token, at the retailer's node: held by %s. Of %s the driver hears nothing.", g.name(), driver, held, c.goods[0].name())
	c.say("leak", "", "The token %s… leaks. Whoever has it sees what the driver sees, on every node.", strings.SplitN(leaked, ".", 2)[0][:12])

	if err := c.vote(ctx, action.Action{Kind: action.RevokeAccess, Args: action.Args{Name: login, Token: "phone-1"}}); err != nil {
		return err
	}
	c.say("revoke", "", "Members have voted: the token phone-1 of the carrier's login does not count any more.")
	for i, name := range companies {
		refusal, err := c.refused(ctx, i, leaked, address, g)
		if err != nil {
			return err
		}
		c.say("refused", name, "The node of %s refuses it: %s", name, refusal)
	}
	fresh, err := is.login(driver, "phone-2")
	if err != nil {
		return err
	}
	if held, err = c.byToken(ctx, retailer, fresh, address, g); err != nil {
		return err
	}
	if held == hidden {
		return fmt.Errorf("%w: the driver's new token does not show %s", coco.ErrVerify, g.name())
	}
	c.say("again", companies[retailer], "The driver logs in again, and goes on with a new token: %s is held by %s.", g.name(), held)
	return nil
}

// link gives the driver an address, by a statement that its key signs.
func (c *chain) link(ctx context.Context) (common.Address, error) {
	key, err := crypto.GenerateKey()
	if err != nil {
		return common.Address{}, err
	}
	wallet, err := linking.ParseWallet([]byte(hexutil.Encode(crypto.FromECDSA(key))))
	if err != nil {
		return common.Address{}, err
	}
	_, _, err = identitycmd.Link(ctx, c.wallets.clients[carrier], wallet, driver)
	return wallet.Address(), err
}

// vote has the first member propose an action, and members vote yes until it is accepted.
func (c *chain) vote(ctx context.Context, a action.Action) error {
	if err := a.Check(); err != nil {
		return err
	}
	var proposal coco.Digest
	for i, name := range companies {
		f := &officer.Access{Verifiers: c.Verifiers(), Flags: network.Flags{Dir: c.info.Dir}, As: name}
		state, err := func() (string, error) {
			o, err := f.Connect(ctx)
			if err != nil {
				return "", err
			}
			defer o.Close()
			if i == 0 {
				out, err := o.Propose(ctx, officer.Terms{Expires: officer.DefaultVoting}, []action.Action{a})
				if err != nil {
					return "", o.Explain(err)
				}
				proposal = out.ID
			}
			out, err := o.Vote(ctx, proposal, envelope.Yes)
			if err != nil {
				return "", o.Explain(err)
			}
			return out.State, nil
		}()
		if err != nil || state == "accepted" {
			return err
		}
	}
	return fmt.Errorf("%w: all members have voted yes, and the proposal is not accepted", coco.ErrVerify)
}

// byToken is who holds goods, as a node answers a token.
func (c *chain) byToken(ctx context.Context, node int, token string, from common.Address, g *goods) (string, error) {
	if err := c.wallets.reached(ctx, node); err != nil {
		return "", err
	}
	as, err := c.withToken(node, token)
	if err != nil {
		return "", err
	}
	defer as.Close()
	return c.holder(ctx, as, from, g)
}

// withToken returns a client of a node that has a token, and no certificate.
func (c *chain) withToken(node int, token string) (*client.Client, error) {
	trust, err := c.info.Trust(c.Verifiers())
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{Addr: c.info.Nodes[node].Client, Token: func() (string, error) { return token, nil }, Policy: trust})
}

// refused waits until a node refuses a token, and returns what it says.
func (c *chain) refused(ctx context.Context, node int, token string, from common.Address, g *goods) (string, error) {
	late := fmt.Errorf("%w: the %s's node takes a token that members have revoked", coco.ErrVerify, companies[node])
	refusal := ""
	err := until(ctx, late, func(ctx context.Context) (bool, error) {
		_, err := c.byToken(ctx, node, token, from, g)
		if errors.Is(err, coco.ErrDenied) {
			refusal = err.Error()
			return true, nil
		}
		return false, err
	})
	return refusal, err
}
