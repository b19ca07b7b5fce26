package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

const (
	chunkPrefix   = "ledger_"  // begins the names of chunk files
	damagedSuffix = ".damaged" // ends the name of a complete chunk's file that was set aside
	partPrefix    = "incoming_"
	partSuffix    = ".part" // of a complete chunk that is being fetched
)

// chunkName names a chunk file: of the complete chunk from first to last, or, with last = 0, of the
// one being written.
func chunkName(first, last uint64) string {
	name := chunkPrefix + strconv.FormatUint(first, 10)
	if last != 0 {
		name += "-" + strconv.FormatUint(last, 10)
	}
	return name
}

// parseChunkName is the inverse of chunkName.
func parseChunkName(name string) (first, last uint64, ok bool) {
	rest, ok := strings.CutPrefix(name, chunkPrefix)
	if !ok {
		return 0, 0, false
	}
	from, to, complete := strings.Cut(rest, "-")
	first, err := strconv.ParseUint(from, 10, 64)
	if err != nil || first == 0 {
		return 0, 0, false
	}
	if complete {
		if last, err = strconv.ParseUint(to, 10, 64); err != nil || last < first {
			return 0, 0, false
		}
	}
	return first, last, chunkName(first, last) == name
}

// chunkFile is a chunk file as a listing shows it.
type chunkFile struct {
	first, last uint64 // last is 0 for the chunk being written
	size        int64
	in          int // number of its folder
}

// name returns the file's name in its directory.
func (c chunkFile) name() string { return chunkName(c.first, c.last) }

// folder is where chunk files are: number 0 is the log's own one, the others are those to which
// chunks were moved away.
type folder struct {
	disk host.Disk
	dir  string
	name string // for people
}

func foldersOf(disk host.Disk, dir string, extra []host.Disk) []folder {
	folders := []folder{{disk, dir, dir}}
	for i, d := range extra {
		folders = append(folders, folder{d, "", fmt.Sprintf("further ledger folder %d", i+1)})
	}
	return folders
}

func (f folder) path(name string) string { return path.Join(f.dir, name) }

// show names a file for people.
func (f folder) show(name string) string { return path.Join(f.name, name) }

// open opens a chunk's file, also if the node that writes it has completed it since.
func (f folder) open(cf chunkFile) (host.File, error) {
	file, err := f.disk.Open(f.path(cf.name()))
	if err == nil || cf.last != 0 {
		return file, err
	}
	names, lerr := f.disk.List(f.dir)
	if lerr != nil {
		return nil, err
	}
	for _, name := range names {
		if first, _, ok := parseChunkName(name); ok && first == cf.first {
			return f.disk.Open(f.path(name))
		}
	}
	return nil, err
}

// chunkError says what is wrong with a directory of chunks, in a way that Audit can make a Fault of.
type chunkError struct {
	file   string
	index  uint64
	reason string
}

func (e *chunkError) Error() string {
	return fmt.Sprintf("%v: %s: %s", coco.ErrCorrupt, e.file, e.reason)
}

func (e *chunkError) Unwrap() error { return coco.ErrCorrupt }

// listing is what folders hold.
type listing struct {
	chunks []chunkFile // in order; only the last may be incomplete
	empty  []string    // files without contents in the own folder, as a cut leaves them behind
	parts  []string    // files of chunks in the own folder that were not fetched to the end
}

// list lists the chunks of all folders. Between complete chunks entries may be missing, but the own
// folder must not hold two for the same entry, and only its last chunk may be incomplete. Of the
// other folders only complete chunks count that hold what the own one does not.
//
// A node may be writing the directory. What it completes while this looks has another name then, so
// the listing is made again.
func list(folders []folder) (l listing, err error) {
	for range liveRetries {
		l, err = tryList(folders)
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return l, err
}

func tryList(folders []folder) (listing, error) {
	var l listing
	if err := l.own(folders[0]); err != nil {
		return l, err
	}
	for i, f := range folders[1:] {
		moved, err := completeIn(f, i+1)
		if err != nil {
			return l, err
		}
		for _, c := range moved {
			l.add(c)
		}
	}
	if n := len(l.chunks); n > 1 {
		for _, c := range l.chunks[:n-1] {
			if c.last == 0 {
				return l, &chunkError{
					file: folders[c.in].show(c.name()), index: c.first,
					reason: "an incomplete chunk before others: restore the complete one from a backup or from another node",
				}
			}
		}
	}
	return l, nil
}

// own lists the log's own folder.
func (l *listing) own(f folder) error {
	names, err := f.disk.List(f.dir)
	if err != nil {
		return fmt.Errorf("ledger: list %s: %w", f.name, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, partPrefix) && strings.HasSuffix(name, partSuffix) {
			l.parts = append(l.parts, name)
		}
		if !strings.HasPrefix(name, chunkPrefix) || isDamaged(name) {
			continue
		}
		first, last, ok := parseChunkName(name)
		if !ok {
			return &chunkError{file: f.show(name), reason: "no chunk of a ledger has this name: move the file elsewhere"}
		}
		size, err := fileSize(f.disk, f.path(name))
		switch {
		case err != nil:
			return fmt.Errorf("ledger: %s: %w", f.show(name), err)
		case size == 0 && last == 0:
			l.empty = append(l.empty, name)
		default:
			l.chunks = append(l.chunks, chunkFile{first: first, last: last, size: size})
		}
	}
	slices.SortFunc(l.chunks, func(a, b chunkFile) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last)) })
	// A backup that was interrupted may hold the same chunk incomplete and complete.
	for i := len(l.chunks) - 2; i >= 0; i-- {
		if a, b := l.chunks[i], l.chunks[i+1]; a.first == b.first && a.last == 0 {
			l.chunks = slices.Delete(l.chunks, i, i+1)
		}
	}
	for i, c := range l.chunks[:max(0, len(l.chunks)-1)] {
		if next := l.chunks[i+1]; next.first <= c.last {
			return &chunkError{
				file: f.show(next.name()), index: next.first,
				reason: fmt.Sprintf("%s holds entry %d too: move the wrong one of them elsewhere", c.name(), next.first),
			}
		}
	}
	return nil
}

// isDamaged tells whether a file is a chunk's that was set aside.
func isDamaged(name string) bool {
	chunk, ok := strings.CutSuffix(name, damagedSuffix)
	if !ok {
		return false
	}
	_, last, ok := parseChunkName(chunk)
	return ok && last != 0
}

// completeIn lists the complete chunks in a folder to which they were moved, which may hold other
// files too.
func completeIn(f folder, number int) ([]chunkFile, error) {
	names, err := f.disk.List(f.dir)
	if err != nil {
		return nil, fmt.Errorf("%s: list it: %w", f.name, err)
	}
	var chunks []chunkFile
	for _, name := range names {
		first, last, ok := parseChunkName(name)
		if !ok || last == 0 {
			continue
		}
		size, err := fileSize(f.disk, f.path(name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.show(name), err)
		}
		chunks = append(chunks, chunkFile{first, last, size, number})
	}
	return chunks, nil
}

// add takes a chunk in where none of its entries is yet.
func (l *listing) add(c chunkFile) {
	i, _ := slices.BinarySearchFunc(l.chunks, c.first, func(x chunkFile, first uint64) int { return cmp.Compare(x.first, first) })
	if i > 0 {
		if before := l.chunks[i-1]; before.last == 0 || before.last >= c.first {
			return
		}
	}
	if i < len(l.chunks) && l.chunks[i].first <= c.last {
		return
	}
	l.chunks = slices.Insert(l.chunks, i, c)
}

// whole returns the chunks from the first entry on up to the first that is missing, and what is missing; nil if nothing is.
func (l *listing) whole(folders []folder) ([]chunkFile, *chunkError) {
	next := uint64(1)
	for i, c := range l.chunks {
		if c.first != next {
			return l.chunks[:i], &chunkError{
				file:  folders[c.in].show(c.name()),
				index: next,
				reason: fmt.Sprintf("expected a chunk before it that begins with entry %d: %s missing: bring back %s%d-… from where it was moved to, from a backup or from another node",
					next, rangeName(next, c.first-1), chunkPrefix, next),
			}
		}
		next = c.last + 1
	}
	return l.chunks, nil
}

func rangeName(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("entry %d is", first)
	}
	return fmt.Sprintf("entries %d to %d are", first, last)
}

func fileSize(disk host.Disk, name string) (int64, error) {
	f, err := disk.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Size()
}
