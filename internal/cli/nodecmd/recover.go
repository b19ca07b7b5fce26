package nodecmd

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/node"
)

// recovering is how a node of a sandbox recovers: its folder holds all members' keys. The end of the ledger is shown, and compared with
// what the supervisor knows, before the first key is read.
func recovering(cfg nodeconfig.Config, show func(recovery.Point)) *node.Recover {
	// The members give their keys to this machine, and with them their word that its clock is right.
	r := &node.Recover{Time: time.Now, AtLeast: cfg.RecoverAtLeast}
	r.Show = func(p recovery.Point) error {
		if want := cfg.RecoverLast; want != (coco.TxID{}) && want != p.Last() {
			return fmt.Errorf("%w: the ledger ends with transaction %s, and what was accepted is %s", coco.ErrDenied, p.Last(), want)
		}
		if show != nil {
			show(p)
		}
		return nil
	}
	r.Release = func(rq recovery.Request, sealed *keys.SealedEpoch) ([]recovery.Release, []error) {
		return releaseShares(cfg.RecoverKeys, rq, sealed)
	}
	return r
}

// releaseShares releases the share of every member whose files are there, and names the others. A key that is another member's opens that
// member's share, and is named, too.
func releaseShares(members []identity.MemberKey, rq recovery.Request, sealed *keys.SealedEpoch) (releases []recovery.Release, faults []error) {
	for _, m := range members {
		actor, key, err := m.Load()
		if err != nil {
			faults = append(faults, fmt.Errorf("the share that %s opens: %w", m.Key, err))
			continue
		}
		if of, ok := sealed.ActorOf(key.Public()); ok && of != actor {
			faults = append(faults, fmt.Errorf("%w: %s is the key of actor %s, expected that of %s, whose certificate is %s", coco.ErrInvalid, m.Key, of.Short(), actor.Short(), m.Certificate))
			actor = of
		}
		r, err := recovery.New(rq, sealed, actor, key)
		switch {
		case errors.Is(err, coco.ErrNotFound): // it was no member then, or is none any more
		case err != nil:
			faults = append(faults, fmt.Errorf("the share that %s opens: %w", m.Key, err))
		default:
			releases = append(releases, r)
		}
	}
	return releases, faults
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
