// Package officer is a person who governs from a command line: a key and certificate for governance, and a node
// that has proven its code.
//
//	Access (flags) ──Connect──▶ Officer ──Propose, Vote──▶ statement ──sign──▶ envelope ──Submit──▶ Outcome
//
// [Access] finds the key and the node: of a member of a network of `coco up`, or by files and an address. A
// key is in a file or behind a command (package signer); the connection and the statement may use two.
//
// Trust: host
package officer

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/internal/ctxtime"
	"github.com/cocoframework/coco/internal/signer"
	"github.com/cocoframework/coco/wire"
)

// Officer governs at one node. Its client verifies the node.
type Officer struct {
	*client.Client
	auth     *signer.Identity // of the connection
	identity *signer.Identity // signs statements
	service  *x509.Certificate
}

// KeyError returns why the key of the connection last failed to sign; nil if it did not.
func (o *Officer) KeyError() error { return o.auth.Key.Err() }

// Explain returns why a key did not sign, if that is why the node could not be reached.
func (o *Officer) Explain(err error) error {
	if kerr := o.KeyError(); err != nil && kerr != nil {
		return kerr
	}
	return err
}

// Patience bounds how long a statement is handed in again while the network is busy, as during
// an election.
const Patience = 15 * time.Second

// Submit hands in a signed statement, again if it certainly did not get into the ledger: the same bytes
// count once.
func (o *Officer) Submit(ctx context.Context, envelope []byte) (wire.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	for {
		out, err := o.Govern(ctx, envelope)
		if !errors.Is(err, coco.ErrBusy) && !errors.Is(err, coco.ErrNotCommitted) {
			return out, err
		}
		if !ctxtime.Sleep(ctx, 200*time.Millisecond) {
			return out, err
		}
	}
}

// Find returns a proposal by its number or the beginning of its id.
func (o *Officer) Find(ctx context.Context, ref string) (wire.Proposal, error) {
	p, err := o.Proposal(ctx, ref)
	switch {
	case errors.Is(err, coco.ErrNotFound):
		return p, fmt.Errorf("proposal %s: %w: `coco gov list` shows those that there are", ref, coco.ErrNotFound)
	case err != nil:
		return p, fmt.Errorf("proposal %s: %w", ref, err)
	}
	return p, nil
}

// Propose signs a proposal and hands it in.
func (o *Officer) Propose(ctx context.Context, terms Terms, actions []action.Action) (wire.Outcome, error) {
	audience, err := o.Audience()
	if err != nil {
		return wire.Outcome{}, err
	}
	st, err := terms.Statement(audience, actions)
	if err != nil {
		return wire.Outcome{}, err
	}
	raw, err := envelope.SignProposal(ctx, o.identity, st)
	if err != nil {
		return wire.Outcome{}, err
	}
	return o.Submit(ctx, raw)
}

// Vote signs a ballot and hands it in.
func (o *Officer) Vote(ctx context.Context, proposal coco.Digest, vote envelope.Vote) (wire.Outcome, error) {
	audience, err := o.Audience()
	if err != nil {
		return wire.Outcome{}, err
	}
	raw, err := envelope.SignBallot(ctx, o.identity, Ballot(audience, proposal, vote))
	if err != nil {
		return wire.Outcome{}, err
	}
	return o.Submit(ctx, raw)
}
