package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/store"
)

// Info is a snapshot file.
type Info struct {
	Index   uint64
	Seqno   uint64
	Digest  coco.Digest // of the body; zero if the file was only listed
	Bytes   uint64      // of the body; as the file says, if it was only listed
	Pending bool        // whole, but without the network's evidence
}

// Write writes the state to a file in a folder of the disk, ending with the name of a pending one. h is
// complete but for Version and Archives; src is the state at h.Seqno, and tables are those of
// its store, all of them. It ends early when the context does.
//
// A crash leaves a file that Sweep removes.
func Write(ctx context.Context, disk host.Disk, dir string, h Header, secret [32]byte, src *store.Snapshot, tables []store.Table) (Info, error) {
	i := Info{Index: h.Index, Seqno: h.Seqno, Pending: true}
	fail := func(err error) (Info, error) {
		return Info{}, fmt.Errorf("writing snapshot %s: %w", fileName(h.Index, h.Seqno), err)
	}
	h = h.complete(tables)
	header, err := h.encode()
	if err == nil {
		err = h.check()
	}
	if err == nil && src.Version() != h.Seqno {
		err = fmt.Errorf("the state is that at seqno %d, expected %d", src.Version(), h.Seqno)
	}
	if err != nil {
		return fail(fmt.Errorf("%w: %w", coco.ErrInvalid, err))
	}
	temporary := join(dir, fileName(h.Index, h.Seqno)+part)
	f, err := disk.Create(temporary)
	if err != nil {
		return fail(err)
	}
	w := &writer{ctx: ctx, file: f, hash: sha256.New(), sealer: newSealer(header, &h, secret)}
	defer w.sealer.erase()
	err = w.body(header, src, tables)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fail(errors.Join(err, disk.Remove(temporary)))
	}
	if err := disk.Rename(temporary, join(dir, i.Name())); err != nil {
		return fail(err)
	}
	i.Digest, i.Bytes = coco.Digest(w.hash.Sum(nil)), uint64(w.at)
	return i, nil
}

// writer writes one file from its beginning.
type writer struct {
	ctx    context.Context
	file   host.File
	at     int64
	hash   hash.Hash
	sealer *sealer

	// frame holds the head of a block and as much of its plain text as there is, with room for the tag.
	frame []byte
	rows  uint64
	bytes uint64
}

func (w *writer) body(header []byte, src *store.Snapshot, tables []store.Table) error {
	first := append(binary.BigEndian.AppendUint32([]byte(magic), uint32(len(header))), header...)
	if err := w.write(first); err != nil {
		return err
	}
	tables = slices.SortedFunc(slices.Values(tables), func(a, b store.Table) int { return strings.Compare(a.Name, b.Name) })
	w.frame = make([]byte, frameHead, frameHead+blockSize+tagSize)
	for _, t := range tables {
		if t.Archive {
			continue
		}
		if err := w.table(src, t.Name); err != nil {
			return err
		}
	}
	if len(w.frame) > frameHead {
		if err := w.flush(kindRows); err != nil {
			return err
		}
	}
	w.frame = binary.BigEndian.AppendUint64(w.frame, w.rows)
	w.frame = binary.BigEndian.AppendUint64(w.frame, w.bytes)
	return w.flush(kindEnd)
}

func (w *writer) table(src *store.Snapshot, name string) error {
	var head [16]byte
	begun := false
	return src.Each(name, func(key string, value []byte) error {
		if !begun {
			begun = true
			if err := w.item(canon.AppendHead(head[:0], canon.Text, uint64(len(name))), name); err != nil {
				return err
			}
		}
		w.rows++
		err := w.item(canon.AppendHead(head[:0], canon.Bytes, uint64(len(key))), key)
		if err == nil {
			err = add(w, canon.AppendHead(head[:0], canon.Bytes, uint64(len(value))))
		}
		if err == nil {
			err = add(w, value)
		}
		return err
	})
}

func (w *writer) item(head []byte, s string) error {
	if err := add(w, head); err != nil {
		return err
	}
	return add(w, s)
}

// add appends plain text, filling blocks.
func add[T string | []byte](w *writer, b T) error {
	w.bytes += uint64(len(b))
	for {
		n := min(len(b), frameHead+blockSize-len(w.frame))
		w.frame = append(w.frame, b[:n]...)
		if b = b[n:]; len(b) == 0 {
			return nil
		}
		if err := w.flush(kindRows); err != nil {
			return err
		}
	}
}

// flush seals and writes a block.
func (w *writer) flush(kind byte) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	sealed := w.sealer.seal(kind, w.frame[frameHead:])
	w.frame[0] = kind
	binary.BigEndian.PutUint32(w.frame[1:], uint32(len(sealed)))
	err := w.write(w.frame[:frameHead+len(sealed)])
	w.frame = w.frame[:frameHead]
	return err
}

func (w *writer) write(b []byte) error {
	w.hash.Write(b)
	_, err := w.file.WriteAt(b, w.at)
	w.at += int64(len(b))
	return err
}
