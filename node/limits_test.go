package node_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/wire"
)

// metric returns the number that a node's metrics page has.
func (n *network) metric(i int, name string) int {
	n.t.Helper()
	page, err := get(n.client(i, i), "/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^coco_` + name + ` (\S+)$`).FindStringSubmatch(page)
	if m == nil {
		n.t.Fatalf("no metric %s", name)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		n.t.Fatal(err)
	}
	return int(v)
}

// settled waits until something holds, which a node does with what it has applied.
func settled(is func() bool) bool {
	for range 100 {
		if is() {
			return true
		}
		time.Sleep(100 * time.Millisecond)
	}
	return false
}

// probe changes one setting by a vote, and says whether it is in force without a restart.
type probe struct {
	value string
	holds func(n *network) error
}

// probes has every setting of the constitution that a vote may change.
func probes() map[string]probe {
	capacity := func(metric string, want int) func(n *network) error {
		return func(n *network) error {
			for i := range n.Members {
				if !settled(func() bool { return n.metric(i, metric) == want }) {
					return fmt.Errorf("node %d: %s is %d, expected %d", i, metric, n.metric(i, metric), want)
				}
			}
			return nil
		}
	}
	snapshot := func(n *network) error {
		before := n.metric(0, "snapshot_seqno")
		for k := range 40 {
			if _, err := put(n.client(0, 0), fmt.Sprintf("snap-%d", k), strings.Repeat("v", 1900)); err != nil {
				return err
			}
			time.Sleep(200 * time.Millisecond)
		}
		if !settled(func() bool { return n.metric(0, "snapshot_seqno") > before }) {
			return errors.New("no snapshot is written")
		}
		return nil
	}
	// An epoch ends by its length, and an idle network's does not.
	epoch := func(write func(k int) (size int), times int, wait time.Duration) func(n *network) error {
		return func(n *network) error {
			newest := func() (out int) {
				for i := range n.Members {
					out = max(out, n.metric(i, "epoch"))
				}
				return out
			}
			n.committee(0, wire.Keys{}, time.Minute) // which begins an epoch, too
			before := newest()
			for k := range times {
				if _, err := put(n.client(0, 0), fmt.Sprintf("epoch-%d", k), strings.Repeat("v", write(k))); err != nil {
					return err
				}
			}
			time.Sleep(wait)
			if !settled(func() bool { return newest() > before }) {
				return fmt.Errorf("after %d writes and %v the epoch is %d still", times, wait, before)
			}
			time.Sleep(2 * time.Second)
			after := newest()
			if time.Sleep(time.Minute); newest() > after {
				return fmt.Errorf("epoch %d follows %d, and nothing was written", newest(), after)
			}
			return nil
		}
	}
	small := func(int) int { return 1 }
	// Decisions read these from the tables, with the vote before them.
	decided := func(is func(c *constitution.Constitution) bool) func(n *network) error {
		return func(n *network) error {
			page, err := get(n.client(1, 1), "/node/constitution")
			if err != nil {
				return err
			}
			c, err := constitution.Parse([]byte(page))
			if err != nil {
				return err
			}
			if !is(c) {
				return fmt.Errorf("the constitution in force is\n%s", page)
			}
			return nil
		}
	}
	return map[string]probe{
		"limits.body_bytes": {"2048", func(n *network) error {
			for i := range n.Members {
				if !settled(func() bool {
					_, err := put(n.client(i, i), "large", strings.Repeat("v", 3000))
					return err != nil && strings.Contains(err.Error(), fmt.Sprint(http.StatusRequestEntityTooLarge))
				}) {
					return fmt.Errorf("node %d takes a body of 3000 bytes", i)
				}
				if _, err := put(n.client(i, i), "small", strings.Repeat("v", 1900)); err != nil {
					return err
				}
			}
			return nil
		}},
		"limits.queue":        {"7", capacity("queue_capacity", 7)},
		"limits.batch_bytes":  {"2000000", capacity("queue_capacity_bytes", 32_000_000)},
		"epochs.transactions": {"100", epoch(small, 101, 0)},
		"epochs.bytes":        {"1048576", epoch(func(int) int { return 100_000 }, 12, 0)},
		"epochs.seconds":      {"10", epoch(small, 1, 10*time.Second)},
		"limits.batch_count": {"1", func(n *network) error {
			view := func() int { return n.metric(0, "ledger_index") }
			before, first := view(), n.metric(0, "committed_seqno")
			done := make(chan error)
			for k := range 5 {
				c := n.client(0, 0)
				go func() { _, err := put(c, fmt.Sprintf("together-%d", k), "v"); done <- err }()
			}
			for range 5 {
				if err := <-done; err != nil {
					return err
				}
			}
			time.Sleep(time.Second)
			if batches, calls := view()-before, n.metric(0, "committed_seqno")-first; batches < calls {
				return fmt.Errorf("%d transactions are in %d entries", calls, batches)
			}
			return nil
		}},
		"snapshots.transactions": {"5", snapshot},
		"snapshots.bytes":        {"65536", snapshot},
		"snapshots.seconds":      {"2", snapshot},
		"shares.threshold":       {"3", decided(func(c *constitution.Constitution) bool { return c.Shares.Threshold == 3 })},
		"nodes.automatic": {"1", func(n *network) error {
			r := n.StartOn("more", 2, n.Join(0, 1))
			defer func() { r.Stop(); <-r.Done() }()
			if time.Sleep(30 * time.Second); r.TakesPart() {
				return errors.New("a second node of a member takes part without a vote")
			}
			return nil
		}},
		"keys.retention_seconds":   {"3600", decided(func(c *constitution.Constitution) bool { return c.Keys.RetentionSeconds == 3600 })},
		"keys.window":              {"20", decided(func(c *constitution.Constitution) bool { return c.Keys.Window == 20 })},
		"recovery.owner":           {`"each_member"`, decided(func(c *constitution.Constitution) bool { return c.Recovery.Owner == constitution.EachMember })},
		"recovery.unattended":      {`"yes"`, decided(func(c *constitution.Constitution) bool { return c.Recovery.Unattended == constitution.Yes })},
		"reads.stale_seconds":      {"5", decided(func(c *constitution.Constitution) bool { return c.Reads.StaleSeconds == 5 })},
		"reads.refuse_seconds":     {"6", func(n *network) error { return n.cutOff(6 * time.Second) }},
		constitution.MinimumVoting: {"100", decided(func(c *constitution.Constitution) bool { return c.Voting.MinimumSeconds == 100 })},
	}
}

// cutOff checks that a node which hears nothing from the others for so long refuses reads.
func (n *network) cutOff(after time.Duration) error {
	l := n.leader()
	i := (l + 1) % 3
	for _, o := range []int{l, (l + 2) % 3} {
		n.World.Partition(hostName(i), hostName(o))
		defer n.World.Heal(hostName(i), hostName(o))
	}
	time.Sleep(after + 10*time.Second)
	if _, err := get(n.client(i, i), "/app/kv/small"); err == nil {
		return errors.New("a node that was cut off answers reads")
	}
	return nil
}

// refusedSetting says how a proposal about a setting is answered.
func (n *network) refusedSetting(key string) int {
	n.t.Helper()
	act := action.Action{Kind: action.Set, Args: action.Args{Setting: key, Value: "2"}}
	b, err := act.Encode()
	if err != nil {
		n.t.Fatal(err)
	}
	now := uint64(time.Now().UnixMilli())
	raw, err := envelope.SignProposal(n.t.Context(), n.Members[0], envelope.Proposal{
		Audience: n.audience(), Time: now, Expires: now + 3_600_000, Nonce: nonce(), Actions: []cbor.RawMessage{b},
	})
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err := n.officer(n.Members[0], 0).Post("https://node/gov/submit", "application/cose", bytes.NewReader(raw))
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// What members vote takes effect on every node at once, or is refused. A setting that is not here was forgotten.
func TestEverySettingTakesEffectWithoutARestart(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs a network for each setting")
	}
	all := probes()
	var keys []string
	simulated, err := nettest.New(1, 1, nettest.Options{Adapters: func() []adapter.Adapter { return []adapter.Adapter{kv.Adapter{}} }})
	if err != nil {
		t.Fatal(err)
	}
	c := simulated.Constitution
	for _, x := range c.Numbers() {
		keys = append(keys, x.Path)
	}
	for _, x := range c.Added() {
		keys = append(keys, x.Path)
	}
	keys = append(keys, "shares.threshold", "rules", "consensus.durability", "network.name", "network.insecure")
	slices.Sort(keys)
	for _, key := range keys {
		p, ok := all[key]
		t.Run(key, func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				n.governs()
				n.open()
				if _, err := put(n.client(0, 0), "small", "v"); err != nil {
					t.Fatal(err)
				}
				if !ok { // what no vote changes is refused when it is proposed
					if status := n.refusedSetting(key); status != http.StatusBadRequest {
						t.Errorf("a vote about it is answered %d, and it has no probe", status)
					}
					return
				}
				acts := []action.Action{{Kind: action.Set, Args: action.Args{Setting: key, Value: p.value}}}
				if key == "recovery.owner" { // there is none without a threshold of 1
					acts = append(acts, setThreshold("1"))
				}
				n.decide(acts...)
				if err := p.holds(n); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
