package officer

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/gov/table"
)

// How long may be voted on a proposal, as package gov/decide bounds it.
const (
	DefaultVoting = 7 * 24 * time.Hour
	MaxVoting     = 90 * 24 * time.Hour
)

// Terms are what a proposal says besides its actions.
type Terms struct {
	Note    string        // for those who vote: why
	Expires time.Duration // how long may be voted
}

// Statement makes a proposal that is to be signed. audience is the network.
func (t Terms) Statement(audience coco.Digest, actions []action.Action) (envelope.Proposal, error) {
	list, err := encoded(actions)
	if err != nil {
		return envelope.Proposal{}, err
	}
	now := time.Now()
	st := envelope.Proposal{
		Audience: audience, Time: uint64(now.UnixMilli()), Expires: uint64(now.Add(t.Expires).UnixMilli()), Nonce: makeNonce(), Note: t.Note,
	}
	for _, a := range list {
		st.Actions = append(st.Actions, canon.Raw(a))
	}
	return st, nil
}

func makeNonce() []byte {
	b := make([]byte, envelope.NonceBytes)
	_, _ = rand.Read(b) // it never fails
	return b
}

// Ballot makes a ballot that is to be signed. audience is the network.
func Ballot(audience, proposal coco.Digest, vote envelope.Vote) envelope.Ballot {
	return envelope.Ballot{Audience: audience, Time: uint64(time.Now().UnixMilli()), Nonce: makeNonce(), Proposal: proposal, Vote: vote}
}

// Audience is the network that statements are for.
func (o *Officer) Audience() (coco.Digest, error) { return table.NetworkID(o.service.Raw) }

// encoded returns actions in the form in which a proposal has them.
func encoded(actions []action.Action) ([][]byte, error) {
	out := make([][]byte, len(actions))
	for i := range actions {
		var err error
		if out[i], err = actions[i].Encode(); err != nil {
			return nil, fmt.Errorf("action %d: %w", i+1, err)
		}
	}
	return out, nil
}
