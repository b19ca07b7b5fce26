package budget

import (
	"fmt"
	"io"

	"github.com/cocoframework/coco"
)

// ErrLimit says that a reply would be larger than one reply may be. It is of kind coco.ErrInvalid.
var ErrLimit = fmt.Errorf("%w: the reply is too large", coco.ErrInvalid)

// partSize is how much memory a buffer takes at a time.
const partSize = 64 << 10

// Buffer is a reply that is being built, in parts that are never copied: what it holds is what it claims. It belongs
// to one goroutine at a time.
type Buffer struct {
	claim *Claim
	limit int // of size; 0: none
	size  int // bytes written
	taken int // bytes claimed
	parts [][]byte
}

// NewBuffer returns an empty buffer whose memory is taken from a claim, which may be nil, and which refuses more than
// limit bytes with ErrLimit; 0 is no limit.
func NewBuffer(claim *Claim, limit int) *Buffer { return &Buffer{claim: claim, limit: limit} }

// Len is how many bytes were written.
func (b *Buffer) Len() int { return b.size }

// Room returns an empty slice with a capacity of n bytes or more, for Keep. The error is ErrLimit if the n bytes are
// beyond the buffer's limit, and of kind coco.ErrBusy if they do not fit into the claim.
func (b *Buffer) Room(n int) ([]byte, error) {
	if b.limit > 0 && b.size+n > b.limit {
		return nil, fmt.Errorf("%w: expected at most %d bytes", ErrLimit, b.limit)
	}
	if last := len(b.parts) - 1; last >= 0 && cap(b.parts[last])-len(b.parts[last]) >= n {
		return b.parts[last][len(b.parts[last]):], nil
	}
	// Small replies take little; later parts grow with what is there already.
	size := max(n, min(partSize, max(b.size, 512)))
	if err := b.claim.Take(size); err != nil {
		return nil, err
	}
	b.taken += size
	b.parts = append(b.parts, make([]byte, 0, size))
	return b.parts[len(b.parts)-1], nil
}

// Keep makes what was appended to the slice of the last Room a part of the reply.
func (b *Buffer) Keep(p []byte) {
	last := &b.parts[len(b.parts)-1]
	if free := (*last)[len(*last):]; len(p) > cap(free) { // more than there was room for: append has moved it
		b.claim.Must(cap(p))
		b.taken += cap(p)
		b.parts = append(b.parts, p)
	} else {
		*last = (*last)[:len(*last)+len(p)]
	}
	b.size += len(p)
}

// Adopt moves all that another buffer of the same claim holds to the end of this one.
func (b *Buffer) Adopt(o *Buffer) {
	b.parts, b.size, b.taken = append(b.parts, o.parts...), b.size+o.size, b.taken+o.taken
	o.parts, o.size, o.taken = nil, 0, 0
}

// Truncate drops what was written beyond n bytes.
func (b *Buffer) Truncate(n int) {
	for b.size > n {
		last := len(b.parts) - 1
		p := b.parts[last]
		if drop := b.size - n; drop < len(p) {
			b.parts[last], b.size = p[:len(p)-drop], n
			return
		}
		b.parts, b.size, b.taken = b.parts[:last], b.size-len(p), b.taken-cap(p)
		b.claim.Give(cap(p))
	}
}

// Append adds what fn appends to its argument: at most n bytes. Errors are those of Room.
func (b *Buffer) Append(n int, fn func([]byte) []byte) error {
	room, err := b.Room(n)
	if err != nil && b.limit > 0 && b.limit-b.size < n { // n is a bound: what comes may fit
		return b.tight(n, fn, err)
	}
	if err != nil {
		return err
	}
	b.Keep(fn(room))
	return nil
}

// tight is Append near the limit: the bytes are made first, outside of the reply, and then counted.
func (b *Buffer) tight(n int, fn func([]byte) []byte, refused error) error {
	if err := b.claim.Take(n); err != nil {
		return err
	}
	defer b.claim.Give(n)
	if p := fn(make([]byte, 0, n)); b.size+len(p) <= b.limit {
		_, err := b.Write(p)
		return err
	}
	return refused
}

// Write implements io.Writer. Errors are those of Room.
func (b *Buffer) Write(p []byte) (int, error) {
	room, err := b.Room(len(p))
	if err != nil {
		return 0, err
	}
	b.Keep(append(room, p...))
	return len(p), nil
}

// WriteString implements io.StringWriter.
func (b *Buffer) WriteString(s string) (int, error) {
	room, err := b.Room(len(s))
	if err != nil {
		return 0, err
	}
	b.Keep(append(room, s...))
	return len(s), nil
}

// Own makes memory that the caller has built, and does not use again, a part of the reply. Errors are those of Room.
func (b *Buffer) Own(p []byte) error {
	if b.limit > 0 && b.size+len(p) > b.limit {
		return fmt.Errorf("%w: expected at most %d bytes", ErrLimit, b.limit)
	}
	if err := b.claim.Take(cap(p)); err != nil {
		return err
	}
	b.parts, b.size, b.taken = append(b.parts, p), b.size+len(p), b.taken+cap(p)
	return nil
}

// Must adds bytes that are in memory already, and counts them even where they do not fit into the claim or the limit.
func (b *Buffer) Must(p []byte) {
	b.claim.Must(len(p))
	b.taken += len(p)
	b.parts, b.size = append(b.parts, append(make([]byte, 0, len(p)), p...)), b.size+len(p)
}

// WriteTo implements io.WriterTo. Each part is given back once it is written: the buffer is empty afterwards.
func (b *Buffer) WriteTo(w io.Writer) (n int64, err error) {
	for i, p := range b.parts {
		if err == nil && len(p) > 0 {
			var k int
			k, err = w.Write(p)
			n += int64(k)
		}
		b.taken -= cap(p)
		b.claim.Give(cap(p))
		b.parts[i] = nil
	}
	b.parts, b.size = nil, 0
	return n, err
}

// Bytes returns a copy of what was written.
func (b *Buffer) Bytes() []byte {
	out := make([]byte, 0, b.size)
	for _, p := range b.parts {
		out = append(out, p...)
	}
	return out
}

// Release gives the memory back. The buffer is empty afterwards.
func (b *Buffer) Release() {
	if b == nil {
		return
	}
	b.claim.Give(b.taken)
	b.parts, b.size, b.taken = nil, 0, 0
}
