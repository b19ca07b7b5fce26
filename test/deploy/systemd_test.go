//go:build linux

package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	systemdFile = "/lib/systemd/systemd"
	unitsDir    = "/run/units" // where systemd looks for units, and nowhere else
)

// targets are what units depend on by default. Here they are empty: none of the machine's units is started.
var targets = []string{"sysinit", "basic", "shutdown", "umount", "multi-user", "network-online", "time-sync", "local-fs", "final", "exit", "default"}

// enterSystemd is called in new namespaces, and becomes systemd. What is written to the machine's folders is on a file system in memory.
func enterSystemd(spec []byte) error {
	var units map[string]string
	if err := json.Unmarshal(spec, &units); err != nil {
		return err
	}
	mount := func(source, target, kind, options string) error {
		if err := unix.Mount(source, target, kind, 0, options); err != nil {
			return fmt.Errorf("mount %s: %w", target, err)
		}
		return nil
	}
	err := errors.Join(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""), mount("proc", "/proc", "proc", ""), mount("tmpfs", "/run", "tmpfs", "mode=755"))
	for _, dir := range []string{"etc", "usr", "var"} {
		upper, work := "/run/overlay/"+dir+"/upper", "/run/overlay/"+dir+"/work"
		err = errors.Join(err, os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755), mount("overlay", "/"+dir, "overlay", "lowerdir=/"+dir+",upperdir="+upper+",workdir="+work))
	}
	for unix.Unmount("/sys/fs/cgroup", unix.MNT_DETACH) == nil { // as often as something is mounted there
	}
	err = errors.Join(err, mount("cgroup2", "/sys/fs/cgroup", "cgroup2", ""), os.MkdirAll(unitsDir, 0o755), os.MkdirAll("/run/systemd", 0o755))
	for name, text := range units {
		file := filepath.Join(unitsDir, name)
		err = errors.Join(err, os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644))
	}
	if err != nil {
		return err
	}
	return unix.Exec(systemdFile, []string{systemdFile, "--system", "--show-status=no", "--log-target=null"},
		[]string{"container=coco", "SYSTEMD_UNIT_PATH=" + unitsDir, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
}

func TestSystemdRunsANode(t *testing.T) {
	program := need(t)
	if _, err := os.Stat(systemdFile); err != nil {
		fmt.Printf("\n=== SKIP: %s: there is no systemd here\n\n", t.Name())
		t.Skip(err)
	}
	unit, err := os.ReadFile("../../deploy/systemd/coco-node@.service")
	if err != nil {
		t.Fatal(err)
	}
	units := map[string]string{
		"coco-node@.service":             string(unit),
		"coco-node@.service.d/test.conf": "[Service]\nWatchdogSec=3\nTimeoutAbortSec=1\nRestartSec=1\n", // shorter than in earnest
	}
	for _, name := range targets {
		units[name+".target"] = "[Unit]\nDefaultDependencies=no\n"
	}
	cmd := inStage(t.Context(), "systemd", units)
	log := new(said)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	defer func() {
		_ = cmd.Process.Kill() // and the kernel ends all others in there
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	eventually(t, "systemd answers", func() bool { return inside(t.Context(), pid, "systemctl", "list-units").Run() == nil })

	// What the manual says, step by step.
	n := newNetwork(t, program)
	keys := filepath.Join(t.TempDir(), "keys")
	n.ownerKeys(keys, 0, 0)
	shell := func(script string) string { return must(t, inside(t.Context(), pid, "sh", "-ec", script)) }
	sysusers, err := filepath.Abs("../../deploy/systemd/coco.conf")
	if err != nil {
		t.Fatal(err)
	}
	shell("install -m 755 " + program + " /usr/local/bin/coco")
	shell("install -m 644 " + sysusers + " /usr/lib/sysusers.d/ && systemd-sysusers coco.conf")
	shell("install -d -m 700 -o coco -g coco /var/lib/coco /etc/coco")
	shell("cd " + keys + " && install -m 600 -o coco -g coco owner.pem owner-key.pem /etc/coco/")
	as := func(args ...string) string {
		return must(t, inside(t.Context(), pid, append([]string{"runuser", "-u", "coco", "--", "/usr/local/bin/coco"}, args...)...))
	}
	const config = "/var/lib/coco/delta/node.toml"
	as(n.initArgs("/var/lib/coco/delta", "/etc/coco")...)
	approved := digest(t, as("node", "approve", "--config", config, "-o", "json"))
	as("node", "approve", "--config", config, "--approve", approved)

	const service = "coco-node@delta"
	systemctl := func(args ...string) *exec.Cmd {
		return inside(t.Context(), pid, append([]string{"systemctl"}, args...)...)
	}
	show := func(property string) string {
		return strings.TrimSpace(must(t, systemctl("show", service, "--value", "--property", property)))
	}
	becomes := func(property, value string) {
		t.Helper()
		eventually(t, property+" of the service is "+value, func() bool { return show(property) == value })
	}
	must(t, systemctl("start", "--no-block", service))
	becomes("ActiveState", "active")
	eventually(t, "the node is ready", n.ready)
	if text := show("StatusText"); !strings.HasPrefix(text, "admitted as node") {
		t.Errorf("systemctl status says %q", text)
	}
	if user := shell("stat -c %U /proc/" + show("MainPID")); user != "coco\n" {
		t.Errorf("the process is %q's", user)
	}
	n.put("key")

	must(t, systemctl("reload", service))
	time.Sleep(100 * time.Millisecond) // a process that a signal ends has ended by then
	if state, restarts := show("ActiveState"), show("NRestarts"); state != "active" || restarts != "0" {
		t.Errorf("after reload: %s, started again %s times", state, restarts)
	}

	// It starts again within the service: same process, another node.
	before := show("MainPID")
	as("restart", "--config", config)
	if state, pid, restarts := show("ActiveState"), show("MainPID"), show("NRestarts"); state != "active" || pid != before || restarts != "0" {
		t.Errorf("after `coco restart`: %s, process %s, started again %s times; want active, %s, 0", state, pid, restarts, before)
	}
	eventually(t, "the node is ready after a restart", n.ready)

	// A process that stands still is started again. systemd has it abort, as a fault of the program would.
	old := show("MainPID")
	shell("kill -STOP " + old)
	eventually(t, "systemd starts another process", func() bool { return show("MainPID") != old && show("ActiveState") == "active" })
	eventually(t, "the node is ready again", n.ready)
	if got := show("NRestarts"); got != "1" {
		t.Errorf("the service was started again %s times, want once", got)
	}

	// Settings that cannot be are not tried again.
	shell("cp " + config + " /run/node.toml && echo surprise = 1 >> " + config)
	if err := systemctl("restart", service).Run(); err == nil {
		t.Error("the node starts with settings that it does not know")
	}
	becomes("ActiveState", "failed")
	time.Sleep(2 * time.Second) // RestartSec is 1
	if state, status := show("ActiveState"), show("ExecMainStatus"); state != "failed" || status != "2" {
		t.Errorf("a node with settings that cannot be is %s, exit code %s", state, status)
	}
	shell("cat /run/node.toml > " + config)
	must(t, systemctl("start", service)) // it returns when the node serves
	if !n.ready() {
		t.Error("the service is started, and the node not ready")
	}

	began := time.Now()
	must(t, systemctl("stop", service))
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	if state, result, status := show("ActiveState"), show("Result"), show("ExecMainStatus"); state != "inactive" || result != "success" || status != "0" {
		t.Errorf("after stop: %s, %s, exit code %s", state, result, status)
	}
}
