package snapshot

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/store"
)

// reader reads the body of a file from its beginning, as its frames say, and hashes it.
type reader struct {
	ctx    context.Context
	in     *bufio.Reader
	hash   hash.Hash
	at     int64
	header Header
	raw    []byte // the header's encoding
	block  []byte // reused
	short  bool   // a block of rows that is not full was met: it was the last one
}

// newReader reads magic and header.
func newReader(ctx context.Context, f io.ReaderAt, size int64) (*reader, error) {
	r := &reader{ctx: ctx, in: bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 256<<10), hash: sha256.New()}
	begin := make([]byte, len(magic)+4)
	if err := r.read(begin); err != nil {
		return nil, err
	}
	if string(begin[:len(magic)]) != magic {
		return nil, fmt.Errorf("it begins with %q, expected %q", begin[:len(magic)], magic)
	}
	n := binary.BigEndian.Uint32(begin[len(magic):])
	if n > maxHeader {
		return nil, fmt.Errorf("a header of %d bytes, at most %d are possible", n, maxHeader)
	}
	r.raw = make([]byte, n)
	if err := r.read(r.raw); err != nil {
		return nil, err
	}
	var err error
	if r.header, err = decodeHeader(r.raw); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	return r, nil
}

// read fills b.
func (r *reader) read(b []byte) error {
	n, err := io.ReadFull(r.in, b)
	r.at += int64(n)
	r.hash.Write(b[:n])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ends early, after %d bytes", r.at)
	}
	return unreadable(err)
}

// diskError is a file that could not be read, which says nothing about what is in it.
type diskError struct{ error }

func (e diskError) Unwrap() error { return e.error }

func unreadable(err error) error {
	if err == nil {
		return nil
	}
	return diskError{err}
}

// next reads the next block. It is valid until the next call.
func (r *reader) next() (kind byte, sealed []byte, err error) {
	if err := r.ctx.Err(); err != nil {
		return 0, nil, err
	}
	var head [frameHead]byte
	if err := r.read(head[:]); err != nil {
		return 0, nil, err
	}
	kind, n := head[0], binary.BigEndian.Uint32(head[1:])
	switch {
	case kind == kindEnd && n == endSize+tagSize:
	case kind == kindRows && !r.short && n > tagSize && n <= blockSize+tagSize:
		r.short = n < blockSize+tagSize
	default:
		return 0, nil, fmt.Errorf("a block of kind %d with %d bytes before byte %d", kind, n, r.at)
	}
	if cap(r.block) < int(n) {
		r.block = make([]byte, n)
	}
	r.block = r.block[:n]
	return kind, r.block, r.read(r.block)
}

// skip reads up to the end of the body.
func (r *reader) skip() error {
	for {
		kind, _, err := r.next()
		if err != nil || kind == kindEnd {
			return err
		}
	}
}

func (r *reader) digest() coco.Digest { return coco.Digest(r.hash.Sum(nil)) }

// plain gives the rows of the blocks as one stream.
type plain struct {
	*reader
	sealer *sealer
	rest   []byte
	bytes  uint64
	rows   uint64 // as the end block says
	ended  bool
}

func (p *plain) fill() error {
	for len(p.rest) == 0 {
		if p.ended {
			return io.EOF
		}
		kind, sealed, err := p.next()
		if err != nil {
			return err
		}
		if p.rest, err = p.sealer.open(kind, sealed); err != nil {
			return err
		}
		if kind == kindRows {
			p.bytes += uint64(len(p.rest))
			continue
		}
		p.rows, p.ended = binary.BigEndian.Uint64(p.rest), true
		if n := binary.BigEndian.Uint64(p.rest[8:]); n != p.bytes {
			return fmt.Errorf("%d bytes of rows, expected %d", p.bytes, n)
		}
		p.rest = nil
	}
	return nil
}

func (p *plain) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if err := p.fill(); err != nil {
		return 0, err
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *plain) ReadByte() (byte, error) {
	if err := p.fill(); err != nil {
		return 0, err
	}
	b := p.rest[0]
	p.rest = p.rest[1:]
	return b, nil
}

// Load fills an empty store with a snapshot's state. The digest is the one that the network recorded,
// and secret that of the header's epoch; see ReadHeader. A file with another digest, or that
// anything is wrong with, leaves the store empty; the error is then coco.ErrCorrupt.
func Load(ctx context.Context, disk host.Disk, name string, digest coco.Digest, secret [32]byte, dst *store.Store) (Header, error) {
	f, size, err := open(disk, name)
	if err != nil {
		return Header{}, err
	}
	defer f.Close()
	r, err := newReader(ctx, f, size)
	if err != nil {
		return Header{}, fault(name, err)
	}
	p := &plain{reader: r, sealer: newSealer(r.raw, &r.header, secret)}
	defer p.sealer.erase()
	to := dst.Restore(r.header.Seqno)
	if err := p.load(to); err != nil {
		to.Drop()
		return Header{}, fault(name, err)
	}
	if found := r.digest(); found != digest {
		to.Drop()
		return Header{}, corrupt(name, "its digest is %s, expected %s", found, digest)
	}
	return r.header, to.Done()
}

// load puts the rows.
func (p *plain) load(to *store.Restoration) error {
	rows := rowReader{in: p}
	for n := uint64(0); ; n++ {
		table, key, value, err := rows.next()
		switch {
		case errors.Is(err, io.EOF) && n != p.rows:
			return fmt.Errorf("%d rows, expected %d", n, p.rows)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := to.Put(table, key, value); err != nil {
			return err
		}
	}
}

// fault gives what went wrong its kind: a disk that fails and a caller that gives up are not the
// snapshot's.
func fault(name string, err error) error {
	var read diskError
	if errors.As(err, &read) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("snapshot %s: %w", name, err)
	}
	return corrupt(name, "%w", err)
}

// ReadHeader reads a file's header. It is what the file says: see Load and Verify.
func ReadHeader(disk host.Disk, name string) (Header, error) {
	f, size, err := open(disk, name)
	if err != nil {
		return Header{}, err
	}
	defer f.Close()
	r, err := newReader(context.Background(), f, size)
	if err != nil {
		return Header{}, fault(name, err)
	}
	return r.header, nil
}

// Verify reads a whole file without any key and returns its header, its digest, and the receipt that it
// carries; none if it is pending. It proves nothing by itself: the caller MUST verify the receipt
// and that what it claims equals Claims of the header, the digest and the body's size (File.Bytes).
func Verify(disk host.Disk, name string) (Header, coco.Digest, []byte, error) {
	f, err := Open(disk, name)
	if err != nil {
		return Header{}, coco.Digest{}, nil, err
	}
	defer f.Close()
	digest, err := f.Digest(context.Background())
	return f.header, digest, f.receipt, err
}

func isPending(name string) bool { return strings.HasSuffix(name, pending) }
