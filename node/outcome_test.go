package node_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/node"
)

func TestRefusalIsTheSameOnEveryNode(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		if _, err := put(n.client(0, 0), "key", "value"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		var codes []int
		for i := range 2 {
			req, _ := http.NewRequest(http.MethodPut, "https://node/app/kv/key", bytes.NewReader([]byte("x")))
			req.Header.Set("If-None-Match", "*")
			resp, err := n.client(i, i).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			codes = append(codes, resp.StatusCode)
		}
		if codes[0] != codes[1] {
			t.Errorf("leader and follower answer %v", codes)
		}
	})
}

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
		c.Adapters["kv"]["max_value_bytes"] = 15 << 20
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
