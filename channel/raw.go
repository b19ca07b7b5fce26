package channel

import (
	"bufio"
	"net"

	"github.com/cocoframework/coco/host"
)

// rawConn is the byte stream under TLS. Package crypto/tls reads and writes one record at a time,
// a system call each; here reads are gathered always, and writes while the connection is corked.
type rawConn struct {
	net.Conn
	in *bufio.Reader // owned by the goroutine that reads the TLS connection, which locks

	writing host.Lock // held while writing, so that bytes keep their order; guards the fields below
	corked  bool
	out     []byte
}

const (
	readAhead = 64 << 10
	// corkSize is how much is gathered before it is sent.
	corkSize = 256 << 10
)

func newRawConn(c net.Conn) *rawConn {
	return &rawConn{Conn: c, in: bufio.NewReaderSize(c, readAhead), writing: host.NewLock()}
}

// Read is called by crypto/tls with the free part of the buffer in which it decrypts: the record before stands in it, and goes before this one is waited for.
func (r *rawConn) Read(p []byte) (int, error) {
	clear(p)
	return r.in.Read(p)
}

// Write is called by crypto/tls with its own lock held. It does not wait for the network while
// the connection is corked.
func (r *rawConn) Write(p []byte) (int, error) {
	r.writing.Lock()
	defer r.writing.Unlock()
	if !r.corked {
		return r.Conn.Write(p)
	}
	r.out = append(r.out, p...)
	return len(p), nil
}

// cork begins to gather writes.
func (r *rawConn) cork() {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.corked = true
}

// flush sends what was gathered if it is at least that much.
func (r *rawConn) flush(atLeast int) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	return r.send(atLeast)
}

// uncork sends what was gathered, and later writes at once.
func (r *rawConn) uncork() error {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.corked = false
	return r.send(0)
}

func (r *rawConn) send(atLeast int) error {
	if len(r.out) == 0 || len(r.out) < atLeast {
		return nil
	}
	_, err := r.Conn.Write(r.out)
	r.out = r.out[:0]
	return err
}

// abort closes a connection whose handshake failed. The last words of this side, an alert or a
// verdict, are with the host already.
func (r *rawConn) abort() { _ = r.Conn.Close() }
