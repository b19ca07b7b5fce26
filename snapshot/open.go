package snapshot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// File is a snapshot file that is open for reading, to verify it or to hand it on. ReadAt may be
// called by several goroutines.
type File struct {
	name    string
	file    host.File
	size    int64 // of the body
	header  Header
	receipt []byte
}

// Open opens a file whose final name says that it is whole, or a pending one. It reads the header and
// the trailer and trusts neither.
func Open(disk host.Disk, name string) (*File, error) {
	f, size, err := open(disk, name)
	if err != nil {
		return nil, err
	}
	s := &File{name: name, file: f}
	r, err := newReader(context.Background(), f, size)
	if err == nil {
		s.header = r.header
		if isPending(name) {
			// Something may stand behind the body: a Confirm that did not end.
			if err = r.skip(); err == nil {
				s.size = r.at
			}
		} else {
			s.size, s.receipt, err = readTrailer(f, size)
		}
	}
	if err != nil {
		f.Close()
		return nil, fault(name, err)
	}
	return s, nil
}

// Header returns what the file says of itself.
func (s *File) Header() Header { return s.header }

// Bytes returns the size of the body, which is what other nodes need: it is the same everywhere.
func (s *File) Bytes() uint64 { return uint64(s.size) }

// Receipt returns the receipt of the transaction by which the network recorded the snapshot; nil if the
// file is pending.
func (s *File) Receipt() []byte { return s.receipt }

// ReadAt reads the body.
func (s *File) ReadAt(b []byte, off int64) (int, error) {
	return io.NewSectionReader(s.file, 0, s.size).ReadAt(b, off)
}

// Digest reads the whole body and returns its digest.
func (s *File) Digest(ctx context.Context) (coco.Digest, error) {
	_, digest, err := s.Read(ctx)
	return digest, err
}

// Read reads the whole body and returns the header in it, and its digest. The header need not be that of Header: a host may answer each read in another way.
func (s *File) Read(ctx context.Context) (Header, coco.Digest, error) {
	r, err := newReader(ctx, s.file, s.size)
	if err == nil {
		err = r.skip()
	}
	if err == nil && r.at != s.size {
		err = fmt.Errorf("the body ends after %d bytes, expected %d", r.at, s.size)
	}
	if err != nil {
		return Header{}, coco.Digest{}, fault(s.name, err)
	}
	return r.header, r.digest(), nil
}

// Close closes the file.
func (s *File) Close() error { return s.file.Close() }

// appendTrailer appends the trailer of a body of a size.
func appendTrailer(b, receipt []byte, body uint64) []byte {
	b = binary.BigEndian.AppendUint32(append(b, kindReceipt), uint32(len(receipt)))
	return binary.BigEndian.AppendUint64(append(b, receipt...), body)
}

// readTrailer finds the trailer from the file's end. It returns the size of the body.
func readTrailer(f io.ReaderAt, size int64) (int64, []byte, error) {
	var end [bodyField]byte
	if size < int64(len(end)) {
		return 0, nil, fmt.Errorf("it ends early, after %d bytes", size)
	}
	if err := readAt(f, end[:], size-bodyField); err != nil {
		return 0, nil, err
	}
	body := binary.BigEndian.Uint64(end[:])
	rest := uint64(size) - body // of the trailer
	if body > uint64(size) || rest < frameHead+bodyField || rest > frameHead+maxReceipt+bodyField {
		return 0, nil, fmt.Errorf("no receipt at its end: it ends early, or something was appended")
	}
	b := make([]byte, rest-bodyField)
	if err := readAt(f, b, int64(body)); err != nil {
		return 0, nil, err
	}
	if n := binary.BigEndian.Uint32(b[1:]); b[0] != kindReceipt || int(n) != len(b)-frameHead {
		return 0, nil, fmt.Errorf("no receipt at its end: it ends early, or something was appended")
	}
	return int64(body), b[frameHead:], nil
}

// readAt fills b. A host.File may return io.EOF together with the last bytes.
func readAt(f io.ReaderAt, b []byte, off int64) error {
	if n, err := f.ReadAt(b, off); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			return fmt.Errorf("it ends early, after %d bytes", off+int64(n))
		}
		return unreadable(err)
	}
	return nil
}
