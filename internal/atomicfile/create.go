package atomicfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cocoframework/coco"
)

// Free fails with coco.ErrInvalid unless [Create] may write to the name: a file that does not exist, a device or
// a pipe. Call it before work that is lost if the name is taken, such as a question to a person or to a device that signs.
func Free(name string) error {
	st, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	if st.Mode()&fs.ModeSymlink != 0 {
		if st, err = os.Stat(name); err != nil {
			return fmt.Errorf("%w: %s is a link to something that is not there: remove it, or name another file", coco.ErrInvalid, name)
		}
	}
	switch {
	case stream(st):
		return nil
	case st.IsDir():
		return fmt.Errorf("%w: %s is a folder: name a file in it", coco.ErrInvalid, name)
	}
	return fmt.Errorf("%w: %s is there already, and nothing is overwritten: remove it, or name another file", coco.ErrInvalid, name)
}

// stream reports whether writing to a file replaces nothing.
func stream(st fs.FileInfo) bool {
	return st.Mode()&(fs.ModeDevice|fs.ModeCharDevice|fs.ModeNamedPipe|fs.ModeSocket) != 0
}

// Create writes a file for a person who named it. It never replaces anything: if the name is taken, also by a
// link, it fails with coco.ErrInvalid, unless a file with the same contents is there. The file has its name once
// it is whole. Its folder must exist. A device or a pipe is written to.
func Create(name string, data []byte, mode fs.FileMode) error {
	if err := Free(name); err != nil {
		if had, rerr := os.ReadFile(name); rerr == nil && bytes.Equal(had, data) {
			return nil
		}
		return err
	}
	if st, err := os.Stat(name); err == nil && stream(st) {
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return errors.Join(err, f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	// A link, unlike a rename, fails if somebody took the name meanwhile. Some file systems have no links.
	switch err := os.Link(f.Name(), name); {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return Free(name)
	}
	if err := Free(name); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
