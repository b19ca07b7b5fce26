package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
)

var kills = flag.Int("kills", 9, "how many starts of a network are killed, each at a random moment")

// startSteps starts `coco up` in a folder and returns the process and its steps as they come.
func startSteps(t *testing.T, dir string, args ...string) (*exec.Cmd, <-chan localnet.Step) {
	t.Helper()
	exe, err := exec.LookPath("coco") // installed by TestMain
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, append([]string{"up", "--dir", dir, "-o", "json"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	steps := make(chan localnet.Step, 100)
	go func() {
		defer close(steps)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			var s localnet.Step
			if json.Unmarshal(sc.Bytes(), &s) == nil {
				steps <- s
			}
		}
	}()
	return cmd, steps
}

// killTree kills a supervisor, and its nodes at once if the machine is to fail with it.
func killTree(cmd *exec.Cmd, dir string, nodes bool) {
	_ = cmd.Process.Kill()
	if info, err := localnet.Load(dir); err == nil && nodes {
		for _, n := range info.Nodes {
			if p, err := os.FindProcess(n.Pid); err == nil && n.Pid > 0 {
				_ = p.Kill()
			}
		}
	}
	_ = cmd.Wait()
}

func TestAStartThatIsKilledAtAnyMomentCanBeRepeated(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many networks")
	}
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "net")
	began := time.Now()
	cmd, steps := startSteps(t, dir)
	for s := range steps {
		if s.Step == "ready" {
			break
		}
	}
	span := min(time.Since(began)*5/4, 1500*time.Millisecond)
	killTree(cmd, dir, true)
	byStep := map[string]int{}
	defer func() { t.Logf("%d starts were killed within %v, after the steps %v", *kills, span, byStep) }()
	for i := range *kills {
		fresh := i%3 == 2 // over the network of the round before
		var args []string
		var before localnet.Info
		if fresh {
			args = []string{"--fresh"}
			var err error
			if before, err = localnet.Load(dir); err != nil {
				t.Fatal(err)
			}
		} else {
			dir = filepath.Join(t.TempDir(), "net")
		}
		after := time.Duration(rand.Int64N(int64(span)))
		cmd, steps := startSteps(t, dir, args...)
		time.Sleep(after)
		killTree(cmd, dir, i%2 == 1)
		var last localnet.Step
		for s := range steps {
			last = s
		}
		byStep[last.Step]++
		when := fmt.Sprintf("round %d, killed after %v, fresh %v, after step %q", i, after.Round(time.Millisecond), fresh, last.Step)
		if code, out := runCoco(t, filepath.Dir(dir), "up", "--dir", dir, "--detach", "-o", "json"); code != 0 {
			t.Errorf("%s: exit code %d: %s", when, code, out)
			dir = filepath.Join(t.TempDir(), "net")
			if code, out := runCoco(t, filepath.Dir(dir), "up", "--dir", dir, "--detach", "-o", "json"); code != 0 {
				t.Fatal(out)
			}
			continue
		}
		info, err := localnet.Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if last.Step == "ready" && info.ChainID != last.ChainID {
			t.Errorf("%s: it said ready with chain id %d, and the network that goes on has %d", when, last.ChainID, info.ChainID)
		}
		if left, err := filepath.Glob(filepath.Join(dir, ".*-network")); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind %v, %v (the chain was %d)", when, left, err, before.ChainID)
		}
		if err := putOnce(t.Context(), info.Nodes[2].HTTP); err != nil {
			t.Errorf("%s: a write: %v", when, err)
		}
		if code, out := runCoco(t, filepath.Dir(dir), "down", "--dir", dir); code != 0 {
			t.Errorf("%s: down: exit code %d: %s", when, code, out)
		}
	}
}

func putOnce(ctx context.Context, base string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, base+"/app/kv/key", strings.NewReader("value"))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s", resp.Status)
	}
	return nil
}

// networkOfChunks returns a network of three, which does not run, and has a ledger of several complete chunks.
func networkOfChunks(t *testing.T) (dir string, info localnet.Info) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "net")
	if code, out := runCoco(t, t.TempDir(), "up", "--dir", dir, "--detach", "-o", "json", "--set", "ledger.chunk_bytes=65536"); code != 0 {
		t.Fatal(out)
	}
	t.Cleanup(func() { _, _ = localnet.Down(context.Background(), dir) })
	info, err := localnet.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	value := bytes.Repeat([]byte("value "), 1500)
	for i := range 40 {
		req, err := http.NewRequest(http.MethodPut, fmt.Sprintf("%s/app/kv/key%d", info.Nodes[0].HTTP, i), bytes.NewReader(value))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			t.Fatal(resp.Status)
		}
	}
	if code, out := runCoco(t, dir, "down", "--dir", dir); code != 0 {
		t.Fatal(out)
	}
	return dir, info
}

// chunksOf returns the files of a node's complete chunks, in order.
func chunksOf(t *testing.T, n localnet.Node) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(nodeconfig.Dir(n.Dir).Ledger(), "ledger_*-*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(files, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return files
}

// damageChunk changes one bit in the middle of a file.
func damageChunk(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// One bit of a complete chunk is wrong on the disk of the node from which the network would go on.
func TestADamagedChunkOfOneLedgerKeepsNoNetworkFromStarting(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a network of processes")
	}
	t.Parallel()
	dir, info := networkOfChunks(t)
	up := []string{"up", "--dir", dir, "--detach", "-o", "json"}
	for i, n := range info.Nodes {
		chunks := chunksOf(t, n)
		if len(chunks) < 3 {
			t.Fatalf("%d complete chunks: the test shows nothing", len(chunks))
		}
		damageChunk(t, chunks[1])
		if code, out := runCoco(t, dir, up...); code != 0 {
			t.Fatalf("with a damaged chunk of %s: exit code %d: %s", n.Name, code, out)
		}
		info, err := localnet.Load(dir) // another network may have the ports by now
		if err != nil {
			t.Fatal(err)
		}
		for k := range info.Nodes {
			resp, err := http.Get(fmt.Sprintf("%s/app/kv/key%d", info.Nodes[k].HTTP, 10*i))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s, with a damaged chunk of %s: %s", info.Nodes[k].Name, n.Name, resp.Status)
			}
		}
		if code, out := runCoco(t, dir, "down", "--dir", dir); code != 0 {
			t.Fatal(out)
		}
	}
}

// Every ledger has a damaged chunk and lacks another one, and each chunk is whole in one of them.
func TestARecoveryTakesWhatItLacksFromTheOtherLedgers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a network of processes")
	}
	t.Parallel()
	dir, info := networkOfChunks(t)
	chunks := make([][]string, len(info.Nodes))
	for i, n := range info.Nodes {
		if chunks[i] = chunksOf(t, n); len(chunks[i]) < 4 {
			t.Fatalf("%d complete chunks: the test shows nothing", len(chunks[i]))
		}
	}
	for node, c := range []struct{ damaged, missing int }{{0, 3}, {1, 0}, {2, 1}} {
		damageChunk(t, chunks[node][c.damaged])
		if err := os.Remove(chunks[node][c.missing]); err != nil {
			t.Fatal(err)
		}
	}
	code, out := runCoco(t, dir, "up", "--dir", dir, "--detach", "-o", "json")
	if code != 0 || !strings.Contains(out, "alpha takes entries") || !strings.Contains(out, "which are damaged in its ledger") || !strings.Contains(out, "which it lacked") {
		t.Fatalf("exit code %d: %s", code, out)
	}
	if code, out := runCoco(t, dir, "down", "--dir", dir); code != 0 {
		t.Fatal(out)
	}
	if now := chunksOf(t, info.Nodes[0]); len(now) < len(chunks[0]) {
		t.Errorf("alpha has the chunks %v, before %v", now, chunks[0])
	}
	if code, out := runCoco(t, dir, "ledger", "verify", info.Nodes[0].Dir, "--service", info.ServicePEM); code != 0 {
		t.Error(out)
	}
}
