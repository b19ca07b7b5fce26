package nodecmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/keyfile"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/node"
)

// recovering is how a node of a sandbox recovers: its folder holds all members' keys. The end of the ledger is shown, and compared with
// what the supervisor knows, before the first key is read.
func recovering(cfg nodeconfig.Config, show func(recovery.Point)) *node.Recover {
	// The members give their keys to this machine, and with them their word that its clock is right.
	r := &node.Recover{Time: time.Now, AtLeast: cfg.RecoverAtLeast}
	r.Show = func(e node.Ending) error {
		p := e.Point
		if want := cfg.RecoverLast; want != (coco.TxID{}) && want != p.Last() {
			return fmt.Errorf("%w: the ledger ends with transaction %s, and what was accepted is %s", coco.ErrDenied, p.Last(), want)
		}
		if show != nil {
			show(p)
		}
		return nil
	}
	r.Release = func(_ context.Context, round *recovery.Round) ([]error, error) {
		return releaseParts(cfg.RecoverKeys, round), nil
	}
	return r
}

// releaseParts releases the part of every member whose files are there, and names the others. A key that is another member's opens that
// member's part, and is named, too.
func releaseParts(members []identity.MemberKey, round *recovery.Round) (faults []error) {
	lock := round.Lock()
	for _, m := range members {
		actor, key, err := m.Load()
		if err != nil {
			faults = append(faults, fmt.Errorf("the share that %s opens: %w", m.Key, err))
			continue
		}
		if of, ok := lock.ActorOf(key.Public()); ok && of != actor {
			faults = append(faults, fmt.Errorf("%w: %s is the key of actor %s, expected that of %s, whose certificate is %s", coco.ErrInvalid, m.Key, of.Short(), actor.Short(), m.Certificate))
			actor = of
		}
		r, err := recovery.New(round.Request(), lock, actor, key)
		switch {
		case errors.Is(err, coco.ErrNotFound): // it was no member then, or is none any more
		case err != nil:
			faults = append(faults, fmt.Errorf("the share that %s opens: %w", m.Key, err))
		default:
			_ = round.Submit(r) // the round names it
		}
	}
	return faults
}

// explainLoss says what to do about a ledger that lacks what was committed. dir is the node's folder.
func explainLoss(err error, dir string) error {
	var loss *node.LossError
	if !errors.As(err, &loss) {
		return err
	}
	hint := ""
	if info, err := localnet.Load(filepath.Dir(filepath.Dir(dir))); err == nil {
		hint = localnet.DirHint(info.Dir)
	}
	return fmt.Errorf("%w; put the newer ledgers back, or accept the loss of everything after %s: coco up --accept-last %s%s", err, loss.Point.Last(), loss.Point.Last(), hint)
}

// Recover runs the node of a node.toml, which goes on from its own ledger with what members release, until ctx ends or it has retired. how says how
// they do, given the node's log, its machine and its owner.
func Recover(ctx context.Context, c *cli.App, file, logName string, how func(*slog.Logger, host.Host, *identity.Owner) (*node.Recover, error), ready func(node.Info)) error {
	a := &app{c}
	cfg, err := nodeconfig.Load(file)
	if err != nil {
		return err
	}
	log, err := a.openLog(logName, cfg)
	if err != nil {
		return err
	}
	defer log.close()
	defer log.reloads(a.Hangups(), file)()
	return a.startNode(ctx, cfg, keyfile.Read, nodeEvents{
		log: log, ready: ready, recover: func(machine host.Host, owner *identity.Owner) (*node.Recover, error) {
			return how(log.Logger, machine, owner)
		},
	})
}
