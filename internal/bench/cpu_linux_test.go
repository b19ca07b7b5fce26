package bench

import (
	"os"
	"testing"
	"time"
)

func TestStatOfAProcessWithAnyName(t *testing.T) {
	const rest = ") S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 100"
	for _, name := range []string{"1 (coco", "1 (a b) c", "1 (()"} {
		if d, ok := parseStat([]byte(name + rest)); !ok || d != 3*time.Second {
			t.Errorf("%q: %v, %v", name, d, ok)
		}
	}
	for _, bad := range []string{"", "1 (coco) S 1 2", "1 coco S", "1 (c) S 1 2 3 4 5 6 7 8 9 10 x 50", "1 (c) S 1 2 3 4 5 6 7 8 9 10 1 -5"} {
		if _, ok := parseStat([]byte(bad)); ok {
			t.Errorf("%q: accepted", bad)
		}
	}
	if _, ok := processCPU(os.Getpid()); !ok {
		t.Error("this process: not found")
	}
	if _, ok := processCPU(-1); ok {
		t.Error("no process: found")
	}
}

func TestCPUIsSharedByTheTransactions(t *testing.T) {
	before := map[string]time.Duration{"a": time.Second, "gone": time.Second, "again": time.Second}
	after := map[string]time.Duration{"a": 3 * time.Second, "again": time.Millisecond, "new": time.Second}
	got := cpuPerTx(before, after, 1_000_000)
	if len(got) != 1 || got["a"] != 2 {
		t.Errorf("%v", got)
	}
	if got := cpuPerTx(before, after, 0); len(got) != 0 {
		t.Errorf("no transactions: %v", got)
	}
}
