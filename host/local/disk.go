package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/gofrs/flock"
)

// lockName is the file in a disk's folder that carries the lock. It stays when the lock is
// dropped: removing it would let two processes lock two different files of the same name.
const lockName = ".coco.lock"

// ErrLocked is wrapped by Open's error when another process uses the folder.
var ErrLocked = fmt.Errorf("%w: folder in use", coco.ErrBusy)

// Disk is one folder of the file system. Its folders are made with mode 0700, its files with 0600.
type Disk struct {
	root string
	lock *flock.Flock // nil when read-only
}

var _ host.Disk = (*Disk)(nil)

// Open makes the folder if it is absent and locks it for this process until Close.
func Open(dir string) (*Disk, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", dir, err)
	}
	made, err := makeFolders(root)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", root, err)
	}
	lock := flock.New(filepath.Join(root, lockName))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock folder %s: %w", root, err)
	}
	if !ok {
		return nil, fmt.Errorf("%w: %s: another process uses it (it holds the lock on %s): stop that process, or choose another folder",
			ErrLocked, root, lockName)
	}
	if len(made) > 1 {
		if err := syncFolders(made[1:]); err != nil {
			return nil, errors.Join(fmt.Errorf("folder %s: %w", root, err), lock.Close())
		}
	}
	return &Disk{root: root, lock: lock}, nil
}

// OpenReadOnly opens an existing folder for audits. It takes no lock and never writes, so it may
// look at the folder of a running node, or at read-only media.
func OpenReadOnly(dir string) (*Disk, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", dir, err)
	}
	info, err := os.Stat(root)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", root, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%w: %s: expected a folder, found a file", coco.ErrInvalid, root)
	}
	return &Disk{root: root}, nil
}

// Close drops the lock. Files that are still open keep working, unprotected.
func (d *Disk) Close() error {
	if d.lock == nil {
		return nil
	}
	return d.lock.Close()
}

// Open implements host.Disk.
func (d *Disk) Open(name string) (host.File, error) {
	path, err := d.path(name)
	if err != nil {
		return nil, err
	}
	flag := os.O_RDWR
	if d.lock == nil {
		flag = os.O_RDONLY
	}
	f, err := os.OpenFile(path, flag, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s: expected a file, found %v", coco.ErrInvalid, path, info.Mode())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return newFile(f, d.lock == nil, []string{filepath.Dir(path)})
}

// Create implements host.Disk.
func (d *Disk) Create(name string) (host.File, error) {
	path, err := d.writable(name)
	if err != nil {
		return nil, err
	}
	folders, err := makeFolders(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return newFile(f, false, folders)
}

// List implements host.Disk.
func (d *Disk) List(dir string) ([]string, error) {
	path := d.root
	if dir != "" && dir != "." {
		var err error
		if path, err = d.path(dir); err != nil {
			return nil, err
		}
	}
	entries, err := os.ReadDir(path) // sorted by name
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() && (path != d.root || e.Name() != lockName) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Rename implements host.Disk. A crash leaves the file under one of the two names.
func (d *Disk) Rename(oldName, newName string) error {
	oldPath, err := d.writable(oldName)
	if err != nil {
		return err
	}
	newPath, err := d.writable(newName)
	if err != nil {
		return err
	}
	folders, err := makeFolders(filepath.Dir(newPath))
	if err != nil {
		return err
	}
	if err := os.Rename(oldPath, newPath); err != nil {
		return err
	}
	if old := filepath.Dir(oldPath); !slices.Contains(folders, old) {
		folders = append(folders, old)
	}
	return syncFolders(folders)
}

// Remove implements host.Disk. The file is durably gone when it returns: a file that came back
// after a crash would be taken for a current one.
func (d *Disk) Remove(name string) error {
	path, err := d.writable(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncFolders([]string{filepath.Dir(path)})
}

// path maps a name of the interface to one of the operating system, refusing all that would lead
// out of the folder.
func (d *Disk) path(name string) (string, error) {
	local, err := filepath.Localize(name)
	if err != nil || name == "." || name == lockName {
		return "", fmt.Errorf("%w: file name %q: expected a slash-separated path inside the folder", coco.ErrInvalid, name)
	}
	return filepath.Join(d.root, local), nil
}

func (d *Disk) writable(name string) (string, error) {
	if d.lock == nil {
		return "", &fs.PathError{Op: "write", Path: name, Err: errReadOnly}
	}
	return d.path(name)
}

var errReadOnly = fmt.Errorf("%w: folder is open for reading only", fs.ErrPermission)

// makeFolders makes a folder and those above it that are absent. It returns the folders whose
// entries must be synced for a new file in dir to survive a crash: dir first, then upwards to
// the first one that existed before.
func makeFolders(dir string) ([]string, error) {
	folders := []string{dir}
	for at := dir; ; {
		if _, err := os.Stat(at); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		up := filepath.Dir(at)
		if up == at {
			break
		}
		folders, at = append(folders, up), up
	}
	return folders, os.MkdirAll(dir, 0o700)
}

func syncFolders(folders []string) error {
	for _, dir := range folders {
		if err := syncFolder(dir); err != nil {
			return fmt.Errorf("sync folder %s: %w", dir, err)
		}
	}
	return nil
}
