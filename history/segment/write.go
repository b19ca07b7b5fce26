package segment

import (
	"bytes"
	"container/heap"
	"context"
	"crypto/rand"
	"fmt"
	"path"
	"slices"

	"github.com/cocoframework/coco/history/seal"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/lru"
)

// writer writes the blocks of a file in order.
type writer struct {
	file  host.File
	seal  *seal.Sealer
	block int    // number of the next one
	plain []byte // of the next one, as far as it is there
	buf   []byte // sealed blocks
	off   int64  // of buf in the file
	pause func() error
	err   error
}

const writeSize = 256 << 10

// flush seals what is there of a block.
func (w *writer) flush() {
	if len(w.plain) == 0 || w.err != nil {
		return
	}
	w.plain = append(w.plain, make([]byte, blockData-len(w.plain))...)
	w.buf = w.seal.Seal(w.buf, w.block, w.plain)
	w.plain = w.plain[:0]
	w.block++
	if len(w.buf) >= writeSize {
		w.write()
	}
}

func (w *writer) write() {
	if w.err == nil {
		_, w.err = w.file.WriteAt(w.buf, w.off)
	}
	w.off += int64(len(w.buf))
	w.buf = w.buf[:0]
	if w.err == nil {
		w.err = w.pause()
	}
}

// area writes the items of level 0, which next returns until nil, and the levels above them.
func (w *writer) area(size int, next func() []byte) {
	per := blockData / size
	for items := next; w.err == nil; {
		var up []byte // the first item of each block
		n := 0
		for item := items(); item != nil && w.err == nil; item = items() {
			if n%per == 0 {
				w.flush()
				up = append(up, item...)
			}
			w.plain = append(w.plain, item...)
			n++
		}
		w.flush()
		if n <= per {
			return
		}
		items = each(up, size)
	}
}

// each returns the pieces of b one after the other.
func each(b []byte, size int) func() []byte {
	return func() (item []byte) {
		if len(b) > 0 {
			item, b = b[:size], b[size:]
		}
		return item
	}
}

// merge returns the records of sorted runs in order.
type merge [][]Record

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return bytes.Compare(m[i][0][:], m[j][0][:]) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(any)          { panic("history: no run is added while merging") }
func (m *merge) Pop() any          { *m = (*m)[:len(*m)-1]; return nil }

func (m *merge) next() []byte {
	if len(*m) == 0 {
		return nil
	}
	run := (*m)[0]
	item := run[0][:]
	if (*m)[0] = run[1:]; len(run) > 1 {
		heap.Fix(m, 0)
	} else {
		heap.Pop(m)
	}
	return item
}

// Contents is what a segment's file is made of.
type Contents struct {
	Header    Header
	Refs      []Ref
	Runs      [][]Record // each sorted
	Frontiers [][]byte   // encoded: before every slotEvery-th batch, and after the last one
}

// Save writes a segment to its file and returns it. Nothing of the contents is changed. pause is
// called now and then; its error ends the writing.
//
// The file has its name only when all of it is on the disk: a crash leaves a part, which the next
// start removes.
func (c *Contents) Save(ctx context.Context, disk host.Disk, dir string, kind seal.Kind, from seal.Keying, blocks *lru.Cache[BlockID, []byte], pause func() error) (_ *File, err error) {
	h := &c.Header
	name := path.Join(dir, FileName(h.First, h.Last))
	sealer, err := newSealer(kind, from)
	if err != nil {
		return nil, err
	}
	s := &File{Header: *h, layout: h.layout(), Sealer: sealer, Kind: kind, Name: name, Files: disk, Blocks: blocks}

	file, err := disk.Create(name + PartSuffix)
	if err != nil {
		return nil, err
	}
	defer func() {
		if file != nil {
			file.Close()
		}
	}()
	w := &writer{file: file, seal: s.Sealer, pause: pause}
	w.buf = append(w.buf, s.Sealer.Prefix[:]...)
	w.buf = s.Seal(w.buf, 0, h.append(make([]byte, 0, headerData))[:headerData])
	w.block = 1
	c.write(w, &s.layout)
	w.write()
	if w.err == nil && w.off != s.Bytes() {
		w.err = fmt.Errorf("index: %d bytes written, the layout has %d", w.off, s.Bytes())
	}
	if w.err == nil {
		w.err = ctx.Err()
	}
	if w.err == nil {
		w.err = file.Sync()
	}
	if w.err != nil {
		return nil, w.err
	}
	err = file.Close()
	file = nil
	if err != nil {
		return nil, err
	}
	return s, disk.Rename(name+PartSuffix, name)
}

// newSealer returns what seals a new file.
func newSealer(kind seal.Kind, from seal.Keying) (*seal.Sealer, error) {
	var salt [seal.SaltSize]byte
	rand.Read(salt[:]) // it never fails
	return seal.New(from, kind.Prefix(salt))
}

// write writes all blocks after the header's.
func (c *Contents) write(w *writer, l *layout) {
	i := 0
	w.area(refSize, func() []byte {
		if i == len(c.Refs) {
			return nil
		}
		i++
		return c.Refs[i-1].append(make([]byte, 0, refSize))
	})
	m := merge(slices.Clone(c.Runs))
	heap.Init(&m)
	w.area(recordSize, m.next)

	i = 0
	per := blockData / l.slotSize
	for ; i < len(c.Frontiers); i++ {
		if i%per == 0 {
			w.flush()
		}
		w.plain = append(append(w.plain, c.Frontiers[i]...), make([]byte, l.slotSize-len(c.Frontiers[i]))...)
	}
	w.flush()
}

// SealAnew writes a copy of a file that is sealed in another way, in its place. A crash leaves the file before or the one after.
func (s *File) SealAnew(ctx context.Context, kind seal.Kind, from seal.Keying) (_ *File, err error) {
	sealer, err := newSealer(kind, from)
	if err != nil {
		return nil, err
	}
	in, err := s.Files.Open(s.Name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	out, err := s.Files.Create(s.Name + PartSuffix)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			out.Close()
		}
	}()
	b := make([]byte, BlockSize)
	for n := range s.layout.blocks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		off, at := int64(n)*BlockSize, b
		written := make([]byte, 0, BlockSize)
		if n == 0 {
			written, off, at = append(written, sealer.Prefix[:]...), int64(seal.PrefixSize), b[seal.PrefixSize:]
		}
		if err := readFull(in, at, off); err != nil {
			return nil, err
		}
		plain, err := s.Open(n, at)
		if err != nil {
			return nil, err
		}
		if _, err := out.WriteAt(sealer.Seal(written, n, plain), int64(n)*BlockSize); err != nil {
			return nil, err
		}
	}
	if err := out.Sync(); err != nil {
		return nil, err
	}
	if err := out.Close(); err != nil {
		return nil, err
	}
	anew := &File{Header: s.Header, layout: s.layout, Sealer: sealer, Kind: kind, Name: s.Name, Compared: s.Compared, Files: s.Files, Blocks: s.Blocks}
	return anew, s.Files.Rename(s.Name+PartSuffix, s.Name)
}
