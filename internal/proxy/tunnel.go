package proxy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// tunnel is one upgraded connection. What comes from the node is followed frame by frame (RFC 6455, section 5.2), if it is a WebSocket, so that the client is told by a close
// frame, and not by a connection that breaks off, that its subscriptions have ended.
type tunnel struct {
	down    net.Conn
	up      io.ReadWriteCloser
	frames  bool        // it is a WebSocket
	leaving atomic.Bool // the proxy ends
}

// The status codes of RFC 6455, section 7.4.1, and of the IANA registry: what clients that connect again by themselves do so for.
const (
	statusGoingAway      = 1001
	statusServiceRestart = 1012
)

// farewell bounds the time for writing a close frame.
const farewell = 2 * time.Second

// run copies both ways and returns once both ways have ended; the end of one ends the other.
func (t *tunnel) run(down *bufio.Reader) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(t.up, down)
		t.up.Close()
	}()
	if !t.frames {
		_, _ = io.Copy(t.down, t.up)
	} else if closed, err := copyFrames(t.down, t.up); !closed && errors.Is(err, errBetween) {
		t.sayFarewell()
	}
	t.close()
	<-done
}

// sayFarewell writes a close frame of the proxy's own.
func (t *tunnel) sayFarewell() {
	code, reason := uint16(statusServiceRestart), "the node was lost: connect and subscribe again"
	if t.leaving.Load() {
		code, reason = statusGoingAway, "the proxy ends"
	}
	frame := []byte{finalFrame | opClose, byte(2 + len(reason))}
	frame = append(binary.BigEndian.AppendUint16(frame, code), reason...)
	_ = t.down.SetWriteDeadline(time.Now().Add(farewell))
	_, _ = t.down.Write(frame) // to a client that may have gone
}

// leave ends the tunnel from the proxy's side.
func (t *tunnel) leave() {
	t.leaving.Store(true)
	t.up.Close()
}

func (t *tunnel) close() {
	t.down.Close()
	t.up.Close()
}

const (
	finalFrame = 0x80
	opClose    = 8
	masked     = 0x80
)

// errBetween is the end of a stream that ends between two frames.
var errBetween = errors.New("the stream of frames ended between two frames")

// copyFrames copies frames until src ends. closed says that a close frame was among them. The error is errBetween if dst has whole frames only.
func copyFrames(dst io.Writer, src io.Reader) (closed bool, err error) {
	r := bufio.NewReaderSize(src, 32<<10)
	w := bufio.NewWriterSize(dst, 32<<10)
	for {
		head, size, err := readFrameHead(r)
		if err != nil {
			if len(head) > 0 {
				_ = w.Flush() // the client gets what is whole
				return closed, err
			}
			return closed, errBetween
		}
		closed = closed || head[0]&0x0f == opClose
		if _, err := w.Write(head); err != nil {
			return closed, err
		}
		if _, err := io.CopyN(w, r, size); err != nil {
			_ = w.Flush() // the client sees as much as there was
			return closed, err
		}
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return closed, err
			}
		}
	}
}

// readFrameHead returns the bytes of a frame's header, as far as they came, and the size of what follows it.
func readFrameHead(r *bufio.Reader) (head []byte, size int64, err error) {
	var buf [14]byte
	n, err := io.ReadFull(r, buf[:2])
	if err != nil {
		return buf[:n], 0, err
	}
	more := 0
	switch length := buf[1] &^ masked; length {
	case 126:
		more = 2
	case 127:
		more = 8
	default:
		size = int64(length)
	}
	if buf[1]&masked != 0 {
		more += 4
	}
	n, err = io.ReadFull(r, buf[2:2+more])
	head = buf[:2+n]
	if err != nil {
		return head, 0, err
	}
	switch buf[1] &^ masked {
	case 126:
		size = int64(binary.BigEndian.Uint16(buf[2:]))
	case 127:
		size = int64(binary.BigEndian.Uint64(buf[2:]))
		if size < 0 {
			return head, 0, errors.New("a frame's size has its highest bit set")
		}
	}
	return head, size, nil
}
