package link

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
)

// webSocket sends JSON-RPC over a WebSocket (RFC 6455), one text message a request. Masks are zero:
// they protect intermediaries from hostile scripts, and here is neither.
type webSocket struct{ stream }

// Opcodes of RFC 6455, section 5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

const (
	finBit  = 0x80
	maskBit = 0x80
)

func (l *webSocket) upgrade(a address) error {
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce) // never fails
	key := base64.StdEncoding.EncodeToString(nonce)
	l.out = append(l.out[:0], "GET "+a.path+" HTTP/1.1\r\nHost: "+a.host+"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+key+"\r\n\r\n"...)
	if err := l.write(); err != nil {
		return err
	}
	h, err := readHead(l.r)
	if err != nil {
		return err
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	if h.code != 101 || string(h.accept) != base64.StdEncoding.EncodeToString(sum[:]) {
		return fmt.Errorf("%w: WebSocket handshake at %s: expected status 101 with the key's digest, found status %d", coco.ErrCorrupt, a.path, h.code)
	}
	return nil
}

func (l *webSocket) Call(body []byte) ([]byte, error) {
	l.frame(opText, body)
	if err := l.write(); err != nil {
		return nil, err
	}
	l.in = l.in[:0]
	for started := false; ; {
		op, fin, n, err := l.readFrameHead()
		if err != nil {
			return nil, err
		}
		if op >= opClose {
			if err := l.control(op, fin, n); err != nil {
				return nil, err
			}
			continue
		}
		if started != (op == opContinuation) || n > uint64(maxReply-len(l.in)) || op > opBinary {
			return nil, fmt.Errorf("%w: WebSocket frame of kind %d and %d bytes after %d bytes", coco.ErrCorrupt, op, n, len(l.in))
		}
		if err := l.readN(int(n)); err != nil {
			return nil, err
		}
		if fin {
			return l.in, nil
		}
		started = true
	}
}

// frame renders one whole, masked message into out.
func (l *webSocket) frame(op byte, payload []byte) {
	l.out = append(l.out[:0], finBit|op)
	switch n := len(payload); {
	case n < 126:
		l.out = append(l.out, maskBit|byte(n))
	case n <= 0xffff:
		l.out = append(l.out, maskBit|126)
		l.out = binary.BigEndian.AppendUint16(l.out, uint16(n))
	default:
		l.out = append(l.out, maskBit|127)
		l.out = binary.BigEndian.AppendUint64(l.out, uint64(n))
	}
	l.out = append(l.out, 0, 0, 0, 0)
	l.out = append(l.out, payload...)
}

func (l *webSocket) readFrameHead() (op byte, fin bool, n uint64, err error) {
	var b [8]byte
	if _, err = readFull(l.r, b[:2]); err != nil {
		return 0, false, 0, err
	}
	op, fin, n = b[0]&0x0f, b[0]&finBit != 0, uint64(b[1]&^maskBit)
	if b[0]&0x70 != 0 || b[1]&maskBit != 0 {
		return 0, false, 0, fmt.Errorf("%w: WebSocket frame head %x: reserved bits or a mask from the server", coco.ErrCorrupt, b[:2])
	}
	switch n {
	case 126:
		_, err = readFull(l.r, b[:2])
		n = uint64(binary.BigEndian.Uint16(b[:2]))
	case 127:
		_, err = readFull(l.r, b[:8])
		n = binary.BigEndian.Uint64(b[:8])
	}
	return op, fin, n, err
}

var errWebSocketClosed = errors.New("the server closed the WebSocket")

func (l *webSocket) control(op byte, fin bool, n uint64) error {
	if n > 125 || !fin {
		return fmt.Errorf("%w: WebSocket control frame of %d bytes: expected at most 125 in one frame", coco.ErrCorrupt, n)
	}
	var payload [125]byte
	if _, err := readFull(l.r, payload[:n]); err != nil {
		return err
	}
	switch op {
	case opClose:
		return errWebSocketClosed
	case opPing:
		l.frame(opPong, payload[:n])
		return l.write()
	case opPong:
		return nil
	}
	return fmt.Errorf("%w: WebSocket frame of unknown kind %d", coco.ErrCorrupt, op)
}
