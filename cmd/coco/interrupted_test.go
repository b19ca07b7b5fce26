package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
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

// One bit of a complete chunk is wrong on the disk of the node from which the network would go on.
func TestADamagedChunkOfOneLedgerKeepsNoNetworkFromStarting(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a network of processes")
	}
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "net")
	up := []string{"up", "--dir", dir, "--detach", "-o", "json"}
	if code, out := runCoco(t, t.TempDir(), append(up, "--set", "ledger.chunk_bytes=65536")...); code != 0 {
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
	// Each ledger alone: with two damaged ones there is no majority of whole ones, unless a chunk is taken from another.
	for i, n := range info.Nodes {
		chunks, err := filepath.Glob(filepath.Join(nodeconfig.Dir(n.Dir).Ledger(), "ledger_*-*"))
		if err != nil || len(chunks) < 3 {
			t.Fatalf("%d complete chunks, %v: the test shows nothing", len(chunks), err)
		}
		data, err := os.ReadFile(chunks[1])
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(chunks[1], data, 0o600); err != nil {
			t.Fatal(err)
		}
		if code, out := runCoco(t, dir, up...); code != 0 {
			t.Fatalf("with a damaged chunk of %s: exit code %d: %s", n.Name, code, out)
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
