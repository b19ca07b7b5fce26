package nodecmd

import (
	"net"
	"testing"
	"time"
)

// Clients that fill a node's connections must not have the service manager end it: whoever can reach the listener could.
func TestAProcessThatHangsUpLives(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() { // as the gateway, whose connections are all taken
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	for range 20 { // the kernel ends such a connection in several ways
		if err := lives(t.Context(), l.Addr().String(), 10*time.Second); err != nil {
			t.Fatalf("a listener that closes each connection at once counts as one that does not answer: %v", err)
		}
	}
}

// A process that is stuck has its connections accepted by the kernel, and says nothing.
func TestAProcessThatSaysNothingDoesNotLive(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if lives(t.Context(), l.Addr().String(), 200*time.Millisecond) == nil {
		t.Error("a listener that nobody serves counts as one that answers")
	}
}
