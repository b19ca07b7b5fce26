package node_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/snapshot"
)

// finished returns the names of a host's snapshots that the network has recorded.
func (n *network) finished(i int) []string {
	names := slices.DeleteFunc(n.snapshots(i), func(name string) bool { return strings.HasSuffix(name, ".pending") })
	slices.Sort(names)
	return names
}

// liar is a disk that shows a snapshot's file with other voters the second time that it is read from its beginning: after
// it was verified.
type liar struct {
	host.Disk
	voters []uint64
	read   map[string]int // how often, by name
}

type lie struct {
	host.File
	disk *liar
	name string
	body []byte
}

func (d *liar) Open(name string) (host.File, error) {
	f, err := d.Disk.Open(name)
	if err != nil || !strings.HasPrefix(name, node.SnapshotDir) {
		return f, err
	}
	return &lie{File: f, disk: d, name: name}, nil
}

func (f *lie) ReadAt(b []byte, off int64) (int, error) {
	if off == 0 {
		if f.disk.read[f.name]++; f.disk.read[f.name] == 3 { // verifying reads the header, and then everything
			h, err := snapshot.ReadHeader(f.disk.Disk, f.name)
			if err != nil {
				return 0, err
			}
			h.Voters, h.Learners, h.Outgoing = f.disk.voters, []uint64{}, []uint64{}
			mode, _ := cbor.CoreDetEncOptions().EncMode()
			header, _ := mode.Marshal(h)
			f.body = append([]byte("coco snapshot 1\n"), 0, 0, byte(len(header)>>8), byte(len(header)))
			f.body = append(append(f.body, header...), make([]byte, 1<<20)...)
		}
	}
	if f.body != nil {
		return copy(b, f.body[off:]), nil
	}
	return f.File.ReadAt(b, off)
}

// Whoever chooses the members of consensus that a node begins with makes it lead alone. Only the digest that the ledger
// records vouches for them.
func TestMembersOfASnapshotThatWasExchangedAfterItsCheckAreNotBelieved(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		n.busy(3 * time.Second)
		names := n.finished(0)
		h, err := snapshot.ReadHeader(n.World.Host(hostName(0)).Disk, names[len(names)-1])
		if err != nil {
			t.Fatal(err)
		}
		n.Crash(2)
		n.World.Restart(hostName(2))
		disk := &liar{voters: h.Voters[:1], read: map[string]int{}}
		n.Alter = func(c *node.Config) {
			if c.Name == hostName(2) {
				disk.Disk = c.Host.Disk
				c.Host.Disk = disk
			}
		}
		r := n.Start(2, n.Join(0, 1))
		select {
		case <-r.Done():
			n.Forget(2)
			if !errors.Is(r.Err(), coco.ErrVerify) {
				t.Errorf("the node ended with %v", r.Err())
			}
		case <-r.Ready():
			time.Sleep(5 * time.Second)
			if v := n.voters(2); v != "3" {
				t.Errorf("the node counts %s voters, as its disk said, expected 3", v)
			}
		}
		lied := false
		for _, times := range disk.read {
			lied = lied || times >= 3
		}
		if !lied {
			t.Fatal("the disk did not lie")
		}
	})
}

// Two nodes went on without the third, and the network is recovered from that one. They come back with
// snapshots of entries that were lost.
func TestSnapshotsOfALostForkDoNotDisplaceThoseOfTheNetwork(t *testing.T) {
	long(t)
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		n.busy(2 * time.Second)
		n.Crash(0)
		n.busy(6 * time.Second)
		n.Crash(1)
		n.Crash(2)
		for i := range 3 {
			n.World.Restart(hostName(i))
		}
		n.waitReady(n.Start(0, n.Recover))
		n.waitReady(n.Start(1, n.Join(0)))
		n.waitReady(n.Start(2, n.Join(0)))
		n.busy(time.Second)
		want := n.finished(0)
		if len(want) == 0 {
			t.Fatal("no snapshot was recorded")
		}
		for i := 1; i < 3; i++ {
			if have := n.finished(i); !slices.Equal(have, want) {
				t.Errorf("%s keeps %v, and the network's snapshots are %v", hostName(i), have, want)
			}
		}
	})
}

// A crash leaves a snapshot that nobody recorded. It must not keep the next ones from being recorded.
func TestASnapshotWithoutARecordDoesNotHoldUpTheNext(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		n.busy(2 * time.Second)
		n.Crash(0)
		n.busy(6 * time.Second)
		n.Crash(1)
		n.Crash(2)
		files := n.World.Files(hostName(0), "")
		for name, b := range n.World.Files(hostName(1), node.SnapshotDir) {
			if !strings.HasSuffix(name, ".pending") {
				files[name+".pending"] = b // a receipt behind a pending body is of no matter
			}
		}
		n.World.SetFiles(hostName(0), files)
		n.World.Restart(hostName(0))
		n.waitReady(n.Start(0, n.Recover))
		before := n.finished(0)
		c := n.client(0, 0)
		for k := range 350 {
			if _, err := put(c, fmt.Sprint("after", k), strings.Repeat("x", 500)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(5 * time.Second)
		if after := n.finished(0); slices.Equal(before, after) {
			t.Errorf("350 transactions after the recovery no snapshot is recorded; here are %v", n.snapshots(0))
		}
	})
}

// A crash between a receipt and the name that says that it is there leaves a pending file with something behind its body.
func TestASnapshotIsWholeAfterACrashWhileItGotItsReceipt(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		n.busy(3 * time.Second)
		n.Crash(2)
		want := n.finished(0)
		files := n.World.Files(hostName(2), "")
		for _, name := range want {
			files[name+".pending"] = files[name]
			delete(files, name)
		}
		n.World.SetFiles(hostName(2), files)
		n.World.Restart(hostName(2))
		n.waitReady(n.Start(2, n.Join(0, 1)))
		time.Sleep(5 * time.Second)
		disk := n.World.Host(hostName(2)).Disk
		if len(n.finished(2)) == 0 {
			t.Errorf("no snapshot got its receipt; here are %v", n.snapshots(2))
		}
		for _, name := range n.finished(2) {
			if _, _, _, err := snapshot.Verify(disk, name); err != nil {
				t.Error(err)
			}
		}
	})
}
