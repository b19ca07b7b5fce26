package channel

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

const (
	// DefaultMaxFrame is the longest frame unless Options says otherwise.
	DefaultMaxFrame = 64 << 20
	// frameHeader is the length of a frame, u32 big-endian, ahead of its bytes.
	frameHeader = 4
	// trustedLength is how much memory a length alone can claim before its bytes arrive.
	trustedLength = 4 << 20
	// record is the most that one TLS record carries (RFC 8446, 5.1).
	record = 16 << 10
)

// Conn carries frames between two nodes. One goroutine may read while others write. Any error of
// reading or writing is final for that direction, deadlines included: a frame may be half way.
type Conn struct {
	raw     *rawConn
	tls     *tls.Conn
	peer    PeerCert
	binding []byte
	max     int

	// Owned by the reading goroutine.
	in      forgetful
	header  [frameHeader]byte
	readErr error

	writing  host.Lock // held while writing, guards the fields below
	out      []byte    // plaintext gathered into full records
	writeErr error
}

func newConn(raw *rawConn, t *tls.Conn, opts Options) *Conn {
	limit := opts.MaxFrame
	if limit <= 0 {
		limit = DefaultMaxFrame
	}
	return &Conn{raw: raw, tls: t, max: limit, in: forgetful{bufio.NewReaderSize(t, 2*record)}, writing: host.NewLock()}
}

// Peer returns the certificate of the other side.
func (c *Conn) Peer() PeerCert { return c.peer }

// Binding returns BindingSize bytes that only the two sides of this connection know. A statement that names them
// was made for this connection. The caller MUST NOT modify them.
func (c *Conn) Binding() []byte { return c.binding }

// ReadFrame returns the next frame, in memory of its own that the caller may keep. It returns
// io.EOF when the connection ends between two frames; since the host can cut it anywhere, that
// says no more than any other error.
func (c *Conn) ReadFrame() ([]byte, error) { return c.readFrame(nil, c.max) }

// ReadFrameInto is ReadFrame into the memory of buf, as far as its capacity goes: the contents of
// buf are lost, and the frame is valid until the caller uses buf again.
func (c *Conn) ReadFrameInto(buf []byte) ([]byte, error) { return c.readFrame(buf, c.max) }

func (c *Conn) readFrame(buf []byte, limit int) ([]byte, error) {
	if c.readErr != nil {
		return nil, c.readErr
	}
	b, err := readFrame(c.in, c.header[:], buf, limit)
	if err != nil {
		c.readErr = err
		return nil, err
	}
	return b, nil
}

// forgetful is a buffered reader whose buffer keeps nothing of what was read: a frame may hold a secret, and the last one of a connection would stay.
type forgetful struct{ buffer *bufio.Reader }

func (f forgetful) Read(p []byte) (int, error) {
	if f.buffer.Buffered() == 0 {
		if len(p) >= f.buffer.Size() {
			return f.buffer.Read(p) // past the buffer
		}
		if _, err := f.buffer.Peek(min(1, len(p))); err != nil {
			return 0, err
		}
	}
	b, err := f.buffer.Peek(min(len(p), f.buffer.Buffered()))
	n := copy(p, b)
	clear(b)
	_, _ = f.buffer.Discard(n)
	return n, err
}

// readFrame reads one frame of at most limit bytes. The header is room for frameHeader bytes.
func readFrame(r io.Reader, header, buf []byte, limit int) ([]byte, error) {
	if n, err := io.ReadFull(r, header); err != nil {
		if n == 0 && errors.Is(err, io.ErrUnexpectedEOF) { // how crypto/tls reports a cut connection
			err = io.EOF
		}
		return nil, err
	}
	length := binary.BigEndian.Uint32(header)
	if uint64(length) > uint64(limit) {
		return nil, fmt.Errorf("%w: frame of %d bytes: expected at most %d", coco.ErrCorrupt, length, limit)
	}
	// A long frame's memory grows with the bytes that arrive.
	buf = buf[:0]
	for need := int(length); len(buf) < need; {
		have := len(buf)
		if cap(buf) < need {
			grown := make([]byte, have, min(need, max(2*have, trustedLength)))
			copy(grown, buf)
			clear(buf) // it may hold a secret
			buf = grown
		}
		buf = buf[:min(need, cap(buf))]
		if _, err := io.ReadFull(r, buf[have:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return buf, nil
}

// WriteFrames sends frames in order, gathered into as few records and system calls as they fit
// in. The frames are the caller's again when it returns. It returns once the bytes are with the
// host, which says nothing about their arrival.
func (c *Conn) WriteFrames(frames [][]byte) error {
	for i, frame := range frames {
		if len(frame) > c.max {
			return fmt.Errorf("%w: frame %d of %d bytes: expected at most %d", coco.ErrInvalid, i, len(frame), c.max)
		}
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.writeErr == nil {
		c.writeErr = c.writeFrames(frames)
	}
	return c.writeErr
}

func (c *Conn) writeFrames(frames [][]byte) error {
	c.raw.cork()
	total := 0
	for _, frame := range frames {
		total += frameHeader + len(frame)
	}
	c.out = slices.Grow(c.out, min(total, record)) // while it is empty: growing later would leave a copy
	for _, frame := range frames {
		if len(c.out)+frameHeader > record {
			if err := c.flushRecord(); err != nil {
				return err
			}
		}
		c.out = binary.BigEndian.AppendUint32(c.out, uint32(len(frame)))
		for len(frame) > 0 {
			if len(c.out) == record {
				if err := c.flushRecord(); err != nil {
					return err
				}
			}
			if len(c.out) == 0 && len(frame) >= record { // full records need no copy
				n := min(len(frame)-len(frame)%record, corkSize)
				if err := c.writeRecords(frame[:n]); err != nil {
					return err
				}
				frame = frame[n:]
				continue
			}
			n := min(len(frame), record-len(c.out))
			c.out = append(c.out, frame[:n]...)
			frame = frame[n:]
		}
	}
	if err := c.flushRecord(); err != nil {
		return err
	}
	return c.raw.uncork()
}

func (c *Conn) flushRecord() error {
	err := c.writeRecords(c.out)
	clear(c.out) // it may have held a secret
	c.out = c.out[:0]
	return err
}

// writeRecords encrypts, and sends when enough has come together. Package crypto/tls locks while it
// encrypts; that lock is never held during network I/O.
func (c *Conn) writeRecords(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if _, err := c.tls.Write(b); err != nil {
		return err
	}
	return c.raw.flush(corkSize)
}

// Close ends the connection at once, without waiting for what the peer has yet to receive. Reads
// and writes that are under way fail. If the last frame held a secret, whoever read it reads once more: that fails, and clears what package tls has decrypted.
func (c *Conn) Close() error { return c.raw.Close() }

// SetDeadline bounds reads and writes; see net.Conn.
func (c *Conn) SetDeadline(t time.Time) error { return c.raw.SetDeadline(t) }

// SetReadDeadline bounds reads; see net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.raw.SetReadDeadline(t) }

// SetWriteDeadline bounds writes; see net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.raw.SetWriteDeadline(t) }

// LocalAddr returns this side's address.
func (c *Conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// RemoteAddr returns the peer's address, as the host tells it.
func (c *Conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }
