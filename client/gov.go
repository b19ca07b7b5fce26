package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/cocoframework/coco"
)

// The calls of this file are for a node's administrative listener: Config.Addr is that one's address, and
// Config.Certificate a member's whose organisational unit is coco.GovernanceUnit.

// Outcome is what became of a signed statement that was handed in.
type Outcome struct {
	ID      coco.Digest `json:"id"`      // of the proposal
	State   string      `json:"state"`   // of the proposal: open, accepted, rejected, withdrawn, expired or failed
	Code    string      `json:"code"`    // of the reason
	Reason  string      `json:"reason"`  // of that state, for people
	Version uint64      `json:"version"` // of the constitution then in force
	Digest  coco.Digest `json:"digest"`  // of the constitution then in force
	Effects []Effect    `json:"effects"` // what an accepted proposal changed
}

// Effect is one thing that a proposal changes.
type Effect struct {
	Kind string `json:"kind"`
	Text string `json:"text"` // for people
}

// Proposal is a proposal. Actions, Ballots, Waiting and Envelope are there if it was asked for alone.
type Proposal struct {
	ID           coco.Digest  `json:"id"` // SHA-256 of the envelope
	Number       uint64       `json:"number"`
	State        string       `json:"state"`
	Proposer     coco.ActorID `json:"proposer"`
	ProposerName string       `json:"proposer_name"`
	Kinds        []string     `json:"kinds"`
	Note         string       `json:"note,omitempty"`
	Time         time.Time    `json:"time"`
	Expires      time.Time    `json:"expires"`
	Since        uint64       `json:"since"`
	Decided      uint64       `json:"decided,omitempty"`
	Code         string       `json:"code,omitempty"`   // of the reason
	Reason       string       `json:"reason,omitempty"` // for people
	Yes          int          `json:"yes"`
	No           int          `json:"no"`

	Actions  string   `json:"actions,omitempty"` // TOML
	Ballots  []Ballot `json:"ballots,omitempty"`
	Waiting  []string `json:"waiting,omitempty"` // members that have not voted, while it is open
	Envelope []byte   `json:"envelope,omitempty"`
}

// Ballot is a member's vote on a proposal.
type Ballot struct {
	Member   coco.ActorID `json:"member"`
	Name     string       `json:"name"`
	Vote     string       `json:"vote"`
	Time     time.Time    `json:"time"`
	Since    uint64       `json:"since"`
	Counts   bool         `json:"counts"` // its member is one still
	Envelope []byte       `json:"envelope"`
}

// Version is a version of the constitution.
type Version struct {
	Version  uint64      `json:"version"` // 1 at genesis
	Digest   coco.Digest `json:"digest"`
	Since    uint64      `json:"since"` // the seqno from which on it is in force
	Time     time.Time   `json:"time"`
	Proposal coco.Digest `json:"proposal,omitzero"`
	Number   uint64      `json:"number,omitempty"` // of the proposal
}

// GovEvent is something that happened in governance.
type GovEvent struct {
	Event        string      `json:"event"` // proposed, voted, decided, constitution or pending-node
	Since        uint64      `json:"since"`
	Text         string      `json:"text"`
	Proposal     coco.Digest `json:"proposal,omitzero"`
	Number       uint64      `json:"number,omitempty"`
	State        string      `json:"state,omitempty"`
	Member       string      `json:"member,omitempty"`
	Vote         string      `json:"vote,omitempty"`
	Version      uint64      `json:"version,omitempty"`
	Constitution coco.Digest `json:"constitution,omitzero"`
	Node         coco.NodeID `json:"node,omitzero"`
}

// Govern hands in a signed proposal or ballot. The answer means that it is committed. If the outcome is
// unknown (coco.ErrUnknown), the same bytes may be handed in again: the network takes a statement once.
func (c *Client) Govern(ctx context.Context, envelope []byte) (Outcome, json.RawMessage, error) {
	var o Outcome
	raw, err := c.post(ctx, "/gov/submit", "application/cose", envelope, &o)
	return o, raw, err
}

// Simulate asks what actions (a TOML page) would change. The answer is JSON; docs/http.md has its fields.
func (c *Client) Simulate(ctx context.Context, actions []byte) (json.RawMessage, error) {
	var s json.RawMessage
	return c.post(ctx, "/gov/simulate", "application/toml", actions, &s)
}

// Proposals lists proposals in a state, or in any if it is empty, the newest first; at most limit, 0 for 100.
func (c *Client) Proposals(ctx context.Context, state string, limit int) ([]Proposal, error) {
	q := url.Values{}
	if state != "" {
		q.Set("state", state)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var list []Proposal
	err := c.getJSON(ctx, "/gov/proposals?"+q.Encode(), &list)
	return list, err
}

// Proposal returns one proposal, by its id, at least 4 digits of it, or its number, such as #3.
func (c *Client) Proposal(ctx context.Context, ref string) (Proposal, error) {
	var p Proposal
	err := c.getJSON(ctx, "/gov/proposals/"+url.PathEscape(ref), &p)
	return p, err
}

// ConstitutionAt returns a version of the constitution as a page, 0 for the one in force.
func (c *Client) ConstitutionAt(ctx context.Context, version uint64) ([]byte, Version, error) {
	path := "/gov/constitution"
	if version > 0 {
		path += "?version=" + strconv.FormatUint(version, 10)
	}
	var v Version
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, v, err
	}
	page, err := readAll(resp)
	if err != nil {
		return nil, v, err
	}
	if err := v.Digest.UnmarshalText([]byte(resp.Header.Get("X-Coco-Digest"))); err != nil {
		return nil, v, fmt.Errorf("%s: header X-Coco-Digest: %w", path, err)
	}
	if v.Version, err = strconv.ParseUint(resp.Header.Get("X-Coco-Version"), 10, 64); err != nil {
		return nil, v, fmt.Errorf("%w: %s: header X-Coco-Version: %w", coco.ErrCorrupt, path, err)
	}
	return page, v, nil
}

// Versions lists the versions of the constitution, the oldest first.
func (c *Client) Versions(ctx context.Context) ([]Version, error) {
	var list []Version
	err := c.getJSON(ctx, "/gov/constitution/history", &list)
	return list, err
}

// GovNodes lists the nodes of the network, retired ones and those that ask to be admitted too.
func (c *Client) GovNodes(ctx context.Context) ([]NodeInfo, error) {
	var list []NodeInfo
	err := c.getJSON(ctx, "/gov/nodes", &list)
	return list, err
}

// Watch waits for something to happen in governance after a seqno, some seconds at most. It returns what
// did, and the seqno to go on from.
func (c *Client) Watch(ctx context.Context, after uint64) ([]GovEvent, uint64, error) {
	var answer struct {
		Seqno  uint64     `json:"seqno"`
		Events []GovEvent `json:"events"`
	}
	err := c.getJSON(ctx, "/gov/watch?after="+strconv.FormatUint(after, 10), &answer)
	return answer.Events, answer.Seqno, err
}

// post sends a body and decodes the answer, which it also returns as it came.
func (c *Client) post(ctx context.Context, path, contentType string, body []byte, v any) (json.RawMessage, error) {
	resp, err := c.send(ctx, http.MethodPost, path, contentType, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	raw, err := readAll(resp)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", coco.ErrCorrupt, path, err)
	}
	return bytes.TrimSpace(raw), nil
}
