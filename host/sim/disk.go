package sim

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// sector is what a torn write is cut at.
const sector = 512

// diskState is a host's disk, which outlives crashes.
type diskState struct {
	mu        sync.RWMutex // guards everything on the disk, contents too
	rand      *rand.Rand
	names     map[string]*inode // as the running host sees them
	durable   map[string]*inode // as they are after a crash
	capacity  int64             // bytes; 0 is no limit
	syncDelay time.Duration
	trouble   trouble
}

// inode is a file: its contents now, and what of them a crash leaves.
type inode struct {
	now    []byte
	synced []byte
	writes []span // not synced, in order
}

// span is a range of bytes.
type span struct{ from, to int64 }

func newDiskState(r *rand.Rand) *diskState {
	d := &diskState{rand: r, names: make(map[string]*inode), durable: make(map[string]*inode)}
	d.trouble.rand = rand.New(rand.NewPCG(r.Uint64(), 0))
	return d
}

// crash leaves what was synced.
func (d *diskState) crash() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names = maps.Clone(d.durable)
	for _, node := range d.names {
		node.now, node.writes = slices.Clone(node.synced), nil
	}
}

// crashTorn leaves what was synced, and parts of what was not.
func (d *diskState) crashTorn() {
	d.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(d.names)) {
		node := d.names[name]
		if d.durable[name] != node && d.rand.IntN(2) == 0 {
			continue // the name itself did not make it
		}
		d.durable[name] = node
		for _, w := range node.writes {
			d.tear(node, w)
		}
	}
	d.mu.Unlock()
	d.crash()
}

// tear lets a write survive whole, up to some sector, or not at all.
func (d *diskState) tear(node *inode, w span) {
	w.to = min(w.to, int64(len(node.now)))
	switch d.rand.IntN(3) {
	case 0:
		return
	case 1:
		sectors := (w.to - w.from + sector - 1) / sector
		if sectors > 0 {
			w.to = min(w.to, (w.from/sector+d.rand.Int64N(sectors))*sector)
		}
	}
	if w.from < w.to {
		node.synced = extended(node.synced, w.to)
		copy(node.synced[w.from:w.to], node.now[w.from:w.to])
	}
}

// extended returns b with at least size bytes, zeros added.
func extended(b []byte, size int64) []byte {
	if n := size - int64(len(b)); n > 0 {
		return append(b, make([]byte, n)...)
	}
	return b
}

// disk is the disk as one incarnation of a host uses it.
type disk struct {
	state *diskState
	life  *life
}

var _ host.Disk = (*disk)(nil)

func (d *disk) check(op, name string) error {
	if !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("%w: file name %q: expected a slash-separated path inside the folder", coco.ErrInvalid, name)
	}
	return d.life.err(op + " " + name)
}

func (d *disk) Open(name string) (host.File, error) {
	d.state.mu.RLock()
	defer d.state.mu.RUnlock()
	if err := d.check("open", name); err != nil {
		return nil, err
	}
	node, ok := d.state.names[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{disk: d, node: node, name: name}, nil
}

func (d *disk) Create(name string) (host.File, error) {
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	if err := d.check("create", name); err != nil {
		return nil, err
	}
	node, ok := d.state.names[name]
	if !ok {
		node = &inode{}
		d.state.names[name] = node
	}
	node.truncate(0)
	return &file{disk: d, node: node, name: name}, nil
}

func (d *disk) List(dir string) ([]string, error) {
	d.state.mu.RLock()
	defer d.state.mu.RUnlock()
	if err := d.life.err("list " + dir); err != nil {
		return nil, err
	}
	if dir == "" {
		dir = "."
	}
	if !fs.ValidPath(dir) {
		return nil, fmt.Errorf("%w: folder name %q: expected a slash-separated path inside the folder", coco.ErrInvalid, dir)
	}
	var names []string
	for name := range d.state.names {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (d *disk) Rename(oldName, newName string) error {
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	for _, name := range []string{oldName, newName} {
		if err := d.check("rename", name); err != nil {
			return err
		}
	}
	node, ok := d.state.names[oldName]
	if !ok {
		return &fs.PathError{Op: "rename", Path: oldName, Err: fs.ErrNotExist}
	}
	for _, names := range []map[string]*inode{d.state.names, d.state.durable} {
		delete(names, oldName)
		names[newName] = node
	}
	return nil
}

func (d *disk) Remove(name string) error {
	d.state.mu.Lock()
	defer d.state.mu.Unlock()
	if err := d.check("remove", name); err != nil {
		return err
	}
	if _, ok := d.state.names[name]; !ok {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(d.state.names, name)
	delete(d.state.durable, name)
	return nil
}

// used returns the bytes that the files take. The state's mu is held.
func (d *diskState) used() int64 {
	var sum int64
	for _, node := range d.names {
		sum += int64(len(node.now))
	}
	return sum
}

// room fails when a file cannot grow to a size. The state's mu is held.
func (d *diskState) room(node *inode, size int64) error {
	if d.capacity > 0 && size > int64(len(node.now)) && d.used()-int64(len(node.now))+size > d.capacity {
		return syscall.ENOSPC
	}
	return nil
}

// truncate sets the length. What it cuts off, or adds, counts as written.
func (n *inode) truncate(size int64) {
	old := int64(len(n.now))
	if size < old {
		n.now = n.now[:size:size]
		n.writes = append(n.writes, span{size, old})
	} else {
		n.grow(size)
	}
}

func (n *inode) grow(size int64) {
	if old := int64(len(n.now)); size > old {
		n.now = extended(n.now, size)
		n.writes = append(n.writes, span{old, size})
	}
}

// SetDiskCapacity bounds the bytes of a host's files; writes beyond fail as on a full disk. 0 is
// no bound.
func (w *World) SetDiskCapacity(name string, bytes int64) {
	d := w.diskOf(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.capacity = bytes
}

// SetSyncDelay sets how long a host's disk takes to sync.
func (w *World) SetSyncDelay(name string, delay time.Duration) {
	d := w.diskOf(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.syncDelay = delay
}

// Files returns a copy of the files of a host's disk below a folder, by their full names; "" is
// the whole disk.
func (w *World) Files(name, folder string) map[string][]byte {
	d := w.diskOf(name)
	d.mu.RLock()
	defer d.mu.RUnlock()
	files := make(map[string][]byte)
	for file, node := range d.names {
		if folder == "" || strings.HasPrefix(file, folder+"/") {
			files[file] = slices.Clone(node.now)
		}
	}
	return files
}

// SetFiles replaces a host's whole disk, durably: what a host does that rolls back, or puts
// another host's files in place. The host SHOULD be down.
func (w *World) SetFiles(name string, files map[string][]byte) {
	d := w.diskOf(name)
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.names)
	for file, data := range files {
		d.names[file] = &inode{now: slices.Clone(data), synced: slices.Clone(data)}
	}
	d.durable = maps.Clone(d.names)
}

func (w *World) diskOf(name string) *diskState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.machine(name).disk
}
