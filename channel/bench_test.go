package channel

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cocoframework/coco/host/local"
)

// BenchmarkFrames sends frames one way over loopback, some at a time.
func BenchmarkFrames(b *testing.B) {
	for _, c := range []struct{ size, batch int }{{100, 1}, {100, 64}, {600, 64}, {512 << 10, 1}, {64 << 20, 1}} {
		b.Run(fmt.Sprintf("%dx%d", c.batch, c.size), func(b *testing.B) {
			s, r := benchPair(b)
			frames := make([][]byte, c.batch)
			for i := range frames {
				frames[i] = make([]byte, c.size)
			}
			b.SetBytes(int64(c.size))
			go func() {
				for i := 0; i < b.N; i += c.batch {
					if err := s.WriteFrames(frames[:min(c.batch, b.N-i)]); err != nil {
						b.Error(err)
						return
					}
				}
			}()
			var buf []byte
			for range b.N {
				var err error
				if buf, err = r.ReadFrameInto(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRoundTrip sends one small frame and waits for its answer.
func BenchmarkRoundTrip(b *testing.B) {
	s, c := benchPair(b)
	frame := [][]byte{make([]byte, 300)}
	go func() {
		for range b.N {
			f, err := s.ReadFrame()
			if err == nil {
				err = s.WriteFrames([][]byte{f})
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	}()
	for range b.N {
		if err := c.WriteFrames(frame); err != nil {
			b.Fatal(err)
		}
		if _, err := c.ReadFrame(); err != nil {
			b.Fatal(err)
		}
	}
}

func benchPair(b *testing.B) (s, c *Conn) {
	sid, err1 := NewIdentity(true)
	cid, err2 := NewIdentity(true)
	l, err3 := local.Net{}.Listen("127.0.0.1:0")
	if err := errors.Join(err1, err2, err3); err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	done := make(chan outcome)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			done <- outcome{nil, err}
			return
		}
		conn, err := PeerServer(b.Context(), raw, sid, anyone, Options{})
		done <- outcome{conn, err}
	}()
	raw, err := local.Net{}.Dial(b.Context(), l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	c, err = PeerClient(b.Context(), raw, cid, anyone, Options{})
	o := <-done
	if err := errors.Join(err, o.err); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _, _ = o.conn.Close(), c.Close() })
	return o.conn, c
}
