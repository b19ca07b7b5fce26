package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/sandbox/genesis"
)

// Create makes the folder of a new network, with everything that its nodes need to start, for those
// who start them in another way than Start does. The nodes have no addresses yet.
func Create(opts Options) (localnet.Info, error) {
	if opts.Members == 0 {
		opts.Members = DefaultMembers
	}
	if err := opts.validate(); err != nil {
		return localnet.Info{}, err
	}
	lay, err := Prepare(opts.Dir)
	if err != nil {
		return localnet.Info{}, err
	}
	if _, err := localnet.Load(lay.Dir); !errors.Is(err, coco.ErrNotFound) {
		return localnet.Info{}, fmt.Errorf("%w: %s holds a network already: name another folder", coco.ErrInvalid, lay.Dir)
	}
	info, err := genesis.Make(lay, opts.genesis(opts.Report))
	if err != nil {
		return localnet.Info{}, err
	}
	return info, info.Save()
}

// Prepare makes the folder of a sandbox, unless it is there. It refuses one with other contents.
func Prepare(dir string) (localnet.Layout, error) {
	lay, err := localnet.NewLayout(dir)
	if err != nil {
		return lay, err
	}
	if err := checkFolder(lay); err != nil {
		return lay, err
	}
	if err := os.MkdirAll(lay.Dir, 0o700); err != nil {
		return lay, fmt.Errorf("%w: sandbox folder: %w", coco.ErrInvalid, err)
	}
	return lay, nil
}

// checkFolder makes sure that a sandbox may live in the folder. One that holds other files is used for
// something else.
func checkFolder(lay localnet.Layout) error {
	entries, err := os.ReadDir(lay.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: sandbox folder: %w", coco.ErrInvalid, err)
	}
	ours := []string{
		lay.InfoFile(), lay.LockFile(), lay.LogFile(), lay.ConstitutionFile(), lay.InForceFile(), lay.ServiceFile(), lay.Members(), lay.Nodes(), lay.Code(),
	}
	for _, e := range entries {
		if !slices.Contains(ours, filepath.Join(lay.Dir, e.Name())) && e.Name()[0] != '.' {
			return fmt.Errorf("%w: %s holds %q, which is no part of a sandbox: name a new or an empty folder with --dir", coco.ErrInvalid, lay.Dir, e.Name())
		}
	}
	return nil
}
