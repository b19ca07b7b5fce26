package node_test

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/node"
)

// countedNet counts the listeners that are open, and binds no more than some.
type countedNet struct {
	host.Net
	binds, open atomic.Int32
}

var errBind = errors.New("address already in use")

func (n *countedNet) Listen(address string) (net.Listener, error) {
	if n.binds.Add(-1) < 0 {
		return nil, errBind
	}
	l, err := n.Net.Listen(address)
	if err != nil {
		return nil, err
	}
	n.open.Add(1)
	return &countedListener{Listener: l, net: n}, nil
}

type countedListener struct {
	net.Listener
	net    *countedNet
	closed atomic.Bool
}

func (l *countedListener) Close() error {
	if l.closed.CompareAndSwap(false, true) {
		l.net.open.Add(-1)
	}
	return l.Listener.Close()
}

// countedDisk counts the files that are open.
type countedDisk struct {
	host.Disk
	open atomic.Int32
}

func (d *countedDisk) Open(name string) (host.File, error)   { return d.count(d.Disk.Open(name)) }
func (d *countedDisk) Create(name string) (host.File, error) { return d.count(d.Disk.Create(name)) }

func (d *countedDisk) count(f host.File, err error) (host.File, error) {
	if err != nil {
		return nil, err
	}
	d.open.Add(1)
	return &countedFile{File: f, disk: d}, nil
}

type countedFile struct {
	host.File
	disk   *countedDisk
	closed atomic.Bool
}

func (f *countedFile) Close() error {
	if f.closed.CompareAndSwap(false, true) {
		f.disk.open.Add(-1)
	}
	return f.File.Close()
}

func TestRunClosesItsListenersWhenOneCannotBeBound(t *testing.T) {
	for bound, listener := range []string{"for nodes", "for clients", "for members who govern"} {
		t.Run(listener, func(t *testing.T) {
			simulate(t, 1, func(t *testing.T, n *network) {
				var at *countedNet
				n.Alter = func(c *node.Config) {
					c.AdminListen = c.Name + ":9000"
					at = &countedNet{Net: c.Host.Net}
					at.binds.Store(int32(bound))
					c.Host.Net = at
				}
				r := n.Start(0, n.Found)
				<-r.Done()
				n.Forget(0)
				if !errors.Is(r.Err(), errBind) {
					t.Errorf("the listener %s cannot be bound, and Run returns %v", listener, r.Err())
				}
				if open := at.open.Load(); open != 0 {
					t.Errorf("the listener %s cannot be bound, and %d others stay open", listener, open)
				}
			})
		})
	}
}

func TestRunLeavesNothingOpen(t *testing.T) {
	for name, run := range map[string]struct {
		how  func(*network) func(*node.Config)
		fail bool
	}{
		"it ends":                         {func(n *network) func(*node.Config) { return n.Join(0) }, false},
		"it would begin a second network": {func(n *network) func(*node.Config) { return n.Found }, true},
		"it recovers, unapproved":         {func(n *network) func(*node.Config) { return func(c *node.Config) { n.Recover(c); c.Approve[0]++ } }, true},
		"a ledger of the constitution is not there": {func(n *network) func(*node.Config) {
			return func(c *node.Config) { n.Join(0)(c); c.Adapters = []adapter.Adapter{renamed{kv.Adapter{}}} }
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				n.open()
				time.Sleep(time.Second) // until all vote
				if err := n.Halt(1); err != nil {
					t.Error(err)
				}
				at, disk := &countedNet{}, &countedDisk{}
				n.Alter = func(c *node.Config) {
					c.AdminListen = c.Name + ":9000"
					at.Net, disk.Disk = c.Host.Net, c.Host.Disk
					at.binds.Store(3)
					c.Host.Net, c.Host.Disk = at, disk
				}
				r := n.Start(1, run.how(n))
				if !run.fail {
					n.waitReady(r)
					r.Stop()
				}
				<-r.Done()
				n.Forget(1)
				if run.fail != (r.Err() != nil) {
					t.Errorf("Run returns %v", r.Err())
				}
				if open := at.open.Load(); open != 0 {
					t.Errorf("%d listeners stay open", open)
				}
				if open := disk.open.Load(); open != 0 {
					t.Errorf("%d files stay open", open)
				}
			})
		})
	}
}

// renamed is an adapter under a name that no constitution lists.
type renamed struct{ adapter.Adapter }

func (r renamed) Manifest() adapter.Manifest {
	m := r.Adapter.Manifest()
	m.Name = "another"
	return m
}
