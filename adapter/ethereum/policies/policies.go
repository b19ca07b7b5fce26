// Package policies is the policies that deployers attach to their contracts: the rows of the table ethereum.policies, byte for byte, and the
// calls that write them. Package policy is the language, and package sight asks the policies.
//
// A contract's deployer is who holds the address that has created it by a transaction: the contract's address follows from that one and its nonce
// (Yellow Paper, section 7), so a Call names both, and nothing is looked up. A contract that another contract has created has no deployer: members
// vote about it, by the setting policies.
//
// Trust: enclave
package policies

import (
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/links"
	"github.com/cocoframework/coco/adapter/ethereum/owncall"
	"github.com/cocoframework/coco/adapter/ethereum/policy"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// Deployer is the address that has created a contract, by the transaction of a nonce.
type Deployer struct {
	Address common.Address
	Nonce   uint64
}

// Created reports whether it has created a contract, if it has created one at all.
func (d *Deployer) Created(contract common.Address) bool {
	return crypto.CreateAddress(d.Address, d.Nonce) == contract
}

// maxSearched is how many nonces Find tries.
const maxSearched = 100_000

// Find looks for the deployer of a contract among addresses: their newest nonces first, 100,000 at most of all.
func Find(src rows.Source, contract common.Address, among []common.Address) (d Deployer, found bool) {
	left := maxSearched
	for _, addr := range among {
		row, ok := src.Get(rows.Accounts, addr[:])
		if !ok {
			continue
		}
		account, err := rows.DecodeAccount(row)
		if err != nil {
			continue
		}
		for n := account.Nonce; n > 0 && left > 0; n, left = n-1, left-1 {
			if d = (Deployer{addr, n - 1}); d.Created(contract) {
				return d, true
			}
		}
	}
	return Deployer{}, false
}

// Row is the policy that is attached to a contract. It is stored in RLP.
type Row struct {
	Deployer Deployer
	Actor    coco.ActorID // that has attached it
	User     string
	Since    uint64 // seqno of the transaction that has attached it
	Policy   string
	ABI      []byte
}

// Text is the policy as package policy compiles it.
func (r *Row) Text() policy.Text { return policy.Text{Policy: r.Policy, ABI: json.RawMessage(r.ABI)} }

// Encode returns the row.
func (r *Row) Encode() []byte { return owncall.Encode(r) }

// DecodeRow is the inverse of Row.Encode. The error is coco.ErrCorrupt.
func DecodeRow(b []byte) (r Row, err error) {
	if err := rlp.DecodeBytes(b, &r); err != nil {
		return r, fmt.Errorf("%w: row of a policy: %w", coco.ErrCorrupt, err)
	}
	return r, nil
}

// Read returns the policy of a contract, if there is one. The error is coco.ErrCorrupt.
func Read(src rows.Source, contract common.Address) (r Row, ok bool, err error) {
	b, ok := src.Get(rows.Policies, contract[:])
	if !ok {
		return r, false, nil
	}
	r, err = DecodeRow(b)
	return r, err == nil, err
}

// Call attaches a policy to a contract, or removes it. It was checked on the node that its caller reached.
type Call struct {
	Contract common.Address
	Deployer Deployer
	Remove   bool
	Policy   string
	ABI      []byte
}

// New returns the call that attaches a text. The error is coco.ErrInvalid and says what is wrong with the text.
func New(contract common.Address, by Deployer, t policy.Text) (*Call, error) {
	t, err := t.Compact()
	if err != nil {
		return nil, err
	}
	if _, err := policy.Compile(t); err != nil {
		return nil, err
	}
	return &Call{Contract: contract, Deployer: by, Policy: t.Policy, ABI: t.ABI}, nil
}

// Payload returns what travels to the leader.
func (c *Call) Payload() []byte { return owncall.Policy.Payload(c) }

// Decode reads a payload. It is not is if the payload is none of a Call. The error is coco.ErrCorrupt.
func Decode(payload []byte) (c *Call, is bool, err error) {
	c = new(Call)
	if is, err := owncall.Policy.Decode(payload, c); !is || err != nil {
		return nil, is, err
	}
	if len(c.Policy) > policy.MaxBytes || len(c.ABI) > policy.MaxABI {
		return nil, true, fmt.Errorf("%w: policy of a contract: %d bytes with an ABI of %d, expected at most %d and %d", coco.ErrCorrupt, len(c.Policy), len(c.ABI), policy.MaxBytes, policy.MaxABI)
	}
	return c, true, nil
}

// MaxWritten is how much a Call writes at most, in bytes.
const MaxWritten = policy.MaxBytes + policy.MaxABI + 4<<10

// Check says whether a caller is the deployer of a contract. The error is coco.ErrDenied, and depends on nothing but the caller's own addresses.
func Check(src rows.Source, contract common.Address, by Deployer, caller coco.Caller) error {
	if h, ok := links.Of(src, by.Address); !ok || !h.Is(caller.Actor, caller.User) || !by.Created(contract) {
		return fmt.Errorf("%w: no address that is linked to the caller has created the contract %v by a transaction: its deployer attaches a policy, or members vote (the setting adapters.ethereum.policies)", coco.ErrDenied, contract)
	}
	return nil
}

// Execute executes a call. Errors are coco.ErrInvalid, coco.ErrDenied and coco.ErrNotFound; then nothing of the transaction may be committed.
func (c *Call) Execute(tx owncall.Transaction, caller coco.Caller) error {
	if err := Check(tx, c.Contract, c.Deployer, caller); err != nil {
		return err
	}
	if c.Remove {
		if _, ok := tx.Get(rows.Policies, c.Contract[:]); !ok {
			return fmt.Errorf("%w: no policy is attached to the contract %v", coco.ErrNotFound, c.Contract)
		}
		tx.Delete(rows.Policies, c.Contract[:])
	} else {
		account := rows.NoAccount
		if row, ok := tx.Get(rows.Accounts, c.Contract[:]); ok {
			var err error
			if account, err = rows.DecodeAccount(row); err != nil {
				return err
			}
		}
		if account.CodeHash == rows.NoAccount.CodeHash {
			return fmt.Errorf("%w: there is no contract at %v: attach its policy once it is created", coco.ErrNotFound, c.Contract)
		}
		row := Row{c.Deployer, caller.Actor, caller.User, tx.Seqno(), c.Policy, c.ABI}
		tx.Put(rows.Policies, c.Contract[:], row.Encode())
	}
	tx.Claim(c.claim(caller))
	return nil
}

// Claim is what the receipt of such a transaction proves, in RLP.
type Claim struct {
	Kind     string // KindAttach or KindRemove
	Contract common.Address
	Deployer common.Address
	Actor    coco.ActorID
	User     string
	Digest   common.Hash // Keccak-256 of the policy and, after it, the ABI without white space; zero for KindRemove
}

// Encode returns the claim.
func (c *Claim) Encode() []byte { return owncall.Encode(c) }

// The kinds of claims.
const (
	KindAttach = "attach access policy"
	KindRemove = "remove access policy"
)

func (c *Call) claim(caller coco.Caller) []byte {
	is := Claim{Kind: KindRemove, Contract: c.Contract, Deployer: c.Deployer.Address, Actor: caller.Actor, User: caller.User}
	if !c.Remove {
		is.Kind, is.Digest = KindAttach, crypto.Keccak256Hash([]byte(c.Policy), c.ABI)
	}
	return is.Encode()
}

// DecodeClaim reads a claim; it is not ok if the bytes are none.
func DecodeClaim(b []byte) (c Claim, ok bool) {
	err := rlp.DecodeBytes(b, &c)
	return c, err == nil && (c.Kind == KindAttach || c.Kind == KindRemove)
}
