package history

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
type merge [][]record

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

// save writes a builder's segment to its file and returns it. The builder is not changed. pause is
// called now and then; its error ends the writing.
//
// The file has its name only when all of it is on the disk: a crash leaves a part, which the next
// start removes.
func (b *builder) save(ctx context.Context, disk host.Disk, dir string, from seal.Keying, own bool, blocks *lru.Cache[blockID, []byte], pause func() error) (_ *segment, err error) {
	h := b.header
	h.after, h.records = b.tree.Root(), uint32(b.count)
	name := path.Join(dir, fileName(h.first, h.last))
	var salt [seal.SaltSize]byte
	rand.Read(salt[:]) // it never fails
	kind := seal.Kind{Epoch: b.epoch, Terms: b.terms != nil, Own: own}
	sealer, err := seal.New(from, kind.Prefix(salt))
	if err != nil {
		return nil, err
	}
	s := &segment{header: h, layout: h.layout(), Sealer: sealer, Kind: kind, name: name, files: disk, blocks: blocks}

	file, err := disk.Create(name + partSuffix)
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
	b.writeAreas(w, &s.layout)
	w.write()
	if w.err == nil && w.off != s.bytes() {
		w.err = fmt.Errorf("index: %d bytes written, the layout has %d", w.off, s.bytes())
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
	return s, disk.Rename(name+partSuffix, name)
}

func (b *builder) writeAreas(w *writer, l *layout) {
	i := 0
	w.area(refSize, func() []byte {
		if i == len(b.refs) {
			return nil
		}
		i++
		return b.refs[i-1].append(make([]byte, 0, refSize))
	})
	fresh := slices.Clone(b.fresh)
	slices.SortFunc(fresh, compareRecords)
	m := merge(slices.Clone(b.runs))
	if len(fresh) > 0 {
		m = append(m, fresh)
	}
	heap.Init(&m)
	w.area(recordSize, m.next)

	end, _ := b.tree.MarshalBinary()
	slots := append(slices.Clip(b.slots), end)
	i = 0
	per := blockData / l.slotSize
	for ; i < len(slots); i++ {
		if i%per == 0 {
			w.flush()
		}
		w.plain = append(append(w.plain, slots[i]...), make([]byte, l.slotSize-len(slots[i]))...)
	}
	w.flush()
}
