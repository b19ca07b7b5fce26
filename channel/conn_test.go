package channel

import (
	"bufio"
	"bytes"
	"io"
	"testing"
	"testing/iotest"
)

// What is read from the buffer is not there any more, whatever pieces it is read in.
func TestWhatWasReadIsNotInTheBuffer(t *testing.T) {
	const size = 64
	text := bytes.Repeat([]byte("secret, "), 3*size/8)
	for name, how := range map[string]func(io.Reader) io.Reader{"in halves": iotest.HalfReader, "with its end": iotest.DataErrReader} {
		for _, piece := range []int{1, 7, size - 1, size, 2 * size} {
			in := forgetful{bufio.NewReaderSize(how(bytes.NewReader(text)), size)}
			var got []byte
			for {
				p := make([]byte, piece)
				if in.buffer.Buffered() == 0 && piece < size {
					if _, err := in.buffer.Peek(1); err != nil {
						break
					}
				}
				inBuffer, _ := in.buffer.Peek(min(piece, in.buffer.Buffered()))
				n, err := in.Read(p)
				got = append(got, p[:n]...)
				if len(bytes.Trim(inBuffer, "\x00")) > 0 {
					t.Fatalf("%s, in pieces of %d: the buffer has %q still", name, piece, inBuffer)
				}
				if err != nil {
					break
				}
			}
			if !bytes.Equal(got, text) {
				t.Errorf("%s, in pieces of %d: read %q", name, piece, got)
			}
		}
	}
}
