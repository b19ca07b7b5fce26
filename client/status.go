package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/cocoframework/coco"
)

// Status is a node's answer at /node/status.
type Status struct {
	Network      string           `json:"network"`
	Insecure     bool             `json:"insecure"` // the TEE is simulated: nothing here is confidential
	Node         coco.NodeID      `json:"node"`
	Owner        string           `json:"owner"`
	Role         string           `json:"role"` // "leader", "follower" or "joining"
	View         uint64           `json:"view"`
	Voter        bool             `json:"voter"`                   // its vote counts, and no change of voters is under way
	Leader       coco.NodeID      `json:"leader,omitzero"`         // absent while there is none
	Committed    coco.TxID        `json:"transaction_id,omitzero"` // the last one committed and applied there
	Known        uint64           `json:"known_seqno"`             // the highest seqno known to be committed anywhere
	Constitution coco.Digest      `json:"constitution,omitzero"`
	Measurement  coco.Measurement `json:"measurement"`
	Version      string           `json:"version"`
	Problem      string           `json:"problem,omitempty"` // why the node cannot serve as it should
	Notice       string           `json:"notice,omitempty"`  // what every user of the network must know
	// Certificates are the node's, the service's, and the one of the constitution that ends first.
	Certificates []Certificate `json:"certificates,omitempty"`
}

// Certificate says when one ends.
type Certificate struct {
	Of       string    `json:"of"`             // "node", "service", "member" or "participant"
	Name     string    `json:"name,omitempty"` // of the organisation
	NotAfter time.Time `json:"not_after"`
}

// NodeInfo is one node in the answer of /node/nodes.
type NodeInfo struct {
	Node          coco.NodeID      `json:"node"`
	Owner         coco.ActorID     `json:"owner"`
	OwnerName     string           `json:"owner_name"`
	Address       string           `json:"address"`
	ClientAddress string           `json:"client_address"`
	Measurement   coco.Measurement `json:"measurement"`
	State         string           `json:"state"`            // "trusted" or "retired", or "pending" in the answer of GovNodes
	Since         uint64           `json:"since"`            // the seqno that gave it this state
	Reason        string           `json:"reason,omitempty"` // why it is pending
}

// Status asks the node what it does and what it sees of the network.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	var s Status
	if err := c.getJSON(ctx, "/node/status", &s); err != nil {
		return nil, err
	}
	return &s, nil
}

// Retire takes the node out of its network for good. It is for the node's administrative listener, as the
// calls of gov.go are, and only the organisation that runs the node may ask. It returns the transaction
// that says so; the node ends by itself a little later.
func (c *Client) Retire(ctx context.Context) (coco.TxID, error) {
	var answer struct {
		ID coco.TxID `json:"transaction_id"`
	}
	resp, err := c.do(ctx, http.MethodPost, "/node/retire", nil)
	if err != nil {
		return answer.ID, err
	}
	body, err := readAll(resp)
	if err != nil {
		return answer.ID, err
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return answer.ID, fmt.Errorf("%w: /node/retire: %w", coco.ErrCorrupt, err)
	}
	return answer.ID, nil
}

// Nodes lists the nodes of the network, retired ones too.
func (c *Client) Nodes(ctx context.Context) ([]NodeInfo, error) {
	var nodes []NodeInfo
	if err := c.getJSON(ctx, "/node/nodes", &nodes); err != nil {
		return nil, err
	}
	return nodes, nil
}
