package collateral

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"

	"github.com/cocoframework/coco"
)

// maxFiles bounds a folder. Every file of a folder of collateral holds something, so it has no more files than a set has items.
const maxFiles = MaxItems

// Read reads a folder, which the host fills, and its folders of one level below: one may be named for each vendor. A name that begins with
// a dot is a file in the making. The set holds all that could be read; the error joins what was refused, each with its file. Both may be there.
func Read(fsys fs.FS) (*Set, error) {
	var (
		items []Item
		errs  []error
		files int
		total int
	)
	var walk func(dir string, depth int)
	walk = func(dir string, depth int) {
		entries, err := fs.ReadDir(fsys, dir)
		if err != nil {
			errs = append(errs, err)
			return
		}
		for _, e := range entries {
			name := e.Name()
			if dir != "." {
				name = dir + "/" + name
			}
			switch {
			case strings.HasPrefix(e.Name(), "."):
			case e.IsDir() && depth == 0:
				walk(name, depth+1)
			case e.IsDir():
			default:
				if files++; files > maxFiles || total > MaxSet {
					errs = append(errs, fmt.Errorf("%w: collateral: more than %d files or %d bytes: %s and what follows is left out", coco.ErrInvalid, maxFiles, MaxSet, name))
					return
				}
				its, err := readFile(fsys, name)
				if err != nil {
					errs = append(errs, fmt.Errorf("%s: %w", name, err))
				}
				for _, it := range its {
					total += len(it.Raw)
				}
				items = append(items, its...)
			}
		}
	}
	walk(".", 0)
	s, err := New(items...)
	return s, errors.Join(append(errs, err)...)
}

func readFile(fsys fs.FS, name string) ([]Item, error) {
	if info, err := fs.Stat(fsys, name); err != nil || !info.Mode().IsRegular() {
		return nil, cmp.Or(err, fmt.Errorf("%w: collateral: expected a file", coco.ErrInvalid))
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxSet+1))
	if err != nil {
		return nil, err
	}
	return Parse(b)
}

// Folder is a folder of collateral that is read again when the host has refreshed it. Its zero value is empty.
type Folder struct {
	FS  fs.FS
	set atomic.Pointer[Set]
}

// Load reads the folder. What could be read is in force from then on; the error is Read's. Without anything that could be read, what was in
// force stays.
func (f *Folder) Load() error {
	s, err := Read(f.FS)
	if s != nil && (err == nil || len(s.Items()) > 0) {
		f.set.Store(s)
	}
	return err
}

// Set is the Source that the last Load has read.
func (f *Folder) Set() *Set { return f.set.Load() }
