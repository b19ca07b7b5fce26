//go:build linux

package deploy

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// image is what a Containerfile says, as far as ours says anything.
type image struct {
	root        string // its files
	uid, gid    int
	dir         string // WORKDIR
	volumes     []string
	entry, args []string
	health      []string
	stop        string
}

// build makes an image of a Containerfile and the folder that it is built from. It knows the instructions that our file
// has, in the forms that it has them in, and refuses all others.
func build(t *testing.T, file, from string) *image {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	im := &image{root: filepath.Join(t.TempDir(), "root")}
	if err := os.Mkdir(im.root, 0o755); err != nil {
		t.Fatal(err)
	}
	list := func(text string) (words []string) {
		if err := json.Unmarshal([]byte(text), &words); err != nil {
			t.Fatalf("%s: %s is no list of strings: a shell would be needed, and there is none: %v", file, text, err)
		}
		return words
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "FROM":
			if rest != "scratch" {
				t.Fatalf("FROM %s", rest)
			}
		case "COPY":
			im.copy(t, from, strings.Fields(rest))
		case "USER":
			if _, err := fmt.Sscanf(rest, "%d:%d", &im.uid, &im.gid); err != nil {
				t.Fatalf("USER %s: no names are known without /etc/passwd: %v", rest, err)
			}
		case "WORKDIR":
			im.dir = rest
		case "VOLUME":
			im.volumes = list(rest)
		case "STOPSIGNAL":
			im.stop = rest
		case "ENTRYPOINT":
			im.entry = list(rest)
		case "CMD":
			im.args = list(rest)
		case "HEALTHCHECK":
			options, cmd, _ := strings.Cut(rest, " CMD ")
			im.health = list(cmd)
			if !strings.Contains(options, "--timeout=") {
				t.Errorf("HEALTHCHECK %s", options)
			}
		case "EXPOSE":
		default:
			t.Fatalf("%s: %s is not known to this test", file, word)
		}
	}
	return im
}

// copy is COPY [--chown=UID:GID] [--chmod=MODE] SOURCE DESTINATION.
func (im *image) copy(t *testing.T, from string, words []string) {
	t.Helper()
	uid, gid, mode := 0, 0, os.FileMode(0)
	for strings.HasPrefix(words[0], "--") {
		option, value, _ := strings.Cut(words[0], "=")
		var err error
		switch option {
		case "--chown":
			_, err = fmt.Sscanf(value, "%d:%d", &uid, &gid)
		case "--chmod":
			var bits uint64
			bits, err = strconv.ParseUint(value, 8, 12)
			mode = os.FileMode(bits)
		default:
			err = errors.New("not known to this test")
		}
		if err != nil {
			t.Fatalf("COPY %s: %v", words[0], err)
		}
		words = words[1:]
	}
	source, to := filepath.Join(from, words[0]), filepath.Join(im.root, words[1])
	st, err := os.Stat(source)
	if err != nil {
		t.Fatal(err)
	}
	if st.IsDir() {
		if entries, err := os.ReadDir(source); err != nil || len(entries) > 0 {
			t.Fatalf("COPY %s: expected an empty folder: %v, %v", words[0], entries, err)
		}
		mode |= 0o755 // what tools give it, whatever --chmod says
		err = os.Mkdir(to, mode)
	} else {
		var data []byte
		if data, err = os.ReadFile(source); err == nil {
			err = os.WriteFile(to, data, mode)
		}
	}
	if err := errors.Join(err, os.Chmod(to, mode), os.Chown(to, uid, gid)); err != nil {
		t.Fatal(err)
	}
}

// container says how a process is contained.
type container struct {
	Root     string
	Volumes  map[string]string // folder in the container → folder outside
	ReadOnly map[string]string // the same, which cannot be written to
	UID, GID int
	Dir      string
	Args     []string
}

// enterContainer does what a container tool does: it is called in new namespaces, and becomes the contained process. The root is read-only and
// holds /proc beside the image, and volumes; the user has no capabilities and gets none.
func enterContainer(spec []byte) error {
	var c container
	if err := json.Unmarshal(spec, &c); err != nil {
		return err
	}
	runtime.LockOSThread()
	mount := func(source, target, kind string, flags uintptr) error {
		if err := unix.Mount(source, target, kind, flags, ""); err != nil {
			return fmt.Errorf("mount %s: %w", target, err)
		}
		return nil
	}
	if err := errors.Join(mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE), mount(c.Root, c.Root, "", unix.MS_BIND)); err != nil {
		return err
	}
	bind := func(to, from string, flags uintptr) error {
		to = filepath.Join(c.Root, to)
		return errors.Join(os.MkdirAll(to, 0o755), mount(from, to, "", unix.MS_BIND), mount("", to, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV|flags))
	}
	var err error
	for to, from := range c.Volumes {
		err = errors.Join(err, bind(to, from, 0))
	}
	for to, from := range c.ReadOnly {
		err = errors.Join(err, bind(to, from, unix.MS_RDONLY))
	}
	proc := filepath.Join(c.Root, "proc")
	err = errors.Join(err, os.MkdirAll(proc, 0o555), mount("proc", proc, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC),
		mount("", c.Root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV),
		unix.Chdir(c.Root), unix.PivotRoot(".", "."), unix.Unmount(".", unix.MNT_DETACH), unix.Chdir(c.Dir))
	if err != nil {
		return err
	}
	for capability := uintptr(0); capability <= unix.CAP_LAST_CAP; capability++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0); err != nil && err != unix.EINVAL { // the kernel may know fewer
			return err
		}
	}
	err = errors.Join(syscall.Setgroups(nil), syscall.Setresgid(c.GID, c.GID, c.GID), syscall.Setresuid(c.UID, c.UID, c.UID), unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	if err != nil {
		return err
	}
	return unix.Exec(c.Args[0], c.Args, []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
}

// said is what a process says, while it says it.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestANodeRunsInAContainer(t *testing.T) {
	program := need(t)
	f, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 || slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Fatalf("%s is not static: %v, %v", program, libraries, err)
	}
	from := filepath.Join(t.TempDir(), "context")
	lay := exec.Command("../../.ci/image")
	lay.Env = append(os.Environ(), "PROGRAM="+program, "CONTEXT="+from, "TOOL=none")
	must(t, lay)
	im := build(t, "../../deploy/container/Containerfile", from)
	if im.uid == 0 || im.gid == 0 || im.stop != "SIGTERM" || !slices.Equal(im.volumes, []string{"/state"}) {
		t.Errorf("user %d:%d, stop signal %s, volumes %v", im.uid, im.gid, im.stop, im.volumes)
	}
	if got := tree(t, im.root); !slices.Equal(got, []string{"coco -r-xr-xr-x 0:0", "state drwxr-xr-x 65532:65532"}) {
		t.Errorf("the image holds %q", got)
	}

	n := newNetwork(t, program)
	keys := filepath.Join(t.TempDir(), "keys")
	n.ownerKeys(keys, im.uid, im.gid)
	volume := t.TempDir() // a new volume has the owner and the mode of what the image has there
	if err := errors.Join(os.Chown(volume, im.uid, im.gid), os.Chmod(volume, 0o755)); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) *exec.Cmd {
		return inStage(t.Context(), "container", container{
			Root: im.root, Volumes: map[string]string{"/state": volume}, ReadOnly: map[string]string{"/keys": keys},
			UID: im.uid, GID: im.gid, Dir: im.dir, Args: append(slices.Clone(im.entry), args...),
		})
	}
	must(t, run(n.initArgs("/state", "/keys")...))
	approved := digest(t, must(t, run("node", "approve", "--config", "/state/node.toml", "-o", "json")))
	must(t, run("node", "approve", "--config", "/state/node.toml", "--approve", approved))
	files := tree(t, im.root)

	for life := range 2 {
		log := new(said)
		cmd := run(im.args...)
		cmd.Stdout, cmd.Stderr = log, log
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		pid := cmd.Process.Pid
		healthy := func() error {
			check := inside(t.Context(), pid, append([]string{"--setuid", strconv.Itoa(im.uid), "--setgid", strconv.Itoa(im.gid)}, im.health...)...)
			out, err := check.CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		}
		func() {
			defer func() {
				if t.Failed() {
					t.Log(log.String())
				}
			}()
			eventually(t, "the health check passes", func() bool {
				select {
				case err := <-ended:
					t.Fatalf("the container ended: %v", err)
				default:
				}
				return healthy() == nil
			})
			eventually(t, "the node is ready", n.ready)
			n.put(fmt.Sprintf("key-%d", life))
			checkContained(t, pid, im)
			if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the node reads the settings of its log again", func() bool { return strings.Contains(log.String(), "with the settings of node.toml") })
			if err := healthy(); err != nil {
				t.Errorf("after SIGHUP: %v", err)
			}
			began := time.Now()
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Errorf("the container ended with %v", err)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("the node took %v to end: container tools kill after 10 s", took)
			}
			if text := log.String(); life > 0 && (strings.Contains(text, "ledger_set_aside") || strings.Contains(text, "ledger_cut")) {
				t.Error("the ledger in the volume was of no use to the second container")
			}
		}()
		for _, file := range []string{"node.toml", "service.pem", "ledger/ledger_1"} {
			st, err := os.Stat(filepath.Join(volume, file))
			if err != nil || st.Sys().(*syscall.Stat_t).Uid != uint32(im.uid) {
				t.Errorf("the volume's %s: %v", file, err)
			}
		}
		if now := tree(t, im.root); !slices.Equal(now, files) {
			t.Errorf("the image has become %q, it was %q", now, files)
		}
	}
}

// checkContained checks what the kernel says of the contained process.
func checkContained(t *testing.T, pid int, im *image) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]string{}
	for line := range strings.Lines(string(status)) {
		key, value, _ := strings.Cut(line, ":")
		lines[key] = strings.Join(strings.Fields(value), " ")
	}
	id := func(n int) string { return strings.TrimSpace(strings.Repeat(strconv.Itoa(n)+" ", 4)) }
	for key, want := range map[string]string{
		"Uid": id(im.uid), "Gid": id(im.gid), "Groups": "", "NoNewPrivs": "1", "NSpid": fmt.Sprintf("%d 1", pid),
		"CapEff": "0000000000000000", "CapBnd": "0000000000000000", "CapPrm": "0000000000000000",
	} {
		if lines[key] != want {
			t.Errorf("%s of the process: %q, want %q", key, lines[key], want)
		}
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		t.Fatal(err)
	}
	var writable []string
	for line := range strings.Lines(string(mounts)) {
		words := strings.Fields(line) // proc(5): the fifth is where it is mounted, the sixth its options
		if words[4] != "/proc" && !slices.Contains(strings.Split(words[5], ","), "ro") {
			writable = append(writable, words[4])
		}
	}
	if !slices.Equal(writable, im.volumes) {
		t.Errorf("the process can write below %v, and the volumes are %v:\n%s", writable, im.volumes, mounts)
	}
}

// tree lists what is below a folder, with modes and owners.
func tree(t *testing.T, dir string) (list []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		owner := st.Sys().(*syscall.Stat_t)
		list = append(list, fmt.Sprintf("%s %v %d:%d", name, st.Mode(), owner.Uid, owner.Gid))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
