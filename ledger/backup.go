package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// Place is a ledger's folder on a disk.
type Place struct {
	Disk host.Disk
	Dir  string
	// Beside are further folders on the disk whose files are copied with the ledger as they are, such
	// as the one of snapshots. Files that are not finished (".part", ".pending") are left out.
	Beside []string
	// Extra are the folders to which complete chunks were moved away.
	Extra []host.Disk
}

// Copied says what a backup or a restore did, and what the copy holds then.
type Copied struct {
	Files   int     `json:"files"`             // that were copied
	Bytes   int64   `json:"bytes"`             // of these
	Kept    int     `json:"kept"`              // that the copy had already
	Last    uint64  `json:"last"`              // entry of the copy
	Missing []Range `json:"missing,omitempty"` // entries before it that the copy does not have
}

// Backup copies a ledger to a folder, while a node may write it: complete chunks, the entries that
// the last one holds by then, and the files beside. Frames are checked on the way, files get their
// names when they are durable, and what the copy holds already is left as it is: a backup that was
// interrupted, or one of yesterday, is gone on with. What the copy has and the ledger no longer has
// stays there. It never reads a key, and what it copies is as sealed as the ledger is.
//
// A copy belongs to one network, and nothing in it is replaced but the chunk that was being written, by one that begins with
// all of its entries. A copy of another network, or with files that are no chunks under names of chunks, is refused before
// anything is written. progress may be nil.
func Backup(ctx context.Context, from, to Place, progress func(done, total int64)) (Copied, error) {
	return transfer(ctx, from, to, progress, false)
}

// Restore copies a backup to a folder for a node to begin with, which must hold no ledger. The chunk
// that begins with the first entry comes last: as long as it is absent, the ledger does not look like
// a whole one.
func Restore(ctx context.Context, from, to Place, progress func(done, total int64)) (Copied, error) {
	names, err := to.Disk.List(to.Dir)
	if err != nil {
		return Copied{}, fmt.Errorf("ledger: list %s: %w", to.Dir, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, chunkPrefix) {
			return Copied{}, fmt.Errorf("%w: restore: there is a ledger in %s already (%s): move it elsewhere, or choose another folder", coco.ErrInvalid, to.Dir, name)
		}
	}
	return transfer(ctx, from, to, progress, true)
}

// copier is a copy that goes on.
type copier struct {
	from, to    folder
	sources     []folder
	have        map[string]int64 // the copy's chunk files
	progress    func(done, total int64)
	done, total int64
	report      Copied
}

func transfer(ctx context.Context, from, to Place, progress func(done, total int64), firstLast bool) (Copied, error) {
	c := copier{sources: foldersOf(from.Disk, from.Dir, from.Extra), to: foldersOf(to.Disk, to.Dir, nil)[0], progress: progress}
	c.from = c.sources[0]
	if err := c.listCopy(); err != nil {
		return c.report, err
	}
	if err := c.sameNetwork(from, to); err != nil {
		return c.report, err
	}
	for again := liveRetries; ; again-- {
		err := c.chunks(ctx, firstLast)
		// A node that writes the ledger may have renamed what was listed.
		if errors.Is(err, fs.ErrNotExist) && again > 0 {
			continue
		}
		if err != nil {
			return c.report, err
		}
		break
	}
	for _, dir := range from.Beside {
		if err := c.beside(ctx, from.Disk, to.Disk, dir); err != nil {
			return c.report, err
		}
	}
	return c.report, c.holds()
}

// listCopy lists what the copy has, and removes what an interruption left.
func (c *copier) listCopy() error {
	if _, err := list([]folder{c.to}); err != nil {
		return fmt.Errorf("the copy: %w", err)
	}
	names, err := c.to.disk.List(c.to.dir)
	if err != nil {
		return fmt.Errorf("ledger: list %s: %w", c.to.name, err)
	}
	c.have = make(map[string]int64)
	for _, name := range names {
		if strings.HasPrefix(name, partPrefix) && strings.HasSuffix(name, partSuffix) {
			if err := c.to.disk.Remove(c.to.path(name)); err != nil {
				return err
			}
		}
		if _, _, ok := parseChunkName(name); !ok {
			continue
		}
		if c.have[name], err = fileSize(c.to.disk, c.to.path(name)); err != nil {
			return err
		}
	}
	return nil
}

// sameNetwork compares the first transactions, which no two networks share, as far as both have them.
func (c *copier) sameNetwork(from, to Place) error {
	theirs, err := FirstBatch(from.Disk, from.Dir, from.Extra...)
	if errors.Is(err, coco.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	ours, err := FirstBatch(to.Disk, to.Dir)
	if errors.Is(err, coco.ErrNotFound) {
		return nil
	}
	if err == nil && !slices.Equal(ours, theirs) {
		err = fmt.Errorf("%w: the copy in %s is of another network than the ledger in %s: choose another folder for the copy", coco.ErrInvalid, c.to.name, c.from.name)
	}
	return err
}

func (c *copier) chunks(ctx context.Context, firstLast bool) error {
	listed, err := list(c.sources)
	if err != nil {
		return err
	}
	found := listed.chunks
	if len(found) == 0 {
		return fmt.Errorf("%w: there is no ledger in %s", coco.ErrNotFound, c.from.name)
	}
	c.done, c.total, c.report = 0, 0, Copied{}
	for _, f := range found {
		c.total += f.size
	}
	if firstLast {
		found = append(found[1:], found[0])
	}
	for _, f := range found {
		if err := c.chunk(ctx, f); err != nil {
			return err
		}
		c.done += f.size
		c.show(0)
	}
	return nil
}

func (c *copier) show(within int64) {
	if c.progress != nil {
		c.progress(min(c.done+within, c.total), c.total)
	}
}

// chunk copies one chunk, unless the copy has it.
func (c *copier) chunk(ctx context.Context, f chunkFile) error {
	src := c.sources[f.in]
	if f.last != 0 {
		if size, ok := c.have[f.name()]; ok {
			c.report.Kept++
			return c.same(f, size)
		}
	}
	upTo := f.last
	if upTo == 0 {
		upTo = math.MaxUint64
	}
	for name := range c.have {
		first, last, _ := parseChunkName(name)
		if last != 0 && first <= upTo && last >= f.first {
			return c.differs(f, name)
		}
	}
	p, err := c.copyChunk(ctx, src, f)
	if err != nil {
		return fmt.Errorf("ledger: %s: %w", src.show(f.name()), err)
	}
	if p == nil {
		return nil // it holds no entry yet
	}
	c.report.Files++
	c.report.Bytes += p.size
	return nil
}

// same makes sure that a chunk of the copy is the ledger's: where entries were replaced since, the
// last frame is another one, because it is of another view.
func (c *copier) same(f chunkFile, size int64) error {
	if size != f.size {
		return c.differs(f, f.name())
	}
	src := c.sources[f.in]
	if same, err := sameEnd(src.disk, src.path(f.name()), c.to.disk, c.to.path(f.name())); err != nil || same {
		return err
	}
	return c.differs(f, f.name())
}

// sameEnd reports whether two files have the same size and end with the same bytes.
func sameEnd(a host.Disk, nameA string, b host.Disk, nameB string) (bool, error) {
	size, err := fileSize(a, nameA)
	if err != nil {
		return false, err
	}
	if other, err := fileSize(b, nameB); err != nil || other != size {
		return false, err
	}
	return sameBytes(a, nameA, b, nameB, max(0, size-64<<10), size)
}

// sameBytes compares a range of two files.
func sameBytes(a host.Disk, nameA string, b host.Disk, nameB string, from, to int64) (bool, error) {
	fileA, err := a.Open(nameA)
	if err != nil {
		return false, err
	}
	defer fileA.Close()
	fileB, err := b.Open(nameB)
	if err != nil {
		return false, err
	}
	defer fileB.Close()
	for ; from < to; from += windowSize {
		left, right := make([]byte, min(windowSize, to-from)), make([]byte, min(windowSize, to-from))
		if err := errors.Join(readFull(fileA, left, from), readFull(fileB, right, from)); err != nil {
			return false, fmt.Errorf("compare %s: %w", nameB, err)
		}
		if !slices.Equal(left, right) {
			return false, nil
		}
	}
	return true, nil
}

func (c *copier) differs(f chunkFile, name string) error {
	return fmt.Errorf("%w: the copy holds %s, which is not what the ledger holds in %s: it is of another network, or of entries that were never committed: choose another folder for the copy",
		coco.ErrInvalid, c.to.show(name), c.sources[f.in].show(f.name()))
}

// copyChunk copies a chunk's frames, checking them. A crash leaves a file that the next copy removes.
func (c *copier) copyChunk(ctx context.Context, src folder, f chunkFile) (*chunkFile, error) {
	in, err := src.open(f)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	retry := 0
	if f.last == 0 {
		retry = liveRetries
	}
	r, err := newFrameReader(in, f.first, retry)
	if err != nil {
		return nil, err
	}
	part := c.to.path(partPrefix + f.name() + partSuffix)
	out, err := c.to.disk.Create(part)
	if err != nil {
		return nil, err
	}
	err = c.frames(ctx, r, f, out)
	if err == nil {
		err = out.Sync()
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return nil, errors.Join(err, c.to.disk.Remove(part))
	}
	if r.expect == f.first {
		return nil, c.to.disk.Remove(part)
	}
	if err := c.extends(part, f, r.off); err != nil {
		return nil, errors.Join(err, c.to.disk.Remove(part))
	}
	return &chunkFile{first: f.first, last: f.last, size: r.off}, c.name(part, f, r.off)
}

// extends makes sure that a copied chunk begins with the state of it that the copy may have.
func (c *copier) extends(part string, f chunkFile, size int64) error {
	older := chunkName(f.first, 0)
	had, ok := c.have[older]
	if !ok {
		return nil
	}
	if had > size {
		return fmt.Errorf("%w: the copy holds more in %s than the ledger does: if the ledger is the right one, choose another folder for the copy", coco.ErrInvalid, c.to.show(older))
	}
	same, err := sameBytes(c.to.disk, c.to.path(older), c.to.disk, part, 0, had)
	if err == nil && !same {
		err = fmt.Errorf("%w: the copy holds other entries in %s than the ledger does in %s: they are of another network, or were never committed: choose another folder for the copy, or move that file away first",
			coco.ErrInvalid, c.to.show(older), c.sources[f.in].show(f.name()))
	}
	return err
}

// name gives a copied chunk its name. Of the same chunk, the copy may have an older, shorter state.
func (c *copier) name(part string, f chunkFile, size int64) error {
	older := chunkName(f.first, 0)
	if err := c.to.disk.Rename(part, c.to.path(f.name())); err != nil {
		return err
	}
	// A crash before the older state is removed leaves both; the next copy, and Restore, know it.
	if _, ok := c.have[older]; ok && f.last != 0 {
		delete(c.have, older)
		if err := c.to.disk.Remove(c.to.path(older)); err != nil {
			return err
		}
	}
	c.have[f.name()] = size
	return nil
}

// frames copies frames, from one file to another, up to the end or to what was not written whole yet.
func (c *copier) frames(ctx context.Context, r *frameReader, f chunkFile, out host.File) error {
	var buf []byte
	written := int64(0)
	flush := func() error {
		_, err := out.WriteAt(buf, written)
		written += int64(len(buf))
		buf = buf[:0]
		c.show(written)
		return err
	}
	for ctx.Err() == nil {
		e, _, err := r.next()
		if bad := (*damage)(nil); errors.As(err, &bad) {
			if err = tornOnly(r, f, bad); err == nil {
				return flush()
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if bad := checkEnd(f, r); bad != nil {
				return corruptAt(bad.off, bad.index, bad.reason)
			}
			return flush()
		case err != nil:
			return err
		}
		if buf = appendFrame(buf, e); len(buf) >= keepBuffer {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// beside copies the files of a folder that are finished.
func (c *copier) beside(ctx context.Context, from, to host.Disk, dir string) error {
	names, err := from.List(dir)
	if err != nil {
		return fmt.Errorf("list %s: %w", dir, err)
	}
	have, err := to.List(dir)
	if err != nil {
		return fmt.Errorf("list the copy's %s: %w", dir, err)
	}
	for _, name := range names {
		if ext := path.Ext(name); ext == partSuffix || ext == ".pending" {
			continue
		}
		if slices.Contains(have, name) {
			file := path.Join(dir, name)
			switch same, err := sameEnd(from, file, to, file); {
			case errors.Is(err, fs.ErrNotExist): // the node has removed it
			case err != nil:
				return err
			case !same:
				return fmt.Errorf("%w: the copy holds another %s than the node: it is of another network, or damaged: choose another folder for the copy, or move that file away first", coco.ErrInvalid, file)
			}
			c.report.Kept++
			continue
		}
		n, err := copyFile(ctx, from, to, path.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // the node has removed it
		}
		if err != nil {
			return fmt.Errorf("copy %s/%s: %w", dir, name, err)
		}
		c.report.Files++
		c.report.Bytes += n
	}
	return nil
}

// copyFile copies a file as it is.
func copyFile(ctx context.Context, from, to host.Disk, name string) (size int64, err error) {
	in, err := from.Open(name)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	if size, err = in.Size(); err != nil {
		return 0, err
	}
	part := name + partSuffix
	out, err := to.Create(part)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, min(size, windowSize))
	for off := int64(0); off < size && err == nil; off += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), size-off)]
		if err = readFull(in, buf, off); err == nil {
			_, err = out.WriteAt(buf, off)
		}
		err = errors.Join(err, ctx.Err())
	}
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return 0, errors.Join(err, to.Remove(part))
	}
	return size, to.Rename(part, name)
}

// holds tells what the copy holds, and whether that is a ledger from the first entry on.
func (c *copier) holds() error {
	l, err := OpenReadOnly(c.to.disk, c.to.dir)
	if err != nil {
		return fmt.Errorf("the copy: %w", err)
	}
	defer l.Close()
	c.report.Last, c.report.Missing = l.Last(), l.Missing()
	if len(c.report.Missing) > 0 {
		m := c.report.Missing[0]
		return fmt.Errorf("%w: the copy is not whole: %s neither in it nor in the ledger's folders: bring the files %s%d-… back, or name the folder to which they were moved, and repeat this",
			coco.ErrMissing, rangeName(m.First, m.Last), chunkPrefix, m.First)
	}
	return nil
}
