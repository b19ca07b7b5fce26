package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// Snapshots lists the newest snapshots that the network recorded, the oldest first. Both of a node's
// listeners answer.
func (c *Client) Snapshots(ctx context.Context) ([]wire.Snapshot, error) {
	var list []wire.Snapshot
	if err := c.getJSON(ctx, "/node/snapshots", &list); err != nil {
		return nil, err
	}
	return list, nil
}

// RequestSnapshot asks the network for a snapshot. It is there once Snapshots has one whose transaction's
// seqno is at least the one returned. It is for the node's administrative listener, as the calls of gov.go
// are, and the caller must be a member.
func (c *Client) RequestSnapshot(ctx context.Context) (seqno uint64, err error) {
	const path = "/node/snapshots"
	resp, err := c.roundTrip(ctx, http.MethodPost, path, "", nil)
	if err != nil {
		return 0, err
	}
	body, err := readAll(resp)
	if err != nil {
		return 0, err
	}
	if err := wire.FromAnswer(resp.StatusCode, body); err != nil {
		return 0, err
	}
	var answer wire.SnapshotAsked
	if err := json.Unmarshal(body, &answer); err != nil || answer.Seqno == 0 {
		return 0, fmt.Errorf("%w: %s: expected a seqno, found %.80q", coco.ErrCorrupt, path, body)
	}
	return answer.Seqno, nil
}
