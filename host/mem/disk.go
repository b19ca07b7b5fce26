// Package mem is a disk in memory for tests and simulations. It remembers which changes were synced, so
// that a crash can be played: Crashed returns the disk as it is found afterwards.
//
//	WriteAt, Truncate ──► contents now, and a list of changes ── Sync ──► durable contents
//	Create            ──► name ─────────────────────────────── Sync ──► durable name
//	Rename            ──► durable at once (see host.Disk)
//	Remove            ──► gone; a crash may bring the file back if Loss says so
//
// Tests look into the files, change them as a lying host does (Data, Put, Delete), and make operations
// fail (Before, SetCapacity). Package host/sim puts its faults and its virtual time around this disk.
//
// Trust: host
package mem

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// Disk implements host.Disk. It is safe for concurrent use.
type Disk struct {
	// Before, unless nil, is called before each operation on the disk or on one of its files, with the
	// method's name and the file's or folder's; an error is the operation's result, and nothing is done.
	// It is called without a lock, and MUST be set before the disk is used.
	Before func(op, name string) error

	mu       sync.RWMutex // guards what follows, and the contents of the files
	names    map[string]*inode
	durable  map[string]*inode // as a crash leaves them
	removed  map[string]*inode // removed since, though they were durable
	capacity int64             // bytes of all files; 0 is no limit
}

var _ host.Disk = (*Disk)(nil)

// New returns an empty disk.
func New() *Disk {
	return &Disk{names: map[string]*inode{}, durable: map[string]*inode{}, removed: map[string]*inode{}}
}

// inode is a file.
type inode struct {
	now     []byte
	synced  []byte
	changes []Change // since the last sync, in order
}

// Change is a change of a file's contents: bytes that were written, or a new length if Data is nil.
type Change struct {
	Off  int64
	Data []byte
}

func (c Change) apply(data []byte) []byte {
	if c.Data == nil {
		return resized(data, c.Off)
	}
	if end := c.Off + int64(len(c.Data)); end > int64(len(data)) {
		data = resized(data, end)
	}
	copy(data[c.Off:], c.Data)
	return data
}

// resized returns data cut, or with zeros added. What was cut off is never seen again.
func resized(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

func (n *inode) change(c Change) {
	n.now = c.apply(n.now)
	n.changes = append(n.changes, c)
}

func (d *Disk) before(op, name string) error {
	if d.Before == nil {
		return nil
	}
	return d.Before(op, name)
}

// enter checks the name of a file, and asks Before.
func (d *Disk) enter(op, name string) error {
	if !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("%w: file name %q: expected a slash-separated path inside the folder", coco.ErrInvalid, name)
	}
	return d.before(op, name)
}

func absent(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

// Open implements host.Disk.
func (d *Disk) Open(name string) (host.File, error) { return opened(d.OpenFile(name)) }

// Create implements host.Disk.
func (d *Disk) Create(name string) (host.File, error) { return opened(d.CreateFile(name)) }

func opened(f *File, err error) (host.File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

// OpenFile is Open with the file's own type.
func (d *Disk) OpenFile(name string) (*File, error) {
	if err := d.enter("open", name); err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	n, ok := d.names[name]
	if !ok {
		return nil, absent("open", name)
	}
	return &File{disk: d, inode: n, name: name}, nil
}

// CreateFile is Create with the file's own type.
func (d *Disk) CreateFile(name string) (*File, error) {
	if err := d.enter("create", name); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n, ok := d.names[name]
	if !ok {
		n = &inode{}
		d.names[name] = n
	}
	n.change(Change{})
	return &File{disk: d, inode: n, name: name}, nil
}

// List implements host.Disk.
func (d *Disk) List(dir string) ([]string, error) {
	if dir == "" {
		dir = "."
	}
	if !fs.ValidPath(dir) {
		return nil, fmt.Errorf("%w: folder name %q: expected a slash-separated path inside the folder", coco.ErrInvalid, dir)
	}
	if err := d.before("list", dir); err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	var names []string
	for name := range d.names {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Rename implements host.Disk.
func (d *Disk) Rename(oldName, newName string) error {
	for _, name := range []string{newName, oldName} {
		if !fs.ValidPath(name) || name == "." {
			return d.enter("rename", name)
		}
	}
	if err := d.before("rename", oldName); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n, ok := d.names[oldName]
	if !ok {
		return absent("rename", oldName)
	}
	for _, names := range []map[string]*inode{d.names, d.durable} {
		delete(names, oldName)
		names[newName] = n
	}
	delete(d.removed, newName)
	return nil
}

// Remove implements host.Disk.
func (d *Disk) Remove(name string) error {
	if err := d.enter("remove", name); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	n, ok := d.names[name]
	if !ok {
		return absent("remove", name)
	}
	delete(d.names, name)
	if d.durable[name] == n {
		delete(d.durable, name)
		d.removed[name] = n
	}
	return nil
}

// SetCapacity bounds the bytes of all files: a write beyond is done as far as there is room, and fails
// with syscall.ENOSPC. 0 is no bound.
func (d *Disk) SetCapacity(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// Used returns the bytes of all files.
func (d *Disk) Used() int64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.used()
}

func (d *Disk) used() (sum int64) {
	for _, n := range d.names {
		sum += int64(len(n.now))
	}
	return sum
}

// room returns how long a file can become on its way to a size, and syscall.ENOSPC if that is less.
func (d *Disk) room(n *inode, size int64) (int64, error) {
	grows := size - int64(len(n.now))
	if d.capacity == 0 || grows <= 0 {
		return size, nil
	}
	if free := max(0, d.capacity-d.used()); grows > free {
		return size - grows + free, syscall.ENOSPC
	}
	return size, nil
}

// Names returns the names of all files, sorted.
func (d *Disk) Names() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Sorted(maps.Keys(d.names))
}

// Data returns the contents of a file, nil if there is none: the bytes themselves and no copy, so that a
// test can change them as a lying host does.
func (d *Disk) Data(name string) []byte {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := d.names[name]
	switch {
	case n == nil:
		return nil
	case n.now == nil:
		n.now = []byte{}
	}
	return n.now
}

// Unsynced reports whether a file has changes that a crash may lose.
func (d *Disk) Unsynced(name string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	n := d.names[name]
	return n != nil && (len(n.changes) > 0 || d.durable[name] != n)
}

// Put makes a file with a copy of the data, durably, or replaces it.
func (d *Disk) Put(name string, data []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := &inode{now: slices.Clone(data), synced: slices.Clone(data)}
	d.names[name], d.durable[name] = n, n
	delete(d.removed, name)
}

// Delete removes a file, durably, if it exists.
func (d *Disk) Delete(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.names, name)
	delete(d.durable, name)
	delete(d.removed, name)
}

// Files returns a copy of the files below a folder by their full names; "" is the whole disk.
func (d *Disk) Files(folder string) map[string][]byte {
	d.mu.RLock()
	defer d.mu.RUnlock()
	files := make(map[string][]byte)
	for name, n := range d.names {
		if folder == "" || strings.HasPrefix(name, folder+"/") {
			files[name] = slices.Clone(n.now)
		}
	}
	return files
}

// SetFiles replaces all files, durably.
func (d *Disk) SetFiles(files map[string][]byte) {
	for _, name := range d.Names() {
		d.Delete(name)
	}
	for name, data := range files {
		d.Put(name, data)
	}
}
