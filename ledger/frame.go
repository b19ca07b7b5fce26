package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
)

const (
	frameSum  = 4 + 4         // len and crc
	frameMeta = 1 + 8 + 8     // kind, view and index
	frameHead = frameSum + 17 // all before the data
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends an entry's frame.
func appendFrame(b []byte, e batch.Entry) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(frameMeta+len(e.Data)))
	b = append(b, 0, 0, 0, 0)
	b = append(b, byte(e.Kind))
	b = binary.BigEndian.AppendUint64(b, e.View)
	b = binary.BigEndian.AppendUint64(b, e.Index)
	b = append(b, e.Data...)
	binary.BigEndian.PutUint32(b[start+4:], frameCRC(b[start:]))
	return b
}

// frameCRC returns the checksum that a whole frame must carry.
func frameCRC(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:4], castagnoli), castagnoli, frame[frameSum:])
}

// frameSize returns the size of the frame that begins like this, or false where no frame does.
func frameSize(head []byte) (int64, bool) {
	n := binary.BigEndian.Uint32(head)
	return frameSum + int64(n), n >= frameMeta && n <= frameMeta+batch.MaxData
}

// parseFrame reads a whole frame. The entry's data aliases it.
func parseFrame(frame []byte) (batch.Entry, error) {
	if len(frame) < frameHead {
		return batch.Entry{}, errors.New("the bytes end early")
	}
	if size, ok := frameSize(frame); !ok || size != int64(len(frame)) {
		return batch.Entry{}, errors.New("the frame's length is wrong")
	}
	if got, want := frameCRC(frame), binary.BigEndian.Uint32(frame[4:]); got != want {
		return batch.Entry{}, fmt.Errorf("the frame's checksum is %08x, its contents give %08x", want, got)
	}
	e := batch.Entry{
		Kind:  batch.Kind(frame[8]),
		View:  binary.BigEndian.Uint64(frame[9:]),
		Index: binary.BigEndian.Uint64(frame[17:]),
		Data:  frame[frameHead:len(frame):len(frame)],
	}
	if !e.Kind.Valid() {
		return batch.Entry{}, fmt.Errorf("entry of %s, which this version of Coco does not know", e.Kind)
	}
	return e, nil
}

// windowSize is how much a frameReader reads at once, unless a frame is larger.
const windowSize = 1 << 20

// frameReader reads the frames of one file in order, in memory that the largest frame bounds.
type frameReader struct {
	file   host.File
	size   int64  // of the file
	off    int64  // of the next frame
	expect uint64 // the index of the next frame's entry
	buf    []byte // contents of the file from start
	start  int64
	retry  int // how often a damaged frame is read again: it may be being written
}

// newFrameReader reads frames from the beginning of a file; first is the index of the first.
func newFrameReader(file host.File, first uint64, retry int) (*frameReader, error) {
	size, err := file.Size()
	return &frameReader{file: file, size: size, expect: first, retry: retry}, err
}

// damage says that no valid frame is where one was expected.
type damage struct {
	off    int64
	index  uint64
	reason string
	frame  []byte // what is there, as far as it has a length; valid until the next read
}

func (d *damage) Error() string {
	return fmt.Sprintf("offset %d: entry %d: %s", d.off, d.index, d.reason)
}

// next returns the next entry, whose data is valid until the next call, and its offset. It returns
// io.EOF where the frames end properly: at the file's end, or where only zeros follow. A *damage
// tells anything else, unless reading failed.
func (r *frameReader) next() (batch.Entry, int64, error) {
	e, err := r.try()
	for i := 0; i < r.retry && mayBeWritten(err); i++ {
		if r.size, err = r.file.Size(); err != nil {
			break
		}
		r.buf = r.buf[:0]
		e, err = r.try()
	}
	if err != nil {
		return batch.Entry{}, r.off, err
	}
	off := r.off
	r.off += frameHead + int64(len(e.Data))
	r.expect++
	return e, off, nil
}

// mayBeWritten tells whether the error may be due to a writer of the file at this moment.
func mayBeWritten(err error) bool {
	var bad *damage
	return errors.As(err, &bad) || errors.Is(err, io.ErrUnexpectedEOF)
}

// try is next without reading again, and without moving on.
func (r *frameReader) try() (batch.Entry, error) {
	bad := func(reason string, frame []byte) (batch.Entry, error) {
		return batch.Entry{}, &damage{off: r.off, index: r.expect, reason: reason, frame: frame}
	}
	if r.off == r.size {
		return batch.Entry{}, io.EOF
	}
	head, err := r.at(r.off, min(frameHead, r.size-r.off))
	if err != nil {
		return batch.Entry{}, err
	}
	if len(head) < 4 || binary.BigEndian.Uint32(head) == 0 {
		zero, err := r.zeroFrom(r.off)
		switch {
		case err != nil:
			return batch.Entry{}, err
		case !zero:
			return bad("there is no frame, but something follows", nil)
		}
		return batch.Entry{}, io.EOF
	}
	size, ok := frameSize(head)
	if !ok {
		return bad("there is no frame: its length is impossible", nil)
	}
	if size > r.size-r.off {
		frame, err := r.at(r.off, r.size-r.off)
		if err != nil {
			return batch.Entry{}, err
		}
		return bad(fmt.Sprintf("the frame is incomplete: it has %d bytes, the file ends after %d of them", size, r.size-r.off), frame)
	}
	frame, err := r.at(r.off, size)
	if err != nil {
		return batch.Entry{}, err
	}
	e, err := parseFrame(frame)
	switch {
	case err != nil:
		return bad(err.Error(), frame)
	case e.Index != r.expect:
		return bad(fmt.Sprintf("the frame holds entry %d", e.Index), frame)
	}
	return e, nil
}

// at returns n bytes of the file, which must have them. They are valid until the next call.
func (r *frameReader) at(off, n int64) ([]byte, error) {
	if off < r.start || off+n > r.start+int64(len(r.buf)) {
		want := min(max(n, windowSize), r.size-off)
		if int64(cap(r.buf)) < want {
			r.buf = make([]byte, want)
		}
		r.buf, r.start = r.buf[:want], off
		if err := readFull(r.file, r.buf, off); err != nil {
			r.buf = r.buf[:0]
			return nil, err
		}
	}
	return r.buf[off-r.start:][:n:n], nil
}

// readFull reads exactly len(b) bytes.
func readFull(f io.ReaderAt, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("read %d bytes at offset %d: %w", len(b), off, err)
}

// zeroFrom tells whether the file holds nothing but zeros from the offset on.
func (r *frameReader) zeroFrom(off int64) (bool, error) {
	for off < r.size {
		b, err := r.at(off, min(windowSize, r.size-off))
		if err != nil {
			return false, err
		}
		for _, c := range b {
			if c != 0 {
				return false, nil
			}
		}
		off += int64(len(b))
	}
	return true, nil
}

// validAfter tells the offset of a valid frame of a later entry than the damaged one, if there is
// any in the rest of the file.
func (r *frameReader) validAfter(bad *damage) (off int64, found bool, err error) {
	const span = 1 << 20 // how far ahead a later entry's index may be
	for off = bad.off + 1; off+frameHead <= r.size; off++ {
		head, err := r.at(off, frameHead)
		if err != nil {
			return 0, false, err
		}
		size, ok := frameSize(head)
		index := binary.BigEndian.Uint64(head[17:])
		if !ok || size > r.size-off || !batch.Kind(head[8]).Valid() || index <= bad.index || index-bad.index > span {
			continue
		}
		frame, err := r.at(off, size)
		if err != nil {
			return 0, false, err
		}
		if _, err := parseFrame(frame); err == nil {
			return off, true, nil
		}
	}
	return 0, false, nil
}
