package raft_test

import (
	"errors"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/consensus"
	"github.com/cocoframework/coco/consensus/raft"
)

// FuzzStepDecodes gives a machine bytes as if they came from a peer that is not trusted yet to be
// who it says: they are refused unless sender and receiver are those of the connection.
func FuzzStepDecodes(f *testing.F) {
	for _, m := range []*pb.Message{
		{Type: pb.MsgHeartbeat.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(1))},
		{Type: pb.MsgApp.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(3)), Entries: []*pb.Entry{{Term: new(uint64(3)), Index: new(uint64(1)), Data: []byte("x")}}},
		{Type: pb.MsgApp.Enum(), From: new(uint64(3)), To: new(uint64(1)), Term: new(uint64(48)), Entries: []*pb.Entry{{Term: new(uint64(48)), Index: new(uint64(48)), Data: []byte("x")}}},
		{Type: pb.MsgSnap.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(1))},
		{Type: pb.MsgStorageAppend.Enum(), From: new(uint64(2)), To: new(uint64(1))},
		{Type: pb.MsgHeartbeat.Enum(), From: new(uint64(3)), To: new(uint64(1)), Term: new(uint64(3)), Commit: new(uint64(48))}, // beyond the log
		{Type: pb.MsgVote.Enum(), From: new(uint64(3)), To: new(uint64(1)), LogTerm: new(uint64(48)), Index: new(uint64(48))},   // without a term
		{Type: pb.MessageType(-1961481128).Enum(), From: new(uint64(3)), To: new(uint64(1))},                                    // the library indexes a table by the type
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := raft.New(raft.Config{Self: 1, Voters: []consensus.ID{1, 2}, Log: &memory{}, ElectionTicks: 10, HeartbeatTicks: 1})
		if err != nil {
			t.Fatal(err)
		}
		// A connection of node 3: no message can name it as its sender and pass for node 2's.
		if err := m.Step(3, b); err == nil {
			msg := new(pb.Message)
			if proto.Unmarshal(b, msg) != nil || msg.GetFrom() != 3 || msg.GetTo() != 1 {
				t.Fatal("a message with another sender was taken")
			}
		} else if !errors.Is(err, coco.ErrCorrupt) && m.State().View != 0 {
			t.Fatalf("refused with %v, but it changed the view", err)
		}
	})
}
