package sandboxcmd

import (
	"context"

	"github.com/cocoframework/coco/internal/cli/drill"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/rehearsal"
)

// drill rehearses a recovery of the network in a folder, with all that a catastrophe may leave: the nodes' ledgers and the members' keys.
func (a *app) drill(ctx context.Context, dir string) error {
	info, err := localnet.Load(dir)
	if err != nil {
		return err
	}
	cfg := rehearsal.Config{Source: rehearsal.Source{Verifiers: a.Verifiers()}}
	if info.Committed {
		service, err := identity.ReadLeaf(info.ServicePEM)
		if err != nil {
			return err
		}
		cfg.Service = service.Raw
	}
	lay, err := localnet.NewLayout(info.Dir)
	if err != nil {
		return err
	}
	for _, n := range info.Nodes {
		if !n.Retired {
			cfg.Ledgers = append(cfg.Ledgers, nodeconfig.Dir(n.Dir).Ledger())
		}
	}
	for _, m := range info.Members {
		d := lay.Member(m.Name)
		_, key, err := identity.MemberKey{Certificate: d.Org(), Key: d.Encryption()}.Load()
		cfg.Keys = append(cfg.Keys, rehearsal.Key{File: d.Encryption(), Key: key, Err: err})
	}
	return drill.Run(ctx, a.App, cfg)
}
