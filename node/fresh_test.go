package node_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/wire"
)

// read gets a path from a node and returns the status, the body, and how old the node says that its state is.
func (n *network) read(at int, path string, header ...string) (status int, body string, age time.Duration, stale bool) {
	n.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "https://node"+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := n.client(at, at).Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	seconds, _ := strconv.ParseFloat(resp.Header.Get(wire.HeaderAge), 64)
	return resp.StatusCode, string(b), time.Duration(seconds * float64(time.Second)), resp.Header.Get(wire.HeaderStale) == "true"
}

// healthyAge is how old the state of a node may be that hears of the others: a round a second, answered by the next one.
const healthyAge = 3 * time.Second

func TestEveryNodeOfAHealthyNetworkIsFresh(t *testing.T) {
	for _, members := range []int{1, 3, 5} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			simulate(t, members, func(t *testing.T, n *network) {
				n.open()
				if _, err := put(n.client(0, 0), "key", "value"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				for k := range 20 {
					time.Sleep(730 * time.Millisecond)
					at := k % members
					if status, _, age, stale := n.read(at, "/app/kv/key", wire.HeaderMaxAge, "3"); status != 200 || age > healthyAge || stale {
						t.Errorf("node %d of %d: %d, age %v, stale %v", at+1, members, status, age, stale)
					}
					if status, body, age, _ := n.read(at, "/app/kv/key", wire.HeaderConsistency, wire.Linearizable); status != 200 || body != "value" || age > healthyAge {
						t.Errorf("node %d of %d, linearizable: %d %s, age %v", at+1, members, status, body, age)
					}
				}
			})
		})
	}
}

func TestANodeWithoutAQuorumSaysSoAndThenRefusesReads(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		if _, err := put(n.client(0, 0), "key", "value"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		n.World.Partition(hostName(0), hostName(1))
		n.World.Partition(hostName(0), hostName(2))
		n.World.Partition(hostName(1), hostName(2))
		ready := func() (int, string) {
			status, body, _, _ := n.read(0, "/readyz")
			return status, body
		}
		time.Sleep(20 * time.Second)
		if status, body, age, stale := n.read(0, "/app/kv/key"); status != 200 || body != "value" || age < 19*time.Second || age > 24*time.Second || !stale {
			t.Errorf("after 20 s: %d %s, age %v, stale %v", status, body, age, stale)
		}
		if status, page := ready(); status != 503 || !strings.Contains(page, "[-] fresh: this node's state may be 2") {
			t.Errorf("after 20 s: readyz says %d %s", status, page)
		}
		if status, body, _, _ := n.read(0, "/app/kv/key", wire.HeaderMaxAge, "15"); status != 503 || !strings.Contains(body, `"code":"stale"`) {
			t.Errorf("at most 15 s old: %d %s", status, body)
		}
		if status, body, _, _ := n.read(0, "/app/kv/key", wire.HeaderMaxAge, "30"); status != 200 {
			t.Errorf("at most 30 s old: %d %s", status, body)
		}
		if status, body, _, _ := n.read(0, "/app/kv/key", wire.HeaderConsistency, wire.Linearizable); status != 503 || !strings.Contains(body, `"code":"busy"`) {
			t.Errorf("linearizable: %d %s", status, body)
		}
		if _, values := n.metrics(0); values["coco_state_age_seconds"] < 20 {
			t.Errorf("the metric says %v s", values["coco_state_age_seconds"])
		}
		time.Sleep(45 * time.Second)
		for _, header := range [][]string{nil, {wire.HeaderMaxAge, "86400"}} {
			if status, body, age, stale := n.read(0, "/app/kv/key", header...); status != 503 || !strings.Contains(body, `"code":"stale"`) || age < time.Minute || !stale {
				t.Errorf("after more than 60 s, asked with %q: %d %s, age %v", header, status, body, age)
			}
		}
		n.World.Heal(hostName(0), hostName(1))
		n.World.Heal(hostName(0), hostName(2))
		n.World.Heal(hostName(1), hostName(2))
		time.Sleep(20 * time.Second)
		if status, body, age, stale := n.read(0, "/app/kv/key"); status != 200 || age > healthyAge || stale {
			t.Errorf("together again: %d %s, age %v, stale %v", status, body, age, stale)
		}
		if status, page := ready(); status != 200 {
			t.Errorf("together again: readyz says %d %s", status, page)
		}
	})
}

// A node that the others go on without shows the past: it says how old that is, and shows none of it to a reader that asks for the newest state.
func TestANodeThatTheOthersGoOnWithoutDoesNotPassForNew(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(5 * time.Second)
		for i := range 3 { // the leader, too
			if _, err := put(n.client(i, i), "key", fmt.Sprint("old", i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			n.World.Partition(hostName(i), hostName((i+1)%3))
			n.World.Partition(hostName(i), hostName((i+2)%3))
			other := (i + 1) % 3
			for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
				if _, err := put(n.client(other, other), "key", fmt.Sprint("new", i)); err == nil {
					break
				}
				if time.Since(began) > time.Minute {
					t.Fatal("the others do not go on")
				}
			}
			written := time.Now()
			for time.Since(written) < 12*time.Second {
				status, body, age, _ := n.read(i, "/app/kv/key")
				if status == 200 && body == fmt.Sprint("old", i) && age < time.Since(written) {
					t.Errorf("%s says that its state is %v old, and another was committed %v ago", hostName(i), age, time.Since(written))
				}
				if status, body, _, _ = n.read(i, "/app/kv/key", wire.HeaderConsistency, wire.Linearizable); status == 200 {
					t.Errorf("%s answers a linearizable read: %s", hostName(i), body)
				}
			}
			n.World.Heal(hostName(i), hostName((i+1)%3))
			n.World.Heal(hostName(i), hostName((i+2)%3))
			time.Sleep(20 * time.Second)
			if status, body, _, _ := n.read(i, "/app/kv/key", wire.HeaderConsistency, wire.Linearizable); status != 200 || body != fmt.Sprint("new", i) {
				t.Errorf("%s after it is healed: %d %s", hostName(i), status, body)
			}
		}
	})
}
