//go:build unix

package client

import (
	"errors"
	"net"
	"syscall"
)

// alive reports whether an idle connection is still open. A node that died has closed it, and
// nothing else may arrive on a connection that waits for no answer, so anything to read means
// that it is of no use. Peeking does not block and costs one system call.
func alive(c net.Conn) bool {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		open = errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EWOULDBLOCK)
		return true
	})
	return err == nil && open
}
