package tsm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/tsm"
)

// kernel behaves as configfs-tsm does: see Linux, drivers/virt/coco/tsm.c.
type kernel struct {
	mu       sync.Mutex
	provider string
	busy     int   // answers EBUSY so often
	fail     error // of mkdir
	noAux    bool
	others   int // writes of others
	entries  map[string]*entry
	made     int
}

type entry struct {
	in         []byte
	generation int
}

func (k *kernel) files() *tsm.Files {
	k.entries = make(map[string]*entry)
	return &tsm.Files{Mkdir: k.mkdir, Write: k.write, Read: k.read, Remove: k.remove}
}

func (k *kernel) mkdir(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return &fs.PathError{Op: "mkdir", Path: name, Err: k.fail}
	}
	if path.Dir(name) != tsm.Root || k.entries[name] != nil {
		return fs.ErrExist
	}
	k.made++
	k.entries[name] = &entry{}
	return nil
}

func (k *kernel) write(name string, b []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.entries[path.Dir(name)]
	if e == nil || path.Base(name) != "inblob" {
		return fs.ErrNotExist
	}
	if len(b) == 0 || len(b) > 64 {
		return syscall.EINVAL
	}
	e.in = bytes.Clone(b)
	e.generation += 1 + k.others
	return nil
}

func (k *kernel) read(name string) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e := k.entries[path.Dir(name)]
	if e == nil {
		return nil, fs.ErrNotExist
	}
	switch path.Base(name) {
	case "provider":
		return []byte(k.provider + "\n"), nil
	case "generation":
		return fmt.Appendf(nil, "%d\n", e.generation), nil
	case "outblob":
		if e.in == nil {
			return nil, syscall.EINVAL
		}
		if k.busy > 0 {
			k.busy--
			return nil, &fs.PathError{Op: "read", Path: name, Err: syscall.EBUSY}
		}
		return append([]byte("out:"), e.in...), nil
	case "auxblob":
		if k.noAux || k.provider != tsm.SEV {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return []byte("aux"), nil
	default:
		return nil, fs.ErrNotExist
	}
}

func (k *kernel) remove(name string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.entries[name] == nil {
		return fs.ErrNotExist
	}
	delete(k.entries, name)
	return nil
}

func data(b byte) (d [host.ReportDataSize]byte) {
	d[0], d[63] = b, b
	return d
}

func TestReportsCarryTheDataAndLeaveNothing(t *testing.T) {
	for name, c := range map[string]struct {
		kernel *kernel
		aux    string
	}{
		"TDX":                      {&kernel{provider: tsm.TDX}, ""},
		"SEV-SNP":                  {&kernel{provider: tsm.SEV}, "aux"},
		"SEV-SNP, no certificates": {&kernel{provider: tsm.SEV, noAux: true}, ""},
	} {
		d := tsm.Device{Files: c.kernel.files()}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				in := data(byte(i))
				r, err := d.Report(t.Context(), in)
				if err != nil || r.Provider != c.kernel.provider || !bytes.Equal(r.Out, append([]byte("out:"), in[:]...)) || string(r.Aux) != c.aux {
					t.Errorf("%s: found %+v, %v", name, r, err)
				}
			})
		}
		wg.Wait()
		if c.kernel.made != 8 || len(c.kernel.entries) != 0 {
			t.Errorf("%s: %d reports of %d are left", name, len(c.kernel.entries), c.kernel.made)
		}
		if found, err := d.Provider(); err != nil || found != c.kernel.provider {
			t.Errorf("%s: found %q, %v", name, found, err)
		}
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	for name, c := range map[string]struct {
		kernel *kernel
		kind   error
		want   string
	}{
		"no interface":  {&kernel{fail: syscall.ENOENT}, coco.ErrNotFound, "this machine is no SEV-SNP or TDX guest"},
		"no driver":     {&kernel{fail: syscall.ENXIO}, coco.ErrNotFound, "load sev-guest or tdx-guest"},
		"no permission": {&kernel{fail: syscall.EACCES}, coco.ErrDenied, "must run as root"},
		"other TEE":     {&kernel{provider: "cca_guest"}, coco.ErrNotFound, `found "cca_guest"`},
		"other writer":  {&kernel{provider: tsm.TDX, others: 1}, nil, "written to 2 times"},
	} {
		_, err := tsm.Device{Files: c.kernel.files()}.Report(t.Context(), data(1))
		if err == nil || c.kind != nil && !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: found %v", name, err)
		}
		if len(c.kernel.entries) != 0 {
			t.Errorf("%s: it is left", name)
		}
	}
}

func TestBusyDeviceIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{provider: tsm.TDX, busy: 5}
		d := tsm.Device{Files: k.files()}
		if _, err := d.Report(t.Context(), data(1)); err != nil {
			t.Error(err)
		}
		k.busy = 1000
		if _, err := d.Report(t.Context(), data(1)); !errors.Is(err, syscall.EBUSY) {
			t.Errorf("found %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		if _, err := d.Report(ctx, data(1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("found %v", err)
		}
	})
}

func TestQuoterIsOfOnePlatform(t *testing.T) {
	k := &kernel{provider: tsm.SEV}
	d := tsm.Device{Files: k.files()}
	q := tsm.Quoter{Device: d, Name: "snp", Wants: tsm.SEV}
	in := data(1)
	b, err := q.Quote(t.Context(), in)
	if err != nil || q.Platform() != "snp" || string(b) != "out:"+string(in[:])+"aux" {
		t.Errorf("found %q, %v", b, err)
	}
	q.Evidence = func(r tsm.Report) ([]byte, error) { return append([]byte("made of "), r.Out[:3]...), nil }
	if b, err := q.Quote(t.Context(), in); err != nil || string(b) != "made of out" {
		t.Errorf("found %q, %v", b, err)
	}
	other := tsm.Quoter{Device: d, Name: "tdx", Wants: tsm.TDX}
	if _, err := other.Quote(t.Context(), in); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("found %v", err)
	}
}

func TestThisMachineIsAskedWithoutHarm(t *testing.T) {
	name, err := (tsm.Device{Root: t.TempDir() + "/absent"}).Provider()
	if !errors.Is(err, coco.ErrNotFound) || name != "" {
		t.Errorf("found %q, %v", name, err)
	}
	// A folder that no kernel fills.
	if _, err := (tsm.Device{Root: t.TempDir()}).Report(t.Context(), data(1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("found %v", err)
	}
}
