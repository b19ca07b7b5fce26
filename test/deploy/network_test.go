//go:build linux

package deploy

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cocoframework/coco/internal/localnet"
)

// programEnv names the coco program, which must be static. Without it nothing here runs.
const programEnv = "COCO_DEPLOY"

// stages are what this program does as the first process of namespaces, by the value of stageEnv.
var stages = map[string]func(spec []byte) error{"container": enterContainer, "systemd": enterSystemd}

const stageEnv, specEnv = "COCO_DEPLOY_STAGE", "COCO_DEPLOY_SPEC"

func TestMain(m *testing.M) {
	if stage := os.Getenv(stageEnv); stage != "" {
		err := stages[stage]([]byte(os.Getenv(specEnv)))
		fmt.Fprintf(os.Stderr, "%s: %v\n", stage, err) // it returns on an error only
		os.Exit(125)
	}
	os.Exit(m.Run())
}

// need returns the program, and skips a test where it cannot run.
func need(t *testing.T) (program string) {
	t.Helper()
	program = os.Getenv(programEnv)
	if program == "" {
		t.Skip("it starts networks: run `make test-deploy`")
	}
	if err := inNamespaces(t.Context(), "true").Run(); err != nil {
		fmt.Printf("\n=== SKIP: %s IS NOT TESTED HERE: no namespaces of our own (user id %d): %v\n=== Run this as root on Linux.\n\n", t.Name(), os.Getuid(), err)
		t.Skip("no namespaces")
	}
	return program
}

// inNamespaces is a command that is the first process of a process namespace, with mounts of its own.
func inNamespaces(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP}
	return cmd
}

// inStage is this program in namespaces, which does what a stage says.
func inStage(ctx context.Context, stage string, spec any) *exec.Cmd {
	text, _ := json.Marshal(spec)
	cmd := inNamespaces(ctx, "/proc/self/exe")
	cmd.Env = []string{stageEnv + "=" + stage, specEnv + "=" + string(text), "PATH=" + os.Getenv("PATH")}
	return cmd
}

// inside is a command in the namespaces, and below the root, of a process.
func inside(ctx context.Context, pid int, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(pid), "--mount", "--pid", "--ipc", "--uts", "--cgroup"}, args...)...)
}

// must runs a command, and returns what it wrote to its standard output.
func must(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s%s", cmd.Args, err, out, said.String())
	}
	return string(out)
}

// network is a network of `coco up`, and a node of its member alpha that is to join it.
type network struct {
	t            *testing.T
	program      string
	info         localnet.Info
	peer, client string // where the node listens
}

func newNetwork(t *testing.T, program string) *network {
	t.Helper()
	n := &network{t: t, program: program}
	dir := filepath.Join(t.TempDir(), "net")
	t.Cleanup(func() {
		if out, err := exec.Command(program, "down", "--dir", dir).CombinedOutput(); err != nil {
			t.Errorf("%s: %v", out, err)
		}
	})
	must(t, exec.CommandContext(t.Context(), program, "up", "--dir", dir, "--detach"))
	var err error
	if n.info, err = localnet.Load(dir); err != nil {
		t.Fatal(err)
	}
	for _, at := range []*string{&n.peer, &n.client} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close() // after all are drawn
		*at = ln.Addr().String()
	}
	return n
}

// ownerKeys makes, in a folder, what the node's owner starts it with, for a user.
func (n *network) ownerKeys(dir string, uid, gid int) {
	n.t.Helper()
	org := localnet.Layout{Dir: n.info.Dir}.Member("alpha")
	must(n.t, exec.CommandContext(n.t.Context(), n.program, "member", "keygen", "alpha", "--under", string(org), "--out", dir, "--for", "nodes"))
	if err := os.Chmod(dir, 0o755); err != nil {
		n.t.Fatal(err)
	}
	for _, name := range []string{"owner.pem", "owner-key.pem"} {
		if err := os.Chown(filepath.Join(dir, name), uid, gid); err != nil {
			n.t.Fatal(err)
		}
	}
}

// initArgs are those of `coco node init`, for a node whose owner's keys are in a folder.
func (n *network) initArgs(folder, keys string) []string {
	return []string{
		"node", "init", folder, "--name", "delta", "--owner-cert", keys + "/owner.pem", "--owner-key", keys + "/owner-key.pem",
		"--peer", n.peer, "--client", n.client, "--join", n.info.Nodes[0].Peer, "--ask", n.info.Nodes[0].Client,
	}
}

// digest reads the digest of the constitution from what `coco node approve -o json` says.
func digest(t *testing.T, said string) string {
	t.Helper()
	var id struct{ Constitution string }
	if err := json.Unmarshal([]byte(said), &id); err != nil || id.Constitution == "" {
		t.Fatalf("%s: %v", said, err)
	}
	return id.Constitution
}

// put writes a key through a member's loopback URL.
func (n *network) put(key string) {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), http.MethodPut, n.info.Nodes[1].HTTP+"/app/kv/"+key, bytes.NewReader([]byte("value")))
	if err != nil {
		n.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode/100 != 2 {
		n.t.Fatalf("%d %s", resp.StatusCode, text)
	}
}

// ready reports whether the node's /readyz says that it serves.
func (n *network) ready() bool {
	c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}, Timeout: 5 * time.Second}
	resp, err := c.Get("https://" + n.client + "/readyz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// eventually looks again until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
