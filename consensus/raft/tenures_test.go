package raft

import (
	"math"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/cocoframework/coco/consensus"
)

// A machine whose nodes restart for years remembers the newest memberships, and says that it does not know older ones.
func TestTheMembershipsThatAMachineRemembersAreBounded(t *testing.T) {
	const changes = 10 * maxTenures
	m := &Machine{history: []tenure{{0, consensus.Membership{Voters: []consensus.ID{1}}}}, fixed: math.MaxUint64, applied: changes}
	for i := range uint64(changes) {
		id := i + 2
		cc := &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: pb.ConfChangeAddLearnerNode.Enum(), NodeId: &id}}}
		if i > 0 {
			old := i + 1
			cc.Changes = append(cc.Changes, &pb.ConfChangeSingle{Type: pb.ConfChangeRemoveNode.Enum(), NodeId: &old})
		}
		if _, err := m.changeMembers(i+1, cc); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.history) > 2*maxTenures {
		t.Errorf("%d memberships are remembered", len(m.history))
	}
	for at := uint64(changes - maxTenures + 1); at <= changes; at++ {
		members, ok := m.MembershipAt(at)
		if !ok || len(members.Learners) != 1 || members.Learners[0] != consensus.ID(at+1) {
			t.Fatalf("at entry %d of %d: %v %v", at, changes, members, ok)
		}
	}
	if members, ok := m.MembershipAt(1); ok {
		t.Errorf("at entry 1 of %d: %v", changes, members)
	}
}
