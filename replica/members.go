package replica

import (
	"context"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
	"github.com/cocoframework/coco/consensus/reconfig"
	"github.com/cocoframework/coco/internal/balance"
	"github.com/cocoframework/coco/store"
)

// Trust makes consensus follow the list of the nodes that the constitution trusts. A node that is not free goes on learning
// while its vote would give its owner too many; see package balance.
func (r *Replica) Trust(nodes []balance.Seat) { r.loop.inbox.put(event{nodes: nodes}) }

// SetLeaving says whether another node is to lead from now on. See Members for what becomes of it.
func (r *Replica) SetLeaving(is bool) {
	r.loop.inbox.put(event{do: func(l *loop) { l.members.SetLeaving(is) }})
}

// Spared fails if this node leads and the network cannot go on without it; see Remove.
func (r *Replica) Spared(ctx context.Context) error {
	answer := make(chan error, 1)
	r.loop.inbox.put(event{do: func(l *loop) {
		if l.slots.view == 0 {
			answer <- nil
			return
		}
		answer <- l.spare(l.members.Self)
	}})
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Remove commits the transaction that retires a node, on the leader, if the network can go on without that node. Done is
// called once and MUST NOT block. It fails with coco.ErrInvalid if no voter would be left, and with coco.ErrBusy if too few of the
// others were heard of lately, or members of consensus are being changed.
func (r *Replica) Remove(id consensus.ID, retire func(*store.Tx) ([]byte, error), done func([]adapter.Result)) {
	r.loop.inbox.put(event{do: func(l *loop) {
		err := l.spare(id)
		if err == nil {
			l.members.Retiring()
			err = r.Enqueue(&Item{Run: retire, Done: func(results []adapter.Result) {
				// Behind the new list of nodes, if it was committed.
				l.inbox.put(event{do: func(l *loop) { l.members.Retired() }})
				done(results)
			}})
			if err != nil {
				l.members.Retired()
			}
		}
		if err != nil {
			done([]adapter.Result{{Err: err}})
		}
	}})
}

// Restart writes down who votes, before any other change of members, where that does not follow from the ledger: a recovery goes on from the ledger of a
// network whose voters are gone, with this node alone, and nodes that resume are Config.Machine.Voters. Origin was the network's first voter.
func (r *Replica) Restart(origin consensus.ID) {
	r.loop.inbox.put(event{do: func(l *loop) {
		voters := r.cfg.Machine.Voters
		l.members.Force(func() raft.Change {
			gone := slices.DeleteFunc(l.machine.Gone(origin), func(id consensus.ID) bool { return slices.Contains(voters, id) })
			return raft.Change{AddVoter: slices.Clone(voters), Remove: gone}
		})
	}})
}

// MembersAt returns the members of consensus as of an entry, once consensus has applied it, too.
func (r *Replica) MembersAt(ctx context.Context, index uint64) (consensus.Membership, error) {
	type answer struct {
		members consensus.Membership
		known   bool
		applied uint64
	}
	for {
		got := make(chan answer, 1)
		r.loop.inbox.put(event{do: func(l *loop) {
			m, ok := l.machine.MembershipAt(index)
			got <- answer{m, ok, l.slots.applied}
		}})
		select {
		case <-ctx.Done():
			return consensus.Membership{}, ctx.Err()
		case a := <-got:
			if a.known && a.applied >= index {
				return a.members, nil
			}
		}
		select {
		case <-ctx.Done():
			return consensus.Membership{}, ctx.Err()
		case <-r.cfg.Clock.After(Tick):
		}
	}
}

// spare says whether the network can go on without a node. It fails with coco.ErrNotCommitted if this node does not lead.
func (l *loop) spare(id consensus.ID) error {
	if l.slots.view == 0 {
		return fmt.Errorf("%w: this node does not lead", coco.ErrNotCommitted)
	}
	return l.members.Spare(l.group(), id)
}

// group returns what this leader knows of the members of consensus.
func (l *loop) group() reconfig.Group {
	g := reconfig.Group{Membership: l.machine.Membership()}
	_, g.Next, _ = l.machine.Next()
	l.machine.Progress(func(p consensus.Progress) {
		g.Peers = append(g.Peers, reconfig.Peer{Progress: p, Connected: p.ID != l.members.Self && l.network.Connected(p.ID)})
	})
	return g
}
