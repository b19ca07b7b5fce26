package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/logfile"
	"github.com/cocoframework/coco/internal/nodeconfig"
)

// manager is the end of systemd: a socket that a process tells how it is.
type manager struct {
	t      *testing.T
	name   string
	socket *net.UnixConn
}

func newManager(t *testing.T) *manager {
	dir, err := os.MkdirTemp("", "sd") // a socket's name is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &manager{t: t, name: filepath.Join(dir, "notify")}
	if m.socket, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.name, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.socket.Close() })
	return m
}

// told waits until the process has told a line that begins so, and returns the message.
func (m *manager) told(line string) string {
	m.t.Helper()
	_ = m.socket.SetReadDeadline(time.Now().Add(time.Minute))
	buf := make([]byte, 4096)
	for {
		n, err := m.socket.Read(buf)
		if err != nil {
			m.t.Fatalf("the service manager was not told %s: %v", line, err)
		}
		for got := range strings.SplitSeq(string(buf[:n]), "\n") {
			if strings.HasPrefix(got, line) {
				return string(buf[:n])
			}
		}
	}
}

// joiner makes the settings of another node of alpha, and approves the network for it.
func joiner(t *testing.T, dir string, info localnet.Info) (config string) {
	t.Helper()
	var free [2]string
	for i := range free {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close() // after all are drawn
		free[i] = ln.Addr().String()
	}
	org := localnet.Layout{Dir: info.Dir}.Member("alpha")
	code, out := runCoco(t, dir, "node", "init", "delta", "--owner-cert", org.Org(), "--owner-key", org.OrgKey(),
		"--peer", free[0], "--client", free[1], "--join", info.Nodes[0].Peer, "--ask", info.Nodes[0].Client)
	if code != 0 {
		t.Fatal(out)
	}
	config = filepath.Join(dir, "delta", "node.toml")
	_, out = runCoco(t, dir, "node", "approve", "--config", config, "-o", "json")
	var id struct{ Constitution string }
	if err := json.Unmarshal([]byte(out), &id); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	if code, out = runCoco(t, dir, "node", "approve", "--config", config, "--approve", id.Constitution); code != 0 {
		t.Fatal(out)
	}
	return config
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(text)
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// What systemd does with a node, by the socket and the signals that it uses: start, watch, reload, stop.
func TestAServiceManagerRunsANode(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a network of processes")
	}
	t.Parallel()
	dir := t.TempDir()
	s := startNetwork(t, filepath.Join(dir, "net"), nil)
	defer func() { _ = s.Stop() }()
	config := joiner(t, dir, s.Info())
	exe, err := exec.LookPath("coco")
	if err != nil {
		t.Fatal(err)
	}
	m := newManager(t)
	cmd := exec.Command(exe, "node", "join", "--config", config) // its standard input is the null device
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.name, "WATCHDOG_USEC=600000")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()

	if text := m.told("READY=1"); !strings.Contains(text, "STATUS=admitted as node") {
		t.Errorf("with READY=1 came %q", text)
	}
	if code, out := runCoco(t, dir, "node", "status", "--config", config); code != 0 {
		t.Errorf("the node is ready, and its status is %d %s", code, out)
	}
	m.told("WATCHDOG=1")
	m.told("WATCHDOG=1")

	log := filepath.Join(dir, "delta", "node.log")
	has := func(file, text string) func() bool {
		return func() bool {
			data, err := os.ReadFile(file)
			return err == nil && bytes.Contains(data, []byte(text))
		}
	}
	if err := os.Rename(log, log+"-20261130"); err != nil { // as logrotate does
		t.Fatal(err)
	}
	appendTo(t, config, "\nlog_level = \"debug\"\n")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node goes on in a new log at the level of node.toml", has(log, `"level":"DEBUG"`))
	m.told("WATCHDOG=1")
	appendTo(t, config, "log_level = \"twice\"\n") // settings that cannot be read change nothing
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the node says that the settings cannot be read", has(log, "settings of the log cannot be read"))
	m.told("WATCHDOG=1")

	began := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.told("STOPPING=1")
	if err := <-ended; err != nil {
		t.Errorf("a node that was told to end ends with %v: %s", err, said.String())
	}
	if took := time.Since(began); took > unitStopTimeout {
		t.Errorf("it took %v to end, and the unit allows %v", took, unitStopTimeout)
	}
}

// The log of a node is where nothing can be written: the node joins, serves and ends as any other.
func TestAFullDiskOfLogsStopsNoNode(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a network of processes")
	}
	t.Parallel()
	dir := t.TempDir()
	s := startNetwork(t, filepath.Join(dir, "net"), nil)
	defer func() { _ = s.Stop() }()
	config := joiner(t, dir, s.Info())
	if err := os.Symlink("/dev/full", filepath.Join(dir, "delta", "node.log")); err != nil {
		t.Fatal(err)
	}
	exe, err := exec.LookPath("coco")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "node", "join", "--config", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	eventually(t, "the node serves", func() bool {
		code, _ := runCoco(t, dir, "node", "status", "--config", config)
		return code == 0
	})
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// The nodes of a sandbox share a folder with their ledgers: their logs stay within bounds, however much is logged, and what a
// process says as it crashes is in the log that is there then.
func TestTheLogsOfASandboxStayWithinBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a network of processes")
	}
	t.Parallel()
	dir := t.TempDir()
	s := startNetwork(t, dir, nil)
	defer func() { _ = s.Stop() }()
	node := s.Info().Nodes[0]
	log := nodeconfig.Dir(node.Dir).Log()
	// As if the log had been written to for long: a hole takes no room on the disk.
	if err := os.Truncate(log, logfile.DefaultBytes+1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(node.Pid, syscall.SIGHUP); err != nil { // it reads the size again, and logs that it did
		t.Fatal(err)
	}
	eventually(t, "the node goes on in a new log", func() bool {
		st, err := os.Stat(log)
		old, olderr := os.Stat(log + ".1")
		return err == nil && olderr == nil && st.Size() < 1<<20 && old.Size() > logfile.DefaultBytes // it may have logged something in between
	})
	if resp, err := http.Get(node.HTTP + "/readyz"); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the node does not serve any more: %v, %v", resp, err)
	}
	if err := syscall.Kill(node.Pid, syscall.SIGQUIT); err != nil { // the runtime writes the stacks of a crash
		t.Fatal(err)
	}
	eventually(t, "the stacks are in the new log", func() bool {
		data, err := os.ReadFile(log)
		return err == nil && bytes.Contains(data, []byte("SIGQUIT: quit")) && bytes.Contains(data, []byte(fmt.Sprintf("%q:%q", "name", node.Name)))
	})
}
