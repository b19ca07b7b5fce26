package node

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gateway"
)

// governor is gateway.Governor.
type governor struct{ n *node }

var errNotYet = fmt.Errorf("%w: not yet", coco.ErrBusy)

func (g governor) Govern(context.Context, []byte) (json.RawMessage, error) { return nil, errNotYet }

func (g governor) Proposals(string) ([]gateway.ProposalInfo, error) { return nil, errNotYet }

func (g governor) Proposal(coco.Digest) (gateway.ProposalInfo, error) {
	return gateway.ProposalInfo{}, errNotYet
}

func (g governor) ConstitutionAt(uint64) ([]byte, gateway.VersionInfo, error) {
	return nil, gateway.VersionInfo{}, errNotYet
}

func (g governor) History() ([]gateway.VersionInfo, error) { return nil, errNotYet }

func (g governor) Simulate(context.Context, coco.Caller, []byte) (json.RawMessage, error) {
	return nil, errNotYet
}

func (g governor) PendingNodes() ([]gateway.PendingNode, error) { return nil, errNotYet }

func (g governor) WaitFor(_ context.Context, seqno uint64) (uint64, error) { return seqno, errNotYet }
