package client

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// The calls of this file are for a node's administrative listener: Config.Addr is that one's address, and
// Config.Certificate a member's whose organisational unit is coco.GovernanceUnit.

// Govern sends a signed proposal or ballot. The answer means that it is committed. If the outcome is
// unknown (coco.ErrUnknown), the same bytes may be sent again: a statement counts once.
func (c *Client) Govern(ctx context.Context, envelope []byte) (o wire.Outcome, err error) {
	err = c.post(ctx, "/gov/submit", wire.MediaEnvelope, envelope, &o)
	return o, err
}

// Simulate asks what actions (a TOML page) would change.
func (c *Client) Simulate(ctx context.Context, actions []byte) (s wire.Simulation, err error) {
	err = c.post(ctx, "/gov/simulate", wire.MediaActions, actions, &s)
	return s, err
}

// Proposals lists proposals in a state, or in any if it is empty, the newest first; at most limit, 0 for 100.
func (c *Client) Proposals(ctx context.Context, state string, limit int) ([]wire.Proposal, error) {
	q := url.Values{}
	if state != "" {
		q.Set("state", state)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	var list []wire.Proposal
	err := c.getJSON(ctx, "/gov/proposals?"+q.Encode(), &list)
	return list, err
}

// Proposal returns one proposal, by its id, at least 4 digits of it, or its number, such as #3.
func (c *Client) Proposal(ctx context.Context, ref string) (wire.Proposal, error) {
	var p wire.Proposal
	err := c.getJSON(ctx, "/gov/proposals/"+url.PathEscape(ref), &p)
	return p, err
}

// ConstitutionAt returns a version of the constitution as a page, 0 for the one in force.
func (c *Client) ConstitutionAt(ctx context.Context, version uint64) ([]byte, wire.ConstitutionVersion, error) {
	path := "/gov/constitution"
	if version > 0 {
		path += "?version=" + strconv.FormatUint(version, 10)
	}
	var v wire.ConstitutionVersion
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, v, err
	}
	page, err := readAll(resp)
	if err != nil {
		return nil, v, err
	}
	if err := v.Digest.UnmarshalText([]byte(resp.Header.Get(wire.HeaderDigest))); err != nil {
		return nil, v, fmt.Errorf("%s: header %s: %w", path, wire.HeaderDigest, err)
	}
	if v.Version, err = strconv.ParseUint(resp.Header.Get(wire.HeaderVersion), 10, 64); err != nil {
		return nil, v, fmt.Errorf("%w: %s: header %s: %w", coco.ErrCorrupt, path, wire.HeaderVersion, err)
	}
	return page, v, nil
}

// Versions lists the versions of the constitution, the oldest first.
func (c *Client) Versions(ctx context.Context) ([]wire.ConstitutionVersion, error) {
	var all, page []wire.ConstitutionVersion
	err := c.getJSON(ctx, "/gov/constitution/history", &page)
	for all = page; err == nil && len(page) == wire.MaxVersions; all = append(all, page...) {
		after := page[len(page)-1].Version
		page = nil
		err = c.getJSON(ctx, "/gov/constitution/history?after="+strconv.FormatUint(after, 10), &page)
	}
	return all, err
}

// GovNodes lists the nodes of the network, retired ones and those that ask to be admitted too.
func (c *Client) GovNodes(ctx context.Context) ([]wire.Node, error) {
	var list []wire.Node
	err := c.getJSON(ctx, "/gov/nodes", &list)
	return list, err
}

// Watch waits for something to happen in governance after a seqno, some seconds at most. It returns what
// did, and the seqno to go on from.
func (c *Client) Watch(ctx context.Context, after uint64) ([]wire.GovEvent, uint64, error) {
	var answer wire.GovNews
	err := c.getJSON(ctx, "/gov/watch?after="+strconv.FormatUint(after, 10), &answer)
	return answer.Events, answer.Seqno, err
}

// post sends a body and decodes the answer.
func (c *Client) post(ctx context.Context, path, contentType string, body []byte, v any) error {
	resp, err := c.send(ctx, http.MethodPost, path, contentType, bytes.NewReader(body))
	if err != nil {
		return err
	}
	return readJSON(resp, path, v)
}
