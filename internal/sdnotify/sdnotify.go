// Package sdnotify tells a service manager how a process is, by the protocol of sd_notify(3): datagrams of lines
// KEY=VALUE to the unix socket that the environment names.
//
//	systemd ── NOTIFY_SOCKET, WATCHDOG_USEC ──▶ process ── READY=1, STATUS=…, WATCHDOG=1, STOPPING=1 ──▶ systemd
//
// Without such a socket nothing is told, and no error: a process need not know what started it.
//
// Trust: host
package sdnotify

import (
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// What is told; see sd_notify(3).
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
	Alive    = "WATCHDOG=1"
)

// Status is one line for people, shown by `systemctl status`.
func Status(text string) string {
	return "STATUS=" + strings.ReplaceAll(text, "\n", " ")
}

// Tell sends what is told, all at once. The error is that of the socket.
func Tell(what ...string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	// A name that begins with @ is in the abstract namespace; package net translates it.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(strings.Join(what, "\n")))
	return err
}

// Watchdog is how often at least Alive must be told, or the service manager ends the process; 0 if it does not watch it.
func Watchdog() time.Duration {
	us, err := strconv.ParseUint(os.Getenv("WATCHDOG_USEC"), 10, 63)
	if pid := os.Getenv("WATCHDOG_PID"); err != nil || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return time.Duration(us) * time.Microsecond
}
