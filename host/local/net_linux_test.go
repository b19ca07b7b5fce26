package local

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

func TestADialledPeerMayNotBeSilentForLong(t *testing.T) {
	l, err := Net{}.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Net{}.Dial(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var got int
	if cerr := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }); cerr != nil || err != nil {
		t.Fatal(cerr, err)
	}
	if int64(got) != silent.Milliseconds() {
		t.Errorf("a connection lasts %d ms without an acknowledgement, want %v", got, silent)
	}
}
