package ethcmd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/archive"
	"github.com/cocoframework/coco/adapter/ethereum/genesis"
)

// folder is a folder of an archive, on this machine's disk. Its files are their owner's alone.
type folder string

// create makes a folder, which MUST NOT exist, and begins an archive in it.
func create(out, network string, spec genesis.Genesis, withWrites bool) (*archive.Writer, error) {
	if err := os.Mkdir(out, 0o700); err != nil {
		return nil, fmt.Errorf("%w: --out: %w", coco.ErrInvalid, err)
	}
	return archive.Create(folder(out), network, spec, archive.Delayed, withWrites)
}

// placeState makes the folder of a state, its owner's alone: it has all accounts of a network, which may be a closed one. A folder that holds other files is
// left alone.
func placeState(dir string) error {
	files, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.MkdirAll(dir, 0o700)
	case err != nil:
		return fmt.Errorf("%w: %s: expected a folder of `coco eth replay --state`, or none: %w", coco.ErrInvalid, dir, err)
	case len(files) > 0 && !slices.ContainsFunc(files, func(f fs.DirEntry) bool { return f.Name() == "LOCK" }): // which a database makes first
		return fmt.Errorf("%w: %s: expected a folder of `coco eth replay --state`, or none; found %s in it", coco.ErrInvalid, dir, files[0].Name())
	}
	return nil
}

// Create implements archive.Folder.
func (d folder) Create(name string) (io.WriteCloser, error) {
	f, err := os.OpenFile(filepath.Join(string(d), name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return durable{f}, nil
}

// durable is a file whose bytes are on the disk once it is closed.
type durable struct{ *os.File }

// Close implements io.Closer.
func (f durable) Close() error { return errors.Join(f.Sync(), f.File.Close()) }

// Open implements archive.Folder.
func (d folder) Open(name string) (io.ReadCloser, error) {
	return os.Open(filepath.Join(string(d), name))
}

// Remove implements archive.Folder.
func (d folder) Remove() error { return os.RemoveAll(string(d)) }

// String implements archive.Folder.
func (d folder) String() string { return string(d) }
