// Package identity is the methods by which a caller links Ethereum addresses to itself, and lists and unlinks them, and by which its organisation learns which
// of its users sent a transaction, in the namespace coco.
//
// Trust: enclave
package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum/blocks"
	"github.com/cocoframework/coco/adapter/ethereum/linking"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/owncall"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
	"github.com/cocoframework/coco/adapter/ethereum/rpc/group"
	"github.com/cocoframework/coco/adapter/ethereum/sight"
)

// maxListed is how many links one reply lists.
const maxListed = 1000

// Methods is the methods.
type Methods struct {
	s   *group.Server
	env *adapter.Env
}

// New returns the methods. What they commit and read is the ledger's of env.
func New(s *group.Server, env *adapter.Env) *Methods { return &Methods{s, env} }

func (m *Methods) network() owncall.Network {
	return owncall.Network{ChainID: m.s.Ledger.ChainID(), ID: m.env.Network}
}

// LinkMessage returns the typed data by whose signature an address becomes the caller's, for eth_signTypedData_v4.
func (m *Methods) LinkMessage(ctx context.Context, address common.Address) (json.RawMessage, error) {
	s := linking.New(address, m.s.Caller(ctx), m.env.Clock.Now())
	return m.s.Reply(ctx, s.TypedData(m.network()), nil, "")
}

// LinkAddress links an address to its caller, or to one of its caller's users, by a statement that the address has signed. The result is the
// transaction's id.
func (m *Methods) LinkAddress(ctx context.Context, statement linking.Statement, signature hexutil.Bytes) (string, error) {
	if err := statement.Check(m.network(), signature, m.s.Caller(ctx), m.env.Clock.Now()); err != nil {
		return "", m.s.Refuse(err)
	}
	return m.s.Submit(ctx, m.env, &linking.Call{Statement: statement})
}

// UnlinkAddress ends the link of an address to its caller, or to one of its caller's users.
func (m *Methods) UnlinkAddress(ctx context.Context, address common.Address) (string, error) {
	return m.s.Submit(ctx, m.env, &linking.Call{Statement: linking.Statement{Address: address}, Unlink: true})
}

// linked is a link as clients see it.
type linked struct {
	Address common.Address `json:"address"`
	User    string         `json:"user"`
	Since   hexutil.Uint64 `json:"since"` // seqno of the transaction that linked it
}

// LinkedAddresses lists the caller's links, or, for an organisation, those of one of its users.
func (m *Methods) LinkedAddresses(ctx context.Context, user *string) (json.RawMessage, error) {
	caller := m.s.Caller(ctx)
	if user != nil && caller.User != "" && *user != caller.User {
		return nil, m.s.Refuse(fmt.Errorf("%w: the caller is a user, and sees its own links only", coco.ErrDenied))
	}
	state := m.env.State.Snapshot()
	defer state.Release()
	out, more := []linked{}, false
	add := func(l links.Linked) bool {
		if more = len(out) == maxListed; !more {
			out = append(out, linked{l.Address, l.User, hexutil.Uint64(l.Since)})
		}
		return !more
	}
	if caller.User == "" && user == nil {
		links.OfActor(state, caller.Actor, add)
	} else {
		of := caller.User
		if user != nil {
			of = *user
		}
		for _, address := range links.Addresses(state, caller.Actor, of) {
			if h, ok := links.Of(state, address); ok {
				add(links.Linked{Address: address, Holder: h})
			}
		}
	}
	if more {
		return nil, m.s.Fail(group.Errorf(group.CodeReplyTooLarge, "the organisation has more than %d links: ask for those of single users", maxListed))
	}
	return m.s.Reply(ctx, out, nil, "")
}

// sentBy is who sent a transaction, as clients see it.
type sentBy struct {
	Organisation coco.ActorID `json:"organisation"`
	User         string       `json:"user"`
	// Credential is by what a call was authenticated that is not signed; empty for a signed one.
	Credential string `json:"credential,omitempty"`
}

// TransactionCaller says for which user of the caller's organisation a transaction was sent, to auditors for any. It is null for all others, for a signed one that an
// organisation sent itself, and where there is no such transaction.
func (m *Methods) TransactionCaller(ctx context.Context, hash common.Hash) (json.RawMessage, error) {
	v, err := m.s.View(ctx, adapter.Read{Subject: adapter.State, Table: rows.Txs, Key: hash[:]})
	var t *blocks.Transaction
	if err == nil {
		defer v.Release()
		t, err = v.Transaction(ctx, hash)
	}
	if errors.Is(err, coco.ErrNotFound) {
		return json.RawMessage("null"), nil
	}
	if err != nil {
		return nil, m.s.Fail(err)
	}
	caller := m.s.Caller(ctx)
	by := sight.By(m.s.Ledger.Settings(), &caller, t)
	if by == (rows.By{}) {
		return json.RawMessage("null"), nil
	}
	out := sentBy{Organisation: by.Actor, User: by.User}
	if by.How != 0 {
		out.Credential = by.How.String()
	}
	return m.s.Reply(ctx, out, nil, "")
}
