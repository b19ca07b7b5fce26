// Package tsm asks Linux for attestation reports by configfs-tsm, the interface that SEV-SNP and TDX guests share (Documentation/ABI/testing/configfs-tsm-report; Linux 6.7 and later).
//
// A report is a folder that the caller makes below /sys/kernel/config/tsm/report and the kernel fills with files:
//
//	inblob      written: the report data, 64 bytes
//	provider    who answers: sev_guest or tdx_guest
//	outblob     the report (SEV-SNP), the quote (TDX)
//	auxblob     SEV-SNP: the certificate table that the host hands out
//	generation  how often the folder was written to
//
// The kernel is inside the TEE, and what it returns is signed by the TEE; the host may refuse or delay an answer. Root needs CAP_SYS_ADMIN or the permission of the folder.
//
// Trust: host
package tsm

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// Providers.
const (
	SEV = "sev_guest"
	TDX = "tdx_guest"
)

// Root is where Linux has the interface.
const Root = "/sys/kernel/config/tsm/report"

// MaxBlob bounds an answer in bytes.
const MaxBlob = 128 << 10

// Files are the operations on the interface. The zero value is the operating system's; tests stand in for the kernel.
type Files struct {
	Mkdir  func(name string) error
	Write  func(name string, b []byte) error
	Read   func(name string) ([]byte, error)
	Remove func(name string) error
}

func system() Files {
	return Files{
		Mkdir:  func(name string) error { return os.Mkdir(name, 0o700) },
		Write:  func(name string, b []byte) error { return os.WriteFile(name, b, 0) },
		Read:   os.ReadFile,
		Remove: os.Remove, // rmdir: the kernel removes the files
	}
}

// Device is the interface of one machine. It is safe for concurrent use: each report has a folder of its own.
type Device struct {
	// Root is Root if it is empty.
	Root  string
	Files *Files // nil: the operating system's
}

// folder makes a folder for one report, of a name of its own, which the caller MUST remove. The error wraps coco.ErrNotFound if nobody answers on this machine.
func (d Device) folder() (files Files, dir string, err error) {
	root, files := cmp.Or(d.Root, Root), system()
	if d.Files != nil {
		files = *d.Files
	}
	name := make([]byte, 8)
	_, _ = rand.Read(name) // it never fails
	dir = path.Join(root, "coco-"+hex.EncodeToString(name))
	if err := files.Mkdir(dir); err != nil {
		return files, dir, explain(err, root)
	}
	return files, dir, nil
}

// Report is an answer of the kernel.
type Report struct {
	Provider string
	Out, Aux []byte
}

// tries and pause bound how long a report waits for others that use the device: the kernel serves one at a time.
const (
	tries = 20
	pause = 100 * time.Millisecond
)

// Report asks for a report over the report data. The kernel bounds the time that a TEE may take, to about a minute.
func (d Device) Report(ctx context.Context, reportData [host.ReportDataSize]byte) (r Report, err error) {
	files, dir, err := d.folder()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, files.Remove(dir)) }()
	if r.Provider, err = provider(files, dir); err != nil {
		return r, err
	}
	before, err := generation(files, dir)
	if err != nil {
		return r, err
	}
	if err := files.Write(path.Join(dir, "inblob"), reportData[:]); err != nil {
		return r, fmt.Errorf("give the report data to %s: %w", r.Provider, err)
	}
	if r.Out, err = blob(ctx, files, path.Join(dir, "outblob")); err != nil {
		return r, fmt.Errorf("report of %s: %w", r.Provider, err)
	}
	if r.Provider == SEV {
		// Hosts that hand out no certificates have no table.
		if r.Aux, err = blob(ctx, files, path.Join(dir, "auxblob")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return r, fmt.Errorf("certificates from %s: %w", r.Provider, err)
		}
	}
	after, err := generation(files, dir)
	if err == nil && after != before+1 {
		err = fmt.Errorf("report of %s: its folder was written to %d times, expected once: another program uses %s", r.Provider, after-before, dir)
	}
	return r, err
}

// Provider says who answers on this machine. The error wraps coco.ErrNotFound if nobody does.
func (d Device) Provider() (name string, err error) {
	files, dir, err := d.folder()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, files.Remove(dir)) }()
	return provider(files, dir)
}

func explain(err error, root string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s is not there: this machine is no SEV-SNP or TDX guest, its kernel is older than Linux 6.7, or configfs is not mounted or the guest driver (sev-guest, tdx-guest) not loaded", coco.ErrNotFound, root)
	case errors.Is(err, syscall.ENXIO):
		return fmt.Errorf("%w: no driver answers at %s: load sev-guest or tdx-guest", coco.ErrNotFound, root)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: make a folder in %s: %w; the node must run as root or be given the folder", coco.ErrDenied, root, err)
	default:
		return fmt.Errorf("make a folder in %s: %w", root, err)
	}
}

func provider(files Files, dir string) (string, error) {
	b, err := files.Read(path.Join(dir, "provider"))
	name := string(bytes.TrimSpace(b))
	if err == nil && name != SEV && name != TDX {
		err = fmt.Errorf("%w: found %q, expected %s or %s", coco.ErrNotFound, name, SEV, TDX)
	}
	if err != nil {
		return "", fmt.Errorf("provider of reports: %w", err)
	}
	return name, nil
}

func generation(files Files, dir string) (uint64, error) {
	b, err := files.Read(path.Join(dir, "generation"))
	if err != nil {
		return 0, fmt.Errorf("generation of a report: %w", err)
	}
	return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
}

// blob reads an answer, again while the device is busy.
func blob(ctx context.Context, files Files, name string) ([]byte, error) {
	for n := 1; ; n++ {
		b, err := files.Read(name)
		switch {
		case err == nil && len(b) > MaxBlob:
			return nil, fmt.Errorf("%d bytes: expected at most %d", len(b), MaxBlob)
		case err == nil || n == tries || !errors.Is(err, syscall.EBUSY) && !errors.Is(err, syscall.EAGAIN):
			return b, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// Quoter makes evidence of one platform.
type Quoter struct {
	Device
	// Name is the platform, Wants its provider.
	Name, Wants string
	// Evidence makes evidence of a report: a platform adds what its verifiers need. It may be nil: then the evidence is Out followed by Aux.
	Evidence func(Report) ([]byte, error)
}

var _ host.Quoter = Quoter{}

// Platform implements host.Quoter.
func (q Quoter) Platform() string { return q.Name }

// Quote implements host.Quoter.
func (q Quoter) Quote(ctx context.Context, reportData [host.ReportDataSize]byte) ([]byte, error) {
	r, err := q.Report(ctx, reportData)
	switch {
	case err != nil:
		return nil, err
	case r.Provider != q.Wants:
		return nil, fmt.Errorf("%w: this machine's reports are of %s: platform %q needs %s", coco.ErrNotFound, r.Provider, q.Name, q.Wants)
	case q.Evidence == nil:
		return append(r.Out, r.Aux...), nil
	}
	return q.Evidence(r)
}
