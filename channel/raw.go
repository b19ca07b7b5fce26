package channel

import (
	"bufio"
	"net"
	"sync"
)

// rawConn is the byte stream under TLS. Package crypto/tls reads and writes one record at a time,
// a system call each; here reads are gathered always, and writes while the connection is corked.
type rawConn struct {
	net.Conn
	in *bufio.Reader // owned by whoever reads the TLS connection, which locks

	mu     sync.Mutex // held while writing, so that bytes keep their order
	corked bool
	out    []byte
}

const (
	readAhead = 64 << 10
	// corkSize is when gathered records go out by themselves.
	corkSize = 256 << 10
)

func newRawConn(c net.Conn) *rawConn { return &rawConn{Conn: c, in: bufio.NewReaderSize(c, readAhead)} }

func (r *rawConn) Read(p []byte) (int, error) { return r.in.Read(p) }

func (r *rawConn) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.corked {
		return r.Conn.Write(p)
	}
	r.out = append(r.out, p...)
	if len(r.out) >= corkSize {
		if err := r.flush(); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// cork begins to gather writes; uncork sends them.
func (r *rawConn) cork() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.corked = true
}

func (r *rawConn) uncork() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.corked = false
	return r.flush()
}

func (r *rawConn) flush() error {
	if len(r.out) == 0 {
		return nil
	}
	_, err := r.Conn.Write(r.out)
	r.out = r.out[:0]
	return err
}

// abort closes a connection whose handshake failed. The last words of this side, an alert or a
// verdict, are with the host already.
func (r *rawConn) abort() { _ = r.Conn.Close() }
