package local

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// silent is for how long a peer that was dialled may leave unacknowledged what it was sent. TCP alone
// goes on for a quarter of an hour, and tries after ever longer pauses: when a cut network is whole
// again, a connection that was cut for a minute may take another minute to notice.
const silent = 5 * time.Second

// hurry makes a connection end when its peer is silent for too long. If the system does not know
// the option, the connection works without.
func hurry(c net.Conn) {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silent.Milliseconds()))
	})
}
