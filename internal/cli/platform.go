package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/host"
)

// Platform is an attestation driver, and the device that makes evidence for it. Of a platform with neither Quoter nor Device the program reads evidence, and makes none.
type Platform struct {
	Verifier attest.Verifier
	// Measure returns the measurement of the program that runs, and Quoter the device for a program with that measurement: of the simulated TEE, which runs anywhere.
	Measure func() (coco.Measurement, error)
	Quoter  func(coco.Measurement) (host.Quoter, error)
	// Device opens the device of a machine, at a path or, if that is empty, at the usual place. It may implement io.Closer. The error wraps coco.ErrNotFound if the
	// machine has none. What it measures, its own evidence says.
	Device func(at string) (host.Quoter, error)
	// Sealer opens what seals to the code that runs and to the machine with this disk; nil if the program cannot seal on the platform.
	Sealer func(host.Disk) (host.Sealer, error)
	// Needs says for people what a machine must have.
	Needs string
	// Pick chooses from a folder of collateral what evidence of a quote must carry; everything if it is nil.
	Pick func(quote []byte, s *collateral.Set) *collateral.Set
}

// Name is the platform's name.
func (p Platform) Name() string { return p.Verifier.Platform() }

// Makes reports whether nodes can run on the platform.
func (p Platform) Makes() bool { return p.Device != nil || p.Quoter != nil }

// Open opens the device that makes evidence. The caller closes it if it is an io.Closer.
func (p Platform) Open(at string) (host.Quoter, error) {
	switch {
	case p.Device != nil:
		return p.Device(at)
	case p.Quoter == nil:
		return nil, fmt.Errorf("%w: this program reads evidence of platform %q, but runs no nodes on it", coco.ErrInvalid, p.Name())
	case at != "":
		return nil, fmt.Errorf("%w: device = %q: platform %q has no device", coco.ErrInvalid, at, p.Name())
	}
	code, err := p.Measure()
	if err != nil {
		return nil, err
	}
	return p.Quoter(code)
}

// Seals opens what seals on a machine with this disk; nil if the program cannot seal on the platform.
func (p Platform) Seals(disk host.Disk) (host.Sealer, error) {
	if p.Sealer == nil {
		return nil, nil
	}
	return p.Sealer(disk)
}

// Self returns the claims about the code that asks a device of this platform, by its own evidence. The error is that of the device, or wraps
// coco.ErrVerify if the evidence does not verify here: most often for want of collateral.
func (p Platform) Self(ctx context.Context, q host.Quoter) (attest.Evidence, attest.Claims, error) {
	ev, err := attest.Quote(ctx, q, "coco self", nil, nil)
	if err != nil {
		return ev, attest.Claims{}, err
	}
	claims, err := attest.Verifiers{p.Verifier}.Verify(ev, time.Now())
	return ev, claims, err
}

// Platform returns the platform of a name; the empty name is the one that nodes run on if nothing is said. The error is coco.ErrInvalid.
func (p *Program) Platform(name string) (Platform, error) {
	if name == "" {
		return p.Own(), nil
	}
	var names []string
	for _, platform := range p.Platforms {
		if platform.Name() == name {
			return platform, nil
		}
		if platform.Makes() {
			names = append(names, platform.Name())
		}
	}
	return Platform{}, fmt.Errorf("%w: platform = %q: this program runs nodes on %s", coco.ErrInvalid, name, strings.Join(names, ", "))
}

// WithCollateral returns a device whose evidence carries what a folder has: the vendor's certificates and lists. Whoever gets the evidence then needs no folder. The folder
// is read again after a minute, so that what its owner refreshes is carried soon.
func (p Platform) WithCollateral(q host.Quoter, dir string) (host.Quoter, error) {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%w: collateral = %q: expected a folder", coco.ErrInvalid, dir)
	}
	c := &carrier{Quoter: q, pick: p.Pick, dir: dir, folder: collateral.Folder{FS: os.DirFS(dir)}}
	_, err := c.set(time.Now())
	return c, err
}

// carrier is a device whose evidence carries collateral.
type carrier struct {
	host.Quoter
	pick   func([]byte, *collateral.Set) *collateral.Set // may be nil
	dir    string
	folder collateral.Folder

	mu   sync.Mutex
	read time.Time // when the folder was read last, under mu; zero if it was not
}

const collateralAge = time.Minute

func (c *carrier) set(now time.Time) (*collateral.Set, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.read.IsZero() || now.Sub(c.read) >= collateralAge {
		if err := c.folder.Load(); err != nil {
			return nil, fmt.Errorf("collateral in %s: %w", c.dir, err)
		}
		c.read = now
	}
	return c.folder.Set(), nil
}

// Quote implements host.Quoter.
func (c *carrier) Quote(ctx context.Context, reportData [host.ReportDataSize]byte) ([]byte, error) {
	quote, err := c.Quoter.Quote(ctx, reportData)
	if err != nil {
		return nil, err
	}
	s, err := c.set(time.Now())
	if err != nil {
		return nil, err
	}
	if c.pick != nil {
		s = c.pick(quote, s)
	}
	b, err := collateral.Bundle(quote, s)
	if err == nil && len(b) > attest.MaxQuote {
		err = fmt.Errorf("%w: evidence of %d bytes with the collateral in %s: expected at most %d: keep there only what is about this machine", coco.ErrInvalid, len(b), c.dir, attest.MaxQuote)
	}
	return b, err
}

// Close closes the device.
func (c *carrier) Close() error { return Close(c.Quoter) }

// Close closes a device if it can be closed.
func Close(q host.Quoter) error {
	if closer, ok := q.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
