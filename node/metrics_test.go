package node_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/node"
)

// metrics reads a node's metrics: values by name with labels.
func (n *network) metrics(i int) (page string, values map[string]float64) {
	n.t.Helper()
	page, err := get(n.client(i, i), "/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	values = map[string]float64{}
	for line := range strings.Lines(page) {
		at := strings.LastIndexByte(line, ' ')
		if v, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64); err == nil && line[0] != '#' {
			values[line[:at]] = v
		}
	}
	return page, values
}

func TestMetricsTellWhatTheNetworkDid(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		const writes = 5
		for i := range writes {
			if _, err := put(n.client(0, 0), fmt.Sprintf("planted-key-%d", i), "planted-value"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		var pages string
		var at [3]map[string]float64
		for i := range at {
			page, values := n.metrics(i)
			pages, at[i] = pages+page, values
			for name, want := range map[string]float64{
				"coco_has_leader": 1, "coco_is_ready": 1, "coco_lag_entries": 0, "coco_queue_length": 0, "coco_queue_refused_total": 0,
				"coco_trusted_nodes": 3, "coco_voters": 3, "coco_learners": 0, "coco_lives": 1,
				"coco_committed_seqno": at[0]["coco_committed_seqno"], "coco_view": at[0]["coco_view"],
				"coco_applied_index": values["coco_ledger_index"],
			} {
				if got, ok := values[name]; !ok || got != want {
					t.Errorf("node %d: %s is %v (%v), want %v", i, name, got, ok, want)
				}
			}
			for _, name := range []string{
				"coco_view", "coco_committed_seqno", "coco_ledger_bytes", "coco_ledger_index", "coco_queue_capacity",
				"coco_sync_latency_seconds_count", "coco_process_start_time_seconds", "coco_service_certificate_not_after_seconds",
				"coco_node_certificate_not_after_seconds", "coco_actor_certificate_not_after_seconds",
			} {
				if values[name] <= 0 {
					t.Errorf("node %d: %s is %v", i, name, values[name])
				}
			}
		}
		if at[0]["coco_is_leader"]+at[1]["coco_is_leader"]+at[2]["coco_is_leader"] != 1 {
			t.Errorf("leaders: %v %v %v", at[0]["coco_is_leader"], at[1]["coco_is_leader"], at[2]["coco_is_leader"])
		}
		if l := at[0]; l["coco_batch_transactions_sum"] < writes || l["coco_batch_transactions_sum"] > l["coco_committed_seqno"] ||
			l["coco_commit_latency_seconds_count"] != l["coco_batch_transactions_count"] || l["coco_commit_latency_seconds_sum"] <= 0 {
			t.Errorf("the leader's batches: %v transactions in %v, %v latencies of %v s in all", l["coco_batch_transactions_sum"],
				l["coco_batch_transactions_count"], l["coco_commit_latency_seconds_count"], l["coco_commit_latency_seconds_sum"])
		}
		if got := at[0][`coco_http_requests_total{class="2xx",route="PUT /app/kv/{key...}"}`]; got != writes {
			t.Errorf("%v writes counted, want %d", got, writes)
		}
		for _, secret := range []string{"planted", "member1", "member2", "member3"} {
			if strings.Contains(pages, secret) {
				t.Errorf("the metrics show %q", secret)
			}
		}
		compareWithManual(t, pages)
	})
}

// compareWithManual reports the metrics of a page that docs/operations.md does not list, and those that are listed
// there and not on the page.
func compareWithManual(t *testing.T, page string) {
	t.Helper()
	manual, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rows, ok := strings.Cut(string(manual), "| metric | kind | meaning |\n")
	rows, _, _ = strings.Cut(rows, "\n\n")
	if !ok {
		t.Fatal("docs/operations.md has no table of metrics")
	}
	listed := map[string]string{} // kind by name
	for row := range strings.Lines(rows) {
		columns := strings.Split(row, "|")
		for _, m := range regexp.MustCompile("`([a-z_]+)[`{]").FindAllStringSubmatch(columns[1], -1) {
			listed[m[1]] = strings.TrimSpace(columns[2])
		}
	}
	shown := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(page, -1) {
		shown[m[1]] = true
		if listed[m[1]] != m[2] {
			t.Errorf("%s is a %s; docs/operations.md calls it %q", m[1], m[2], listed[m[1]])
		}
	}
	for name := range listed {
		if !shown[name] {
			t.Errorf("docs/operations.md lists %s, which no node measures", name)
		}
	}
}

func TestNodeWhoseDiskHangsIsAliveAndNotReady(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		time.Sleep(time.Second)
		c := n.client(1, 1)
		if page, err := get(c, "/readyz?verbose"); err != nil || !strings.Contains(page, "[+] disk\n") {
			t.Errorf("a healthy node: %q, %v", page, err)
		}
		n.World.SetSyncDelay(hostName(1), 30*time.Second)
		if _, err := put(n.client(0, 0), "key", "value"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		if _, err := get(c, "/readyz"); err == nil || !strings.Contains(err.Error(), "503") || !strings.Contains(err.Error(), "[-] disk: ") {
			t.Errorf("a node whose disk hangs: %v", err)
		}
		if _, err := get(c, "/livez"); err != nil {
			t.Error(err)
		}
	})
}

func TestCutOffNodeIsNotReady(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		n.Crash(0)
		n.Crash(1)
		time.Sleep(10 * time.Second)
		if _, err := get(n.client(2, 2), "/readyz"); err == nil || !strings.Contains(err.Error(), "[-] leader: ") {
			t.Errorf("the last node of three: %v", err)
		}
	})
}

func TestLogLevelIsTheOwners(t *testing.T) {
	simulate(t, 2, func(t *testing.T, n *network) {
		levels := map[string]*slog.LevelVar{}
		n.Alter = func(c *node.Config) {
			c.LogLevel = new(slog.LevelVar)
			levels[c.Name] = c.LogLevel
		}
		n.governs()
		n.open()
		for i, want := range []int{http.StatusForbidden, http.StatusNoContent} {
			req, err := http.NewRequest(http.MethodPut, "https://node/node/log-level?level=debug", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := n.officer(n.Members[i], 1).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("member %d at node 2: %s", i+1, resp.Status)
			}
		}
		if levels[hostName(0)].Level() != slog.LevelInfo || levels[hostName(1)].Level() != slog.LevelDebug {
			t.Errorf("levels: %v %v", levels[hostName(0)].Level(), levels[hostName(1)].Level())
		}
	})
}
