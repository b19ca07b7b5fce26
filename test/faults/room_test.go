//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	// programEnv names the coco program. Without it nothing here runs: it takes minutes.
	programEnv = "COCO_FAULTS"
	// roomEnv is set in the room, to the folder for everything that is made there.
	roomEnv = "COCO_FAULTS_ROOM"
	// keepEnv, if set, leaves the folder with ledgers and logs behind.
	keepEnv = "COCO_FAULTS_KEEP"
)

// whyNot is why real faults are impossible here; empty if they are possible.
var whyNot string

// TestMain runs the tests in a room: this program once more, as the first process of a process
// namespace, with network and mounts of its own. When that process ends, in whatever way, the kernel
// ends all others in there, takes the links down and the mounts away. It ends when this one does.
func TestMain(m *testing.M) { os.Exit(enter(m)) }

func enter(m *testing.M) int {
	switch {
	case os.Getenv(programEnv) == "":
		whyNot = "real faults take minutes: run `make test-faults`"
		return m.Run()
	case os.Getenv(roomEnv) == "":
		return outside(m)
	}
	if err := furnish(); err != nil {
		loudly(err)
	}
	code := m.Run()
	figures.print(os.Stdout)
	return code
}

// loudly notes that nothing can be tested, where nobody can overlook it.
func loudly(err error) {
	whyNot = err.Error()
	fmt.Printf("\n=== SKIP: NO REAL FAULTS ARE TESTED HERE: %v\n=== Run this as root on Linux, with iproute2 installed.\n\n", err)
}

// outside makes the room and waits for what happens in it.
func outside(m *testing.M) int {
	dir, err := os.MkdirTemp("", fmt.Sprintf("coco-faults-%d-", os.Getpid()))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer leave(dir)
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	runtime.LockOSThread() // the system's word on the parent's end looks at the thread, not at the process
	cmd, err := openRoom(ctx, dir, 0)
	if err != nil { // some systems let everybody be root in a room of their own
		cmd, err = openRoom(ctx, dir, unix.CLONE_NEWUSER)
	}
	if err != nil {
		loudly(fmt.Errorf("no namespaces of our own (user id %d): %w", os.Getuid(), err))
		return m.Run()
	}
	err = cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Println("the tests' process:", err)
		return 1
	}
	return 0
}

// openRoom starts this program once more, in new namespaces: the usual ones and those of flags.
func openRoom(ctx context.Context, dir string, flags uintptr) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), roomEnv+"="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | flags,
		Pdeathsig:  unix.SIGKILL,
	}
	if flags&unix.CLONE_NEWUSER != 0 {
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	return cmd, cmd.Start()
}

func leave(dir string) {
	if os.Getenv(keepEnv) != "" {
		fmt.Println("kept:", dir)
		return
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Println(err)
	}
}

// furnish makes the room's network, and keeps its mounts from the rest of the machine.
func furnish() error {
	if _, err := exec.LookPath("ip"); err != nil {
		return fmt.Errorf("no program `ip`: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("no mounts of our own: %w", err)
	}
	return makeHub()
}

// need skips a test where real faults are impossible.
func need(t *testing.T) {
	t.Helper()
	if whyNot != "" {
		t.Skip(whyNot)
	}
}
