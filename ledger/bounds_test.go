package ledger

import (
	"errors"
	"io"
	"testing"

	"github.com/cocoframework/coco/batch"
)

// endless is a file of frames that is larger than any memory: it computes what is read.
type endless struct {
	frame []byte
	size  int64
}

func (e endless) ReadAt(b []byte, off int64) (int, error) {
	for i := range b {
		at := off + int64(i)
		if at >= e.size {
			return i, io.EOF
		}
		b[i] = e.frame[at%int64(len(e.frame))]
	}
	return len(b), nil
}
func (e endless) Size() (int64, error)             { return e.size, nil }
func (endless) WriteAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }
func (endless) Truncate(int64) error               { return errors.ErrUnsupported }
func (endless) Sync() error                        { return errors.ErrUnsupported }
func (endless) Close() error                       { return nil }

func TestReadingNeedsMemoryForOneFrame(t *testing.T) {
	frame := appendFrame(nil, batch.Entry{View: 1, Index: 1, Kind: batch.KindView, Data: make([]byte, 3<<20)})
	r, err := newFrameReader(endless{frame, 20 * int64(len(frame))}, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, off, err := r.next(); err != nil || off != int64(i*len(frame)) {
			t.Fatalf("frame %d at %d: %v", i, off, err)
		}
		r.expect = 1 // the same frame again
		if cap(r.buf) > len(frame)+windowSize {
			t.Fatalf("a buffer of %d bytes for frames of %d", cap(r.buf), len(frame))
		}
	}
	if _, _, err := r.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last: %v", err)
	}
	// A length that was altered must not make the reader ask for more than the file has.
	frame[0] = 0x0f
	r, err = newFrameReader(endless{frame, int64(len(frame))}, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.next(); !errors.As(err, new(*damage)) || cap(r.buf) > len(frame) {
		t.Errorf("an altered length: %v, a buffer of %d bytes", err, cap(r.buf))
	}
}
