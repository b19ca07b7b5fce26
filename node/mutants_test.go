package node_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
)

// The tests of this file are scenarios for changes that break the code on purpose and that the
// random schedules of internal/sim did not notice (docs/testing.md, "Directed scenarios").

// create writes a key that must not exist yet. It returns the answer's status and the error's code.
func create(c *http.Client, key, value string) (status int, code string, err error) {
	req, err := http.NewRequest(http.MethodPut, "https://node/app/kv/"+key, bytes.NewReader([]byte(value)))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("If-None-Match", "*")
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return resp.StatusCode, "", err
	}
	var failed struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	if resp.StatusCode >= 300 {
		err = json.Unmarshal(body, &failed)
	}
	return resp.StatusCode, failed.Error.Code, err
}

// entry reads one entry of a node's ledger.
func (n *network) entry(i int, index uint64) batch.Entry {
	n.t.Helper()
	log, err := ledger.OpenReadOnly(n.World.Host(hostName(i)).Disk, node.Dir)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	entries, err := log.Read(index, index+1, 0)
	if err != nil {
		n.t.Fatal(err)
	}
	return entries[0]
}

func TestALearnerThatIsFarBehindDoesNotVote(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.waitReady(n.Start(0, n.Found))
		n.waitReady(n.Start(1, n.Join(0)))
		time.Sleep(time.Second)
		for i := range 100 { // one after the other: as many entries
			if _, err := put(n.client(0, 0), fmt.Sprint("key", i), "value"); err != nil {
				t.Fatal(err)
			}
		}
		before, _ := n.lastMembers(0)
		const behind = 5 * time.Second // until it has the first entry on its disk
		n.World.SetSyncDelay(hostName(2), behind)
		r := n.Start(2, n.Join(0))
		for range 10_000 {
			if n.changesAfter(before) > 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		for range 200 { // a learner is one change, a voter takes two more
			if changes := n.changesAfter(before); changes != 1 {
				t.Fatalf("%d changes of members while the joiner has nothing on its disk; it must become a learner and nothing else", changes)
			}
			time.Sleep(behind / 250)
		}
		n.World.SetSyncDelay(hostName(2), 0)
		n.waitReady(r)
		for range 100 {
			if n.changesAfter(before) == 3 {
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
		t.Error("it caught up, but did not become a voter")
	})
}

// changesAfter counts the changes of members in the first node's ledger, after an entry.
func (n *network) changesAfter(index uint64) (count int) {
	n.t.Helper()
	log, err := ledger.OpenReadOnly(n.World.Host(hostName(0)).Disk, node.Dir)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	for at := index + 1; at <= log.Last(); at++ {
		entries, err := log.Read(at, at+1, 0)
		if err != nil {
			n.t.Fatal(err)
		}
		if entries[0].Kind == batch.KindMembers {
			count++
		}
	}
	return count
}

func TestARefusalWaitsForTheStateThatItWasJudgedBy(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		n.World.Partition(hostName(0), hostName(1))
		n.World.Partition(hostName(0), hostName(2))
		written := make(chan error, 1)
		go func() {
			_, err := put(n.client(0, 0), "key", "value")
			written <- err
		}()
		time.Sleep(100 * time.Millisecond)
		refused := make(chan int, 1)
		go func() {
			status, _, _ := create(n.client(0, 0), "key", "other")
			refused <- status
		}()
		// The leader has sealed "key", which nobody else will ever see.
		select {
		case status := <-refused:
			t.Errorf("answered with status %d, by a state that was not committed", status)
			refused <- status
		case <-time.After(500 * time.Millisecond):
		}
		time.Sleep(4 * time.Second)
		n.World.Heal(hostName(0), hostName(1))
		n.World.Heal(hostName(0), hostName(2))
		<-written
		<-refused
	})
}

func TestAForwardedCallThatIsNotAnsweredInTimeIsNotCalledNotCommitted(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		var gate atomic.Pointer[chan struct{}]
		n.Alter = func(c *node.Config) {
			if c.Name == hostName(0) {
				c.Adapters = []adapter.Adapter{slow{kv.Adapter{}, &gate}}
			}
		}
		n.open()
		time.Sleep(time.Second)
		g := make(chan struct{})
		gate.Store(&g)
		status, code, err := create(n.client(1, 1), "key", "value")
		if err != nil || code != "outcome_unknown" {
			t.Errorf("the leader has the call and has not answered; the caller is told %d %q, %v", status, code, err)
		}
		gate.Store(nil)
		close(g)
		time.Sleep(5 * time.Second)
		n.check(map[string]string{"key": "value"}, 0, 1, 2) // as it was committed after all
	})
}

func TestAForwardedCallWhoseAnswerIsLostIsNotCalledNotCommitted(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		n.World.PartitionOneWay(hostName(0), hostName(1))
		go func() {
			time.Sleep(10 * time.Second)
			n.World.Heal(hostName(0), hostName(1))
		}()
		// Called not committed, the call would be sent again, and be refused for what it has done itself.
		status, code, err := create(n.client(1, 1), "key", "value")
		if err != nil || code != "outcome_unknown" {
			t.Errorf("the leader's answer is lost; the caller is told %d %q, %v", status, code, err)
		}
		time.Sleep(15 * time.Second)
		n.check(map[string]string{"key": "value"}, 0, 1, 2)
	})
}

func TestANodeThatStopsDoesNotCallWhatItSealedNotCommitted(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		c := n.Constitution
		c.Limits.BodyBytes, c.Limits.BatchBytes = 16<<20, 16<<20
		c.Adapters["kv"] = map[string]any{"max_value_bytes": 15 << 20}
		if err := c.Complete(); err != nil {
			t.Fatal(err)
		}
		n.open()
		time.Sleep(time.Second)
		// The others have both batches long before they are on their disks. The leader is busy with the
		// first one until it finds that there is no room for the second one, and stops.
		n.World.SetSyncDelay(hostName(1), 4*time.Second)
		n.World.SetSyncDelay(hostName(2), 4*time.Second)
		n.World.SetSyncDelay(hostName(0), time.Second)
		n.World.SetDiskCapacity(hostName(0), 1)
		first := make(chan error, 1)
		go func() {
			_, err := put(n.client(0, 0), "first", "value")
			first <- err
		}()
		time.Sleep(100 * time.Millisecond)
		value, r := strings.Repeat("x", 8<<20), n.Node(0)
		if status, code, err := create(n.client(0, 0), "second", value); err != nil || code != "outcome_unknown" {
			t.Errorf("the node that stops answers %d %q, %v", status, code, err)
		}
		select {
		case <-r.Done():
		case <-time.After(time.Minute):
			t.Fatal("the node goes on with a full disk")
		}
		<-first
		n.World.SetSyncDelay(hostName(1), 0)
		n.World.SetSyncDelay(hostName(2), 0)
		time.Sleep(15 * time.Second)
		n.check(map[string]string{"second": value}, 1, 2) // as the others have committed it
		n.Crash(0)
	})
}

func TestALedgerWithAForgedChangeOfMembersIsFetchedAgain(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		if _, err := put(n.client(0, 0), "key", "value"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		index := uint64(1)
		for n.entry(2, index).Kind != batch.KindMembers {
			index++
		}
		n.Crash(2)
		files := n.World.Files(hostName(2), "")
		for name, b := range files {
			if strings.Contains(name, "ledger_") {
				forgeFrame(b, int(index-1))
			}
		}
		n.World.SetFiles(hostName(2), files)
		n.World.Restart(hostName(2))
		if bytes.Equal(n.entry(2, index).Data, n.entry(0, index).Data) {
			t.Fatal("nothing was forged")
		}
		n.waitReady(n.Start(2, n.Join(0, 1)))
		time.Sleep(time.Second)
		if got, want := n.entry(2, index), n.entry(0, index); !bytes.Equal(got.Data, want.Data) {
			t.Errorf("entry %d, which no transaction's root speaks for, is %x; the network has %x", index, got.Data, want.Data)
		}
		n.check(map[string]string{"key": "value"}, 2)
	})
}

func TestAForkThatIsNewerThanTheNetworkDoesNotUnseatItsLeader(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		for i := range 3 {
			n.Crash(i)
		}
		n.World.Restart(hostName(0))
		n.World.Restart(hostName(1))
		// Two recoveries that know nothing of each other. The one of the lower view is the network.
		n.World.Partition(hostName(0), hostName(1))
		n.waitReady(n.Start(0, n.Recover))
		n.waitReady(n.Start(1, n.Recover))
		network, fork := 0, 1
		if n.status(0).View > n.status(1).View {
			network, fork = 1, 0
		}
		for i := range 5 {
			if _, err := put(n.client(fork, fork), fmt.Sprint("forked", i), "value"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := put(n.client(network, network), "key", "value"); err != nil {
			t.Fatal(err)
		}
		before := n.status(network)
		n.Crash(fork)
		n.World.Restart(hostName(fork))
		n.World.Heal(hostName(0), hostName(1))
		n.waitReady(n.Start(fork, n.Join(network)))
		time.Sleep(time.Second)
		if after := n.status(network); after != before {
			t.Errorf("the network had %+v; with a joiner whose ledger is of a newer fork it has %+v", before, after)
		}
		n.check(map[string]string{"key": "value"}, network, fork)
		n.sameState(network, fork)
	})
}
