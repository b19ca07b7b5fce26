package node

import (
	"fmt"
	"time"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/consensus/reconfig"
	"github.com/cocoframework/coco/gateway"
	"github.com/cocoframework/coco/pulse"
	"github.com/cocoframework/coco/replica"
)

// vitals is what a node's health is judged by.
type vitals struct {
	stage   stage
	joined  bool          // it has applied its own admission
	listed  bool          // the network trusts it now
	leader  bool          // it knows one
	lag     uint64        // in entries
	writing time.Duration // how long its disk has been at one write
	age     adapter.Age
	clock   time.Duration // by how much the ledger's time is behind this machine's
	closed  bool          // members have yet to open the network that they recovered
	near    string        // what has grown half way to a limit
	keys    string        // which seats of the committee are not live
}

// maxLag is how many entries a node may be behind and still serve reads that are worth having.
const maxLag = reconfig.CaughtUp

func (v vitals) checks() []gateway.Check {
	running, member, leader, lag, disk := gateway.Check{Name: "running"}, gateway.Check{Name: "member"}, gateway.Check{Name: "leader"},
		gateway.Check{Name: "lag"}, gateway.Check{Name: "disk"}
	clock := gateway.Check{Name: "clock", Warning: clockWarning(v.clock)}
	fresh := gateway.Check{Name: "fresh", Problem: staleProblem(v.age)}
	if v.stage.ending() {
		running.Problem = "this node is stopping"
	}
	switch {
	case !v.joined:
		member.Problem = "this node is joining: it has not applied its own admission yet"
	case v.closed:
		member.Problem = "the network was recovered and is closed: members vote to open it (coco gov propose open-network service.pem)"
	case !v.listed:
		member.Problem = "the network does not trust this node any more"
	}
	if !v.leader {
		leader.Problem = "the network has no leader: fewer than a majority of the nodes reach each other"
	}
	if v.lag > maxLag {
		lag.Problem = fmt.Sprintf("%d ledger entries behind; up to %d are well", v.lag, maxLag)
	}
	if v.writing > replica.DiskPatience {
		disk.Problem = fmt.Sprintf("the disk has not confirmed a write for %v; up to %v are well", v.writing.Truncate(time.Second), replica.DiskPatience)
	}
	return []gateway.Check{running, member, leader, lag, disk, fresh, clock, {Name: "limits", Warning: v.near}, {Name: "keys", Warning: v.keys}}
}

// staleProblem says in one sentence that this node's state is older than the constitution has it; empty if it is not.
func staleProblem(age adapter.Age) string {
	if !age.Stale {
		return ""
	}
	return fmt.Sprintf("this node's state may be %v old: it has not heard of a majority of the nodes, with a leader, for so long", age.Of.Truncate(time.Second))
}

// clockWarning says in one sentence that this machine's clock and the ledger's time are apart; empty if they are not.
func clockWarning(lag time.Duration) string {
	switch {
	case lag > pulse.LagPatience:
		return fmt.Sprintf("this machine's clock is %v ahead of the ledger's time, which follows the clocks of a majority of the nodes: compare the nodes' clocks", lag.Truncate(time.Second))
	case lag < -pulse.LagPatience:
		return fmt.Sprintf("this machine's clock is %v behind the ledger's time, which never goes back: compare the nodes' clocks", (-lag).Truncate(time.Second))
	}
	return ""
}

// Health implements gateway.Node.
func (n *node) Health() []gateway.Check {
	_, listed := n.decided.directory.Load().addresses[n.self.Identity.ID()]
	v := vitals{stage: n.progress.stage(), joined: n.progress.joined(), listed: listed, leader: n.replica.State().Leader != 0, lag: n.replica.Lag(), writing: n.replica.Writing(), age: n.age(), clock: n.replica.ClockLag(), closed: n.closed(), near: n.decided.growth.Warning(), keys: n.ceremonies.Warning()}
	return v.checks()
}
