package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/wire"
)

const unitFile = "../../deploy/systemd/coco-node@.service"

// unitStopTimeout is the unit's TimeoutStopSec.
const unitStopTimeout = 30 * time.Second

// unit reads the lines KEY=VALUE of a unit file. A key may be there several times.
func unit(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && line[0] != '#' {
			keys[key] = append(keys[key], value)
		}
	}
	return keys
}

func TestTheUnitFitsTheProgram(t *testing.T) {
	u := unit(t)
	one := func(key string) string {
		if len(u[key]) != 1 {
			t.Fatalf("%s is there %d times", key, len(u[key]))
		}
		return u[key][0]
	}
	a := &cli.App{Program: program(), Out: cli.NewPrinter(io.Discard), Err: cli.NewPrinter(io.Discard)}
	root := root("test")
	a.Add(root, groups())
	words := strings.Fields(one("ExecStart"))
	if filepath.Base(words[0]) != "coco" {
		t.Errorf("it starts %s", words[0])
	}
	cmd, rest, err := root.Find(words[1:])
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err != nil || cmd.CommandPath() != "coco node join" || cmd.Flags().NArg() != 0 {
		t.Errorf("%v starts %s: %v", words, cmd.CommandPath(), err)
	}
	if got := cmd.Flags().Lookup("log").Value.String(); got != "-" {
		t.Errorf("the log goes to %q", got)
	}

	// What does not get better by itself is not started again.
	var stay []string
	for _, code := range []int{wire.ExitUsage, wire.ExitVerify, wire.ExitDenied} {
		stay = append(stay, strconv.Itoa(code))
	}
	if got := strings.Fields(one("RestartPreventExitStatus")); !slices.Equal(got, stay) {
		t.Errorf("exit codes %v prevent a restart, want %v", got, stay)
	}
	if one("Type") != "notify" || one("KillSignal") != "SIGTERM" || !strings.Contains(one("ExecReload"), "-HUP") {
		t.Errorf("Type=%s KillSignal=%s ExecReload=%s", one("Type"), one("KillSignal"), one("ExecReload"))
	}
	if s, err := strconv.Atoi(one("TimeoutStopSec")); err != nil || time.Duration(s)*time.Second != unitStopTimeout {
		t.Errorf("TimeoutStopSec=%s, and TestAServiceManagerRunsANode measures %v", one("TimeoutStopSec"), unitStopTimeout)
	}

	// Memory: what the manual says that a node of seven with usual batches needs, and the collector told of 90 % of it.
	manual := document(t, "docs/operations.md")
	m := regexp.MustCompile(`\*\*([0-9.]+) GiB \+ ([0-9]+) MiB for each other node \+ ([0-9]+) × the largest\s+batch\*\*`).FindStringSubmatch(manual)
	if m == nil {
		t.Fatal("operations.md does not say what memory a node needs")
	}
	var gib float64
	var each, batches int
	if _, err := fmt.Sscan(strings.Join(m[1:], " "), &gib, &each, &batches); err != nil {
		t.Fatal(err)
	}
	needs := int(gib*1024) + 6*each + batches*5
	most, err := strconv.Atoi(strings.TrimSuffix(one("MemoryMax"), "G"))
	if err != nil || most*1024*9/10 < needs {
		t.Errorf("MemoryMax=%s: 90 %% of it is less than the %d MiB that operations.md says", one("MemoryMax"), needs)
	}
	// With GOTRACEBACK=crash a fault of the program does not end it with 2, the exit code of wrong settings.
	if want := []string{"GOTRACEBACK=crash", fmt.Sprintf("GOMEMLIMIT=%dMiB", most*1024*9/10)}; !slices.Equal(u["Environment"], want) || one("LimitCORE") != "0" {
		t.Errorf("Environment=%v, want %v; LimitCORE=%s", u["Environment"], want, one("LimitCORE"))
	}
	if n, err := strconv.Atoi(one("LimitNOFILE")); err != nil || n < 2*8192 {
		t.Errorf("LimitNOFILE=%s: want room for 8192 connections and as many files", one("LimitNOFILE"))
	}
}

func TestSystemdUnderstandsTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze")
	}
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	exe, err := exec.LookPath("coco")
	if err != nil {
		t.Fatal(err)
	}
	// It looks whether the program is there.
	file := filepath.Join(t.TempDir(), filepath.Base(unitFile))
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/coco", exe)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", file).CombinedOutput(); err != nil || strings.Contains(string(out), "coco-node@") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=20", "--no-pager", file).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: the unit exposes more than 2.0 of 10: %v\n%s", err, out)
	}
}

func TestLogrotateSpeaksToTheUnit(t *testing.T) {
	text, err := os.ReadFile("../../deploy/logrotate/coco-node")
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.ReplaceAll(unit(t)["WorkingDirectory"][0], "%S", "/var/lib")
	for _, want := range []string{strings.ReplaceAll(dir, "%i", "*") + "/node.log {", "su coco coco", "--signal=HUP 'coco-node@*.service'", "nocreate"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("deploy/logrotate/coco-node does not say %s", want)
		}
	}
	if strings.Contains(string(text), "copytruncate") {
		t.Error("records are lost between copying and truncating")
	}
}
