package node_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/logevent"
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
func TestASnapshotThatNobodyRecordedDoesNotHoldUpTheNext(t *testing.T) {
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

// The host's network fails for half a minute while a node fetches its snapshot.
func TestAJoinerWithoutNetworkWaitsForItsSnapshot(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		n.busy(2 * time.Second)
		n.Crash(2)
		n.World.SetFiles(hostName(2), nil)
		n.World.Restart(hostName(2))
		log := n.listen(2)
		r := n.Start(2, n.Join(0, 1))
		for !strings.Contains(log.String(), string(logevent.SnapshotFetched)) {
			time.Sleep(100 * time.Microsecond)
		}
		n.World.Isolate(hostName(2))
		time.Sleep(30 * time.Second)
		n.World.Rejoin(hostName(2))
		n.waitReady(r)
		if strings.Contains(log.String(), string(logevent.WholeLedgerExecuted)) {
			t.Errorf("the node gave up its snapshot:\n%s", log)
		}
	})
}

// The others have moved the past away. What a node that comes back has of it may be the last copy.
func TestANodeThatComesBackKeepsThePastThatOthersLack(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		n.busy(3 * time.Second)
		n.Crash(2)
		n.busy(3 * time.Second)
		n.World.Restart(hostName(2))
		kept := n.World.Files(hostName(2), node.Dir)
		var last uint64
		for name := range kept {
			var first uint64
			_, _ = fmt.Sscanf(name, node.Dir+"/ledger_%d", &first)
			last = max(last, first)
		}
		for i := range 2 {
			disk := n.World.Host(hostName(i)).Disk
			for name := range n.World.Files(hostName(i), node.Dir) {
				var first, end uint64
				if k, _ := fmt.Sscanf(name, node.Dir+"/ledger_%d-%d", &first, &end); k == 2 && first <= last {
					if err := disk.Remove(name); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		n.waitReady(n.Start(2, n.Join(0, 1)))
		time.Sleep(20 * time.Second)
		for name, b := range kept {
			if !strings.Contains(name, "-") {
				continue
			}
			held := false
			for _, there := range n.World.Files(hostName(2), "") {
				held = held || string(there) == string(b)
			}
			if !held {
				t.Errorf("%s was on one disk only, and is gone", name)
			}
		}
	})
}

// Each of two nodes can be spared, but not both.
func TestTwoNodesThatRetireAtOnceLeaveANetwork(t *testing.T) {
	simulate(t, 4, func(t *testing.T, n *network) {
		n.governs()
		n.open()
		time.Sleep(5 * time.Second)
		lead := n.leader()
		n.Crash((lead + 1) % 4)
		time.Sleep(5 * time.Second)
		var wait sync.WaitGroup
		agreed := 0
		for _, i := range []int{(lead + 2) % 4, (lead + 3) % 4} {
			c := n.officer(n.Members[i], i)
			wait.Go(func() {
				resp, err := c.Post("https://node/node/retire", "", nil)
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					agreed++
				}
			})
		}
		wait.Wait()
		time.Sleep(10 * time.Second)
		for _, i := range n.Running() {
			if n.Node(i).Ended() {
				n.Forget(i)
			}
		}
		if _, err := put(n.client(lead, lead), "after", "value"); err != nil {
			t.Errorf("after the leader let %d nodes go: %v", agreed, err)
		}
	})
}

// A node that dies with its grant in hand never took part. The network does not count on its vote.
func TestAJoinerThatDiesWithItsGrantTakesNoVote(t *testing.T) {
	simulate(t, 2, func(t *testing.T, n *network) {
		log := n.listen(0)
		n.waitReady(n.Start(0, n.Found))
		n.Start(1, n.Join(0))
		for !strings.Contains(log.String(), string(logevent.NodeAdmitted)) {
			time.Sleep(10 * time.Microsecond)
		}
		n.Crash(1)
		time.Sleep(5 * time.Second)
		if _, err := put(n.client(0, 0), "key", "value"); err != nil {
			t.Error(err)
		}
	})
}

// hooked is a disk that tells of each snapshot that is opened.
type hooked struct {
	host.Disk
	opened func()
}

func (d *hooked) Open(name string) (host.File, error) {
	if strings.HasPrefix(name, node.SnapshotDir) {
		d.opened()
	}
	return d.Disk.Open(name)
}

// While a joiner is cut off with its grant in hand, all nodes that it was told of are replaced.
func TestAJoinerWhosePeersWereAllReplacedJoinsAgain(t *testing.T) {
	long(t)
	simulate(t, 4, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		n.busy(3 * time.Second)
		n.Crash(3)
		n.World.SetFiles(hostName(3), n.World.Files(hostName(3), node.SnapshotDir)) // it needs entries still
		n.World.Restart(hostName(3))
		var once sync.Once
		n.Alter = func(c *node.Config) {
			if c.Name == hostName(3) {
				c.Host.Disk = &hooked{c.Host.Disk, func() { once.Do(func() { n.World.Isolate(hostName(3)) }) }}
			}
		}
		r := n.Start(3, n.Join(0, 1, 2))
		time.Sleep(time.Second)
		for i := range 3 {
			n.lose(i, (i+1)%3, (i+2)%3)
			time.Sleep(5 * time.Second)
		}
		n.World.Rejoin(hostName(3))
		n.waitReady(r)
	})
}

// Each node serves few fetches at a time. Who finds no room waits.
func TestManyJoinersAtOnceAllBeginWithTheSnapshot(t *testing.T) {
	simulate(t, 7, func(t *testing.T, n *network) {
		n.frequent()
		var slow atomic.Bool
		n.Alter = func(c *node.Config) {
			if c.Name == hostName(0) {
				c.Host.Disk = &hooked{c.Host.Disk, func() {
					if slow.Load() {
						time.Sleep(3 * time.Second)
					}
				}}
			}
		}
		n.waitReady(n.Start(0, n.Found))
		c := n.client(0, 0)
		for k := range 250 {
			if _, err := put(c, fmt.Sprint("key", k), "value"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Second)
		slow.Store(true)
		var logs []*said
		for i := 1; i < 7; i++ {
			logs = append(logs, n.listen(i))
			n.Start(i, n.Join(0))
		}
		for i := 1; i < 7; i++ {
			n.waitReady(n.Node(i))
		}
		for _, log := range logs {
			if strings.Contains(log.String(), string(logevent.WholeLedgerExecuted)) {
				t.Errorf("a joiner gave up the snapshot:\n%.2000s", log)
			}
		}
	})
}

// The newest snapshot was on disks only that are gone. Those before it are on all.
func TestAJoinerMakesDoWithAnOlderSnapshot(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		n.busy(3 * time.Second)
		names := n.finished(0)
		newest := slices.MaxFunc(names, func(a, b string) int { return len(a)*1000 - len(b)*1000 + strings.Compare(a, b) })
		n.Crash(2)
		n.World.SetFiles(hostName(2), nil)
		n.World.Restart(hostName(2))
		for i := range 2 {
			if err := n.World.Host(hostName(i)).Disk.Remove(newest); err != nil {
				t.Fatal(err)
			}
		}
		log := n.listen(2)
		n.waitReady(n.Start(2, n.Join(0, 1)))
		if strings.Contains(log.String(), string(logevent.WholeLedgerExecuted)) {
			t.Errorf("the node did without any snapshot; the others hold %v", n.finished(0))
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
