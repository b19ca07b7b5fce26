package sim

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/mem"
)

// sector is what a torn write is cut at.
const sector = 512

// diskState is a host's disk, which outlives crashes: a disk in memory, its delays and its faults.
type diskState struct {
	mu        sync.Mutex // guards what follows
	disk      *mem.Disk  // another one after each crash
	rand      *rand.Rand
	syncDelay time.Duration

	trouble trouble // has a lock of its own
}

func newDiskState(r *rand.Rand) *diskState {
	d := &diskState{disk: mem.New(), rand: r}
	d.trouble.rand = rand.New(rand.NewPCG(r.Uint64(), 0))
	return d
}

func (d *diskState) now() *mem.Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.disk
}

// crash leaves what was synced.
func (d *diskState) crash() { d.lose(mem.Loss{}) }

// crashTorn leaves what was synced, and parts of what was not.
func (d *diskState) crashTorn() {
	d.lose(mem.Loss{
		Name: func(string) bool { return d.rand.IntN(2) == 1 },
		Changes: func(_ string, unsynced []mem.Change) (survive []mem.Change) {
			for _, c := range unsynced {
				if c.Data == nil {
					continue
				}
				if c.Data = d.tear(c); len(c.Data) > 0 {
					survive = append(survive, c)
				}
			}
			return survive
		},
	})
}

func (d *diskState) lose(loss mem.Loss) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.disk = d.disk.Crashed(loss)
}

// tear lets a write survive whole, up to some sector, or not at all.
func (d *diskState) tear(c mem.Change) []byte {
	switch d.rand.IntN(3) {
	case 0:
		return nil
	case 1:
		from, to := c.Off, c.Off+int64(len(c.Data))
		if sectors := (to - from + sector - 1) / sector; sectors > 0 {
			to = min(to, (from/sector+d.rand.Int64N(sectors))*sector)
		}
		return c.Data[:max(0, to-from)]
	}
	return c.Data
}

// disk is the disk as one incarnation of a host uses it.
type disk struct {
	state *diskState
	life  *life
}

var _ host.Disk = (*disk)(nil)

func (d *disk) Open(name string) (host.File, error) {
	return d.file("open", name, (*mem.Disk).OpenFile)
}

func (d *disk) Create(name string) (host.File, error) {
	return d.file("create", name, (*mem.Disk).CreateFile)
}

func (d *disk) file(op, name string, open func(*mem.Disk, string) (*mem.File, error)) (host.File, error) {
	if err := d.life.err(op + " " + name); err != nil {
		return nil, err
	}
	f, err := open(d.state.now(), name)
	if err != nil {
		return nil, err
	}
	return &file{File: f, disk: d, name: name}, nil
}

func (d *disk) List(dir string) ([]string, error) {
	if err := d.life.err("list " + dir); err != nil {
		return nil, err
	}
	return d.state.now().List(dir)
}

func (d *disk) Rename(oldName, newName string) error {
	if err := d.life.err("rename " + oldName); err != nil {
		return err
	}
	return d.state.now().Rename(oldName, newName)
}

func (d *disk) Remove(name string) error {
	if err := d.life.err("remove " + name); err != nil {
		return err
	}
	return d.state.now().Remove(name)
}

// SetDiskCapacity bounds the bytes of a host's files; writes beyond fail as on a full disk. 0 is
// no bound.
func (w *World) SetDiskCapacity(name string, bytes int64) { w.diskOf(name).now().SetCapacity(bytes) }

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
	return w.diskOf(name).now().Files(folder)
}

// SetFiles replaces a host's whole disk, durably: what a host does that rolls back, or puts
// another host's files in place. The host SHOULD be down.
func (w *World) SetFiles(name string, files map[string][]byte) {
	w.diskOf(name).now().SetFiles(files)
}

func (w *World) diskOf(name string) *diskState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.machine(name).disk
}
