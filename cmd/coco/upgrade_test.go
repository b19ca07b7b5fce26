package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/nodecmd"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/reach"
	"github.com/cocoframework/coco/internal/rolling"
	"github.com/cocoframework/coco/internal/sandbox"
)

// buildRelease builds this program as another release.
func buildRelease(t *testing.T, version string) (file string, m coco.Measurement) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "coco-"+version)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-X main.release="+version, "-o", file, ".")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, virtual.Measure(program)
}

// upgrading are the means to upgrade a sandbox in a test.
func upgrading(s *sandbox.Sandbox, to string, report func(localnet.Step)) rolling.UpgradeOptions {
	var members []string
	for _, m := range s.Info().Members {
		members = append(members, m.Name)
	}
	app := &cli.App{Program: program(), Out: cli.NewPrinter(io.Discard), Err: cli.NewPrinter(io.Discard)}
	return rolling.UpgradeOptions{Dir: s.Info().Dir, To: to, Verifiers: verifiers(), Try: nodecmd.TryProgram, Vote: nodecmd.VoteOnCode(app, s.Info().Dir, members), Report: report}
}

// believe has clients accept the code that the constitution lists by now, as the proxies do by themselves.
func (l *traffic) believe(info localnet.Info) {
	l.t.Helper()
	trust, err := info.Trust(verifiers())
	if err != nil {
		l.t.Error(err)
		return
	}
	for _, c := range l.nodes {
		c.Transport().SetCode(trust.Code)
	}
}

func TestUpgrade(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program and starts processes")
	}
	t.Parallel()
	to, code := buildRelease(t, "v2.0.0-test")
	t.Run("LosesNoRequest", func(t *testing.T) {
		t.Parallel()
		testUpgradeLosesNoRequest(t, to, code)
	})
	t.Run("IsOfAProgramThatStarts", func(t *testing.T) {
		t.Parallel()
		testUpgradeOfWhatDoesNotStart(t)
	})
	t.Run("GoesOnAfterTheNetworkStopped", func(t *testing.T) {
		t.Parallel()
		testUpgradeGoesOn(t, to, code)
	})
}

// testUpgradeLosesNoRequest gives three nodes another program while clients work. The upgrade is interrupted after
// every node.
func testUpgradeLosesNoRequest(t *testing.T, to string, code coco.Measurement) {
	s := startNetwork(t, t.TempDir(), nil)
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	info := s.Info()
	old := coco.Measurement(info.Measurement)
	load := startTraffic(t, info, 4, 2)
	proxied := startLoad(info, 2)

	var replaced []string
	for try := 0; ; try++ {
		ctx, interrupt := context.WithCancel(t.Context())
		err := rolling.Upgrade(ctx, upgrading(s, to, func(step localnet.Step) {
			t.Logf("%s (%d requests, %d retries)", step.Text, load.done.Load(), load.retried.Load())
			switch step.Step {
			case "stopping":
				load.believe(info) // the supervisor has heard of the vote before it replaces a node
			case "back":
				replaced = append(replaced, step.Node)
				interrupt()
			}
		}))
		interrupt()
		if err == nil {
			break
		}
		if try > 3 || !errors.Is(err, context.Canceled) && ctx.Err() == nil {
			t.Fatalf("interrupted %d times: %v", try, err)
		}
	}
	load.end()
	close(proxied.stop)
	proxied.wg.Wait()
	t.Logf("%d requests, %d retries, %d failed", load.done.Load(), load.retried.Load(), load.failed.Load())
	if load.failed.Load() != 0 || load.done.Load() == 0 {
		t.Errorf("of %d requests %d failed", load.done.Load()+load.failed.Load(), load.failed.Load())
	}
	if slices.Sort(replaced); !slices.Equal(replaced, localnet.Names[:3]) {
		t.Errorf("replaced were %v, expected each of three once", replaced)
	}
	checkUpgraded(t, s, old, code)
}

// checkUpgraded looks at what every node says it runs, and at what the constitution lists.
func checkUpgraded(t *testing.T, s *sandbox.Sandbox, old, code coco.Measurement) {
	t.Helper()
	info, err := localnet.Load(s.Info().Dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Measurement != string(code) {
		t.Errorf("the sandbox says that its nodes run %s, expected %s", info.Measurement, code)
	}
	for _, n := range info.Nodes {
		c, err := info.Connect(n, verifiers())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		proof, err := c.Verify(t.Context())
		if err != nil || proof.Claims.Measurement != code {
			t.Errorf("%s runs %s, %v; expected %s", n.Name, proof.Claims.Measurement, err, code)
		}
		con, _, err := reach.Constitution(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if got := con.Measurements(); slices.Contains(got, old) || !slices.Contains(got, code) {
			t.Errorf("%s: the constitution lists %v, expected %s only", n.Name, got, code)
		}
		status, err := c.Status(t.Context())
		if err != nil || status.Version != "v2.0.0-test" {
			t.Errorf("%s is version %q, %v", n.Name, status.Version, err)
		}
	}
}

// testUpgradeOfWhatDoesNotStart offers files that are no program of a node, and one that passes for one until it is started.
func testUpgradeOfWhatDoesNotStart(t *testing.T) {
	s := startNetwork(t, t.TempDir(), nil)
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	info := s.Info()
	old := coco.Measurement(info.Measurement)
	exe, err := exec.LookPath("coco")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"a text":                            "some text\n",
		"a script that fails":               "#!/bin/sh\nexit 1\n",
		"a script that says nothing":        "#!/bin/sh\nexit 0\n",
		"a script that starts this program": "#!/bin/sh\nexec '" + exe + "' \"$@\"\n",
	} {
		file := filepath.Join(t.TempDir(), "program")
		if err := os.WriteFile(file, []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
		err := rolling.Upgrade(t.Context(), upgrading(s, file, func(step localnet.Step) {
			if step.Step != "measured" {
				t.Errorf("%s: %s %s", name, step.Step, step.Text)
			}
		}))
		if !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}

	file := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(file, []byte("#!/bin/sh\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	code := virtual.Measure([]byte("#!/bin/sh\nexit 1\n"))
	opts := upgrading(s, file, func(step localnet.Step) { t.Log(step.Text) })
	opts.Try = func(context.Context, string, []byte) (rolling.Candidate, error) {
		return rolling.Candidate{Measurement: code}, nil
	}
	if err := rolling.Upgrade(t.Context(), opts); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("a program that does not start: %v", err)
	}
	for _, n := range info.Nodes {
		c, err := info.Connect(n, verifiers())
		if err != nil {
			t.Fatal(err)
		}
		proof, err := c.Verify(t.Context())
		c.Close()
		if err != nil || proof.Claims.Measurement != old {
			t.Errorf("%s runs %s, %v; expected %s", n.Name, proof.Claims.Measurement, err, old)
		}
	}
	if err := putOnce(t.Context(), info.Nodes[0].HTTP); err != nil {
		t.Errorf("a write afterwards: %v", err)
	}
}

// testUpgradeGoesOn stops the network between two programs and starts it again, as any other.
func testUpgradeGoesOn(t *testing.T, to string, code coco.Measurement) {
	dir := t.TempDir()
	s := startNetwork(t, dir, nil)
	old := coco.Measurement(s.Info().Measurement)
	again := func() {
		t.Helper()
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
		s = startNetwork(t, dir, nil)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	first := ""
	err := rolling.Upgrade(ctx, upgrading(s, to, func(step localnet.Step) {
		if step.Step == "back" {
			first = step.Node
			interrupt()
		}
	}))
	interrupt()
	if err == nil || first == "" {
		t.Fatalf("interrupted after node %q: %v", first, err)
	}
	again()
	info, err := localnet.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range info.Nodes {
		c, err := info.Connect(n, verifiers())
		if err != nil {
			t.Fatal(err)
		}
		proof, err := c.Verify(t.Context())
		c.Close()
		if want := n.Name == first; err != nil || (proof.Claims.Measurement == code) != want {
			t.Errorf("%s runs %s, %v; replaced was %s", n.Name, proof.Claims.Measurement, err, first)
		}
	}
	var replaced []string
	if err := rolling.Upgrade(t.Context(), upgrading(s, to, func(step localnet.Step) {
		if step.Step == "back" {
			replaced = append(replaced, step.Node)
		}
	})); err != nil {
		t.Fatal(err)
	}
	if len(replaced) != 2 || slices.Contains(replaced, first) {
		t.Errorf("replaced after the stop were %v, before it %s", replaced, first)
	}
	checkUpgraded(t, s, old, code)
	again() // by a supervisor whose own program the constitution does not list any more
	checkUpgraded(t, s, old, code)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
}
