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

// chunkPrefix begins the names of chunk files.
const chunkPrefix = "ledger_"

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
}

// name returns the file's name in its directory.
func (c chunkFile) name() string { return chunkName(c.first, c.last) }

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

// listChunks returns the chunks in a directory in order, and the names of empty files that a cut
// left behind (Log.drop). The chunks begin with index 1, leave no gap, and only the last one may be
// incomplete.
//
// A node may be writing the directory. What it completes while this looks has another name then, so
// the listing is made again.
func listChunks(disk host.Disk, dir string) (chunks []chunkFile, empty []string, err error) {
	for range liveRetries {
		chunks, empty, err = tryListChunks(disk, dir)
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return chunks, empty, err
}

func tryListChunks(disk host.Disk, dir string) (chunks []chunkFile, empty []string, err error) {
	names, err := disk.List(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("ledger: list %s: %w", dir, err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, chunkPrefix) {
			continue
		}
		first, last, ok := parseChunkName(name)
		if !ok {
			return nil, nil, &chunkError{file: path.Join(dir, name), reason: "no chunk of a ledger has this name: move the file elsewhere"}
		}
		size, err := fileSize(disk, path.Join(dir, name))
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("ledger: %s: %w", path.Join(dir, name), err)
		case size == 0 && last == 0:
			empty = append(empty, name)
		default:
			chunks = append(chunks, chunkFile{first, last, size})
		}
	}
	slices.SortFunc(chunks, func(a, b chunkFile) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.last, b.last)) })
	next := uint64(1)
	for i, c := range chunks {
		if c.first != next {
			return nil, nil, &chunkError{
				file:   path.Join(dir, c.name()),
				index:  next,
				reason: fmt.Sprintf("the chunk before it must end with index %d, expected one that begins with index %d: restore it from a backup or from another node", c.first-1, next),
			}
		}
		if c.last == 0 && i < len(chunks)-1 {
			return nil, nil, &chunkError{
				file:   path.Join(dir, c.name()),
				index:  c.first,
				reason: "an incomplete chunk before others: restore the complete one from a backup or from another node",
			}
		}
		next = c.last + 1
	}
	return chunks, empty, nil
}

func fileSize(disk host.Disk, name string) (int64, error) {
	f, err := disk.Open(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Size()
}
