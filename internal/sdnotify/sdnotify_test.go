//go:build unix

package sdnotify

import (
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"
)

func TestTheServiceManagerIsTold(t *testing.T) {
	if err := Tell(Ready); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
	dir, err := os.MkdirTemp("", "sd") // a socket's name is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	names := []string{filepath.Join(dir, "notify")}
	if runtime.GOOS == "linux" {
		names = append(names, "@coco-sdnotify-test-"+strconv.Itoa(os.Getpid()))
	}
	for _, name := range names {
		socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		t.Setenv("NOTIFY_SOCKET", name)
		if err := Tell(Ready, Status("two\nlines")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 100)
		n, err := socket.Read(got)
		if err != nil || string(got[:n]) != "READY=1\nSTATUS=two lines" {
			t.Errorf("%s: %q, %v", name, got[:n], err)
		}
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(dir, "gone"))
	if err := Tell(Ready); err == nil {
		t.Error("a socket that is not there is no error")
	}
}

func TestTheWatchdogIsThisProcesss(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0},
		{"30000000", "", 30 * time.Second},
		{"30000000", strconv.Itoa(os.Getpid()), 30 * time.Second},
		{"30000000", "1", 0},
		{"soon", "", 0},
	} {
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		if got := Watchdog(); got != c.want {
			t.Errorf("WATCHDOG_USEC=%s WATCHDOG_PID=%s: %v, want %v", c.usec, c.pid, got, c.want)
		}
	}
}
