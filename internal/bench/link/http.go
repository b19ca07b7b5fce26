package link

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/cocoframework/coco"
)

// HTTP speaks HTTP/1.1 on one connection that is kept alive.
type HTTP struct {
	stream
	host   string
	post   []byte // a JSON-RPC request up to the value of its Content-Length
	closes bool   // the server said that it closes after this reply
}

func newHTTP(s stream, a address) *HTTP {
	return &HTTP{
		stream: s,
		host:   a.host,
		post:   []byte("POST " + a.path + " HTTP/1.1\r\nHost: " + a.host + "\r\nContent-Type: application/json\r\nContent-Length: "),
	}
}

var errClosed = errors.New("the server closed the connection")

func (l *HTTP) Call(body []byte) ([]byte, error) {
	if l.closes {
		return nil, errClosed
	}
	l.out = append(l.out[:0], l.post...)
	l.out = strconv.AppendInt(l.out, int64(len(body)), 10)
	l.out = append(l.out, "\r\n\r\n"...)
	l.out = append(l.out, body...)
	return l.finish()
}

// Do sends any request with a body, which may be empty.
func (l *HTTP) Do(method, path string, body []byte) ([]byte, error) {
	if l.closes {
		return nil, errClosed
	}
	l.out = append(l.out[:0], method...)
	l.out = append(l.out, ' ')
	l.out = append(l.out, path...)
	l.out = append(l.out, " HTTP/1.1\r\nHost: "...)
	l.out = append(l.out, l.host...)
	if len(body) > 0 {
		l.out = append(l.out, "\r\nContent-Type: application/octet-stream\r\nContent-Length: "...)
		l.out = strconv.AppendInt(l.out, int64(len(body)), 10)
	}
	l.out = append(l.out, "\r\n\r\n"...)
	l.out = append(l.out, body...)
	return l.finish()
}

func (l *HTTP) finish() ([]byte, error) {
	if err := l.write(); err != nil {
		return nil, err
	}
	code, err := l.read()
	if err != nil {
		return nil, err
	}
	if code != 200 && code != 201 && code != 204 { // 202 says that the answer is being prepared
		return nil, newStatusError(code, l.in)
	}
	return l.in, nil
}

// read reads one reply into in. It knows what RFC 9112 lets a server send to a request such as
// ours: interim replies, a body by length, by chunks or up to the connection's end, or none.
func (l *HTTP) read() (int, error) {
	for {
		h, err := readHead(l.r)
		if err != nil {
			return 0, err
		}
		if h.code < 200 {
			continue
		}
		l.in, l.closes = l.in[:0], h.closes
		switch {
		case h.code == 204 || h.code == 304:
		case h.chunked:
			err = l.readChunks()
		case h.length >= 0:
			err = l.readN(h.length)
		default:
			l.closes = true
			err = l.readAll()
		}
		return h.code, err
	}
}

// head is what matters of a reply's head.
type head struct {
	code    int
	length  int // -1: not given
	chunked bool
	closes  bool
	accept  []byte // Sec-WebSocket-Accept
}

const maxHeaderLines = 100

func readHead(r *bufio.Reader) (head, error) {
	h := head{length: -1}
	line, err := readLine(r)
	if err != nil {
		return h, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' {
		return h, fmt.Errorf("%w: reply: expected a status line of HTTP/1.1, found %q", coco.ErrCorrupt, cut(line))
	}
	if h.code, err = strconv.Atoi(string(line[9:12])); err != nil || h.code < 100 {
		return h, fmt.Errorf("%w: reply: status %q", coco.ErrCorrupt, line[9:12])
	}
	h.closes = line[7] == '0'
	for range maxHeaderLines {
		if line, err = readLine(r); err != nil {
			return h, err
		}
		if len(line) == 0 {
			return h, nil
		}
		key, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case is(key, "content-length"):
			n, err := strconv.ParseUint(string(value), 10, 32)
			if err != nil || n > maxReply {
				return h, fmt.Errorf("%w: reply: Content-Length %q: expected at most %d", coco.ErrCorrupt, cut(value), maxReply)
			}
			h.length = int(n)
		case is(key, "transfer-encoding"):
			h.chunked = is(value, "chunked")
		case is(key, "connection"):
			h.closes = is(value, "close")
		case is(key, "sec-websocket-accept"):
			h.accept = bytes.Clone(value)
		}
	}
	return h, fmt.Errorf("%w: reply: more than %d header lines", coco.ErrCorrupt, maxHeaderLines)
}

// is compares without regard to case; want is lower-case ASCII.
func is(s []byte, want string) bool {
	if len(s) != len(want) {
		return false
	}
	for i, c := range s {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != want[i] {
			return false
		}
	}
	return true
}

// readLine returns a line without its end. It is valid until the next read.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("%w: reply: a header line of more than %d bytes", coco.ErrCorrupt, len(line))
	}
	if err != nil {
		return nil, unexpected(err)
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

func (s *stream) readChunks() error {
	for {
		line, err := readLine(s.r)
		if err != nil {
			return err
		}
		size, _, _ := bytes.Cut(line, []byte(";"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(size)), 16, 32)
		if err != nil || n > uint64(maxReply-len(s.in)) {
			return fmt.Errorf("%w: reply: chunk of size %q after %d bytes: expected at most %d in all", coco.ErrCorrupt, cut(size), len(s.in), maxReply)
		}
		if n == 0 {
			break
		}
		if err := s.readN(int(n)); err != nil {
			return err
		}
		if line, err = readLine(s.r); err != nil {
			return err
		}
		if len(line) != 0 {
			return fmt.Errorf("%w: reply: expected the end of a chunk, found %q", coco.ErrCorrupt, cut(line))
		}
	}
	for range maxHeaderLines { // trailers
		if line, err := readLine(s.r); err != nil || len(line) == 0 {
			return err
		}
	}
	return fmt.Errorf("%w: reply: more than %d trailers", coco.ErrCorrupt, maxHeaderLines)
}

func (s *stream) readAll() error {
	rest, err := io.ReadAll(io.LimitReader(s.r, maxReply+1))
	if err == nil && len(rest) > maxReply {
		err = fmt.Errorf("%w: reply: more than %d bytes", coco.ErrCorrupt, maxReply)
	}
	s.in = append(s.in, rest...)
	return err
}

func readFull(r *bufio.Reader, b []byte) (int, error) {
	n, err := io.ReadFull(r, b)
	return n, unexpected(err)
}

// unexpected makes an end of input where more had to come an error of its own.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func cut(b []byte) []byte { return b[:min(len(b), 64)] }
