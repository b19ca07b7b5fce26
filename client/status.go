package client

import (
	"context"
	"net/http"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// Status asks the node what it does and what it sees of the network.
func (c *Client) Status(ctx context.Context) (*wire.Status, error) {
	var s wire.Status
	if err := c.getJSON(ctx, "/node/status", &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// Retire takes the node out of its network for good. It is for the node's administrative listener, as the
// calls of gov.go are, and only the organisation that runs the node may ask. It returns the transaction
// that says so; the node ends by itself a little later.
func (c *Client) Retire(ctx context.Context) (coco.TxID, error) {
	const path = "/node/retire"
	resp, err := c.do(ctx, http.MethodPost, path, nil)
	if err != nil {
		return coco.TxID{}, err
	}
	var answer wire.Retired
	err = readJSON(resp, path, &answer)
	return answer.ID, err
}

// Nodes lists the nodes of the network, retired ones too.
func (c *Client) Nodes(ctx context.Context) ([]wire.Node, error) {
	var nodes []wire.Node
	if err := c.getJSON(ctx, "/node/nodes", &nodes); err != nil {
		return nil, err
	}
	return nodes, nil
}
