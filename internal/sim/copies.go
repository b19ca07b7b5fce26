package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/node"
)

// recovers has a node recover. The members remember the last transaction that anybody was told of. Asked, unless it is nil, is called when
// they are asked for their shares.
func (r *run) recovers(asked func(recovery.Point)) func(*node.Config) {
	return func(c *node.Config) {
		r.network.Recover(c)
		c.Recover.AtLeast = r.witness.NewestID()
		if asked != nil {
			c.Recover.Release = func(ctx context.Context, round *recovery.Round) ([]error, error) {
				asked(round.Request().Point)
				return r.network.Release(ctx, round)
			}
		}
	}
}

// goOn has the members recover the network on a machine, and open it if it is under another service.
func (r *run) goOn(i int, succeeds bool) error {
	if !succeeds {
		return r.network.Start(i, r.recovers(nil)).Await(patience)
	}
	closed := make(chan struct{})
	started := r.network.Start(i, func(c *node.Config) {
		r.recovers(nil)(c)
		c.Recover.Successor, c.Recover.Closed = true, func() { close(closed) }
	})
	select {
	case <-closed:
	case <-started.Done():
		return started.Err()
	}
	council := r.council()
	defer council.Close()
	service, err := council.Service(hostName(i))
	if err != nil {
		return err
	}
	id := coco.Digest(sha256.Sum256(service.RawSubjectPublicKeyInfo))
	if out, yes, err := council.Carry(i, action.Action{Kind: action.OpenNetwork, Args: action.Args{Service: id.String()}}); err != nil || out.State != string(table.Accepted) {
		return fmt.Errorf("the vote to open the network, by %d members: %s %s: %v", yes, out.State, out.Reason, err)
	}
	if err := started.Await(patience); err != nil {
		return err
	}
	if r.network.now = started.Info().Service; !bytes.Equal(r.network.now, service.Raw) {
		r.witness.Fail("alive", "%s serves under another service than the one that members have opened", hostName(i))
	}
	return nil
}

// copies takes all machines down and puts older copies of all disks in their place, all at once: no node can tell. A recovery from them is refused
// before any share is asked for, because the members remember more. Then the newest disks are put back.
func (r *run) copies(f fault) {
	n, before := r.network, r.witness.NewestID()
	for begun := time.Now(); r.witness.NewestID() == before && time.Since(begun) < patience; { // until the copies lack something
		time.Sleep(100 * time.Millisecond)
	}
	newest, old := map[int]map[string][]byte{}, map[int]map[string][]byte{}
	for i := range r.plan.members {
		r.mayStop(i, "")
		n.Crash(i)
		newest[i] = n.World.Files(hostName(i), "")
	}
	r.mu.Lock()
	for i := range r.plan.members {
		old[i] = r.backups[i]
	}
	r.mu.Unlock()
	time.Sleep(f.lasts)
	for i, files := range old {
		n.World.SetFiles(hostName(i), files)
		n.World.Restart(hostName(i))
	}
	known := r.witness.NewestID()
	best, err := n.Longest()
	if err != nil {
		r.witness.Fail("rollback", "the copies of the last round do not open: %v", err)
	} else {
		err = n.Start(best, r.recovers(func(p recovery.Point) {
			r.witness.Fail("rollback", "%s asks for shares to go on from transaction %s, though %s is known", hostName(best), p.Last(), known)
		})).Await(patience)
		var loss *node.LossError
		if r.witness.Say("%s, from the copies: %v", hostName(best), err); !errors.As(err, &loss) || loss.Lacks != known {
			r.witness.Fail("rollback", "a network without transaction %s goes on from %s, or says something else: %v", known, hostName(best), err)
		}
		n.Crash(best)
	}
	for i, files := range newest {
		n.World.SetFiles(hostName(i), files)
	}
	r.again(false)
}
