package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/sandbox/genesis"
)

// Create makes the folder of a new network, with everything that its nodes need to start, for those
// who start them in another way than Start does. The nodes have no addresses yet.
func Create(opts Options) (localnet.Info, error) {
	opts.completeMembers()
	if err := opts.validate(); err != nil {
		return localnet.Info{}, err
	}
	lay, err := Prepare(opts.Dir)
	if err != nil {
		return localnet.Info{}, err
	}
	parts, err := genesis.Parts(lay)
	if err != nil {
		return localnet.Info{}, err
	}
	if len(parts) > 0 {
		return localnet.Info{}, fmt.Errorf("%w: %s holds a network already: name another folder", coco.ErrInvalid, lay.Dir)
	}
	return genesis.Make(lay, opts.genesis(opts.Report))
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
		if st, lerr := os.Lstat(lay.Dir); lerr == nil && st.Mode()&fs.ModeSymlink != 0 {
			err = fmt.Errorf("%s is a link to something that is not there", lay.Dir)
		}
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
		lay.InfoFile(), lay.LockFile(), lay.LogFile(), lay.ConstitutionFile(), lay.InForceFile(), lay.ServiceFile(), lay.CommittedFile(), lay.Members(), lay.Nodes(), lay.Code(),
	}
	for _, e := range entries {
		name := filepath.Join(lay.Dir, e.Name())
		olderLog := strings.HasPrefix(name, lay.LogFile()+".")
		if !slices.Contains(ours, name) && !olderLog && e.Name()[0] != '.' {
			return foreign(lay, e.Name())
		}
	}
	if _, err := os.Lstat(lay.InfoFile()); err == nil {
		return nil
	}
	return checkParts(lay)
}

func foreign(lay localnet.Layout, name string) error {
	return fmt.Errorf("%w: %s holds %q, which is no part of a sandbox: name a new or an empty folder with --dir", coco.ErrInvalid, lay.Dir, name)
}

// checkParts makes sure that folders which have the names of a network's are a network's: a project has a folder bin, too.
func checkParts(lay localnet.Layout) error {
	member := func(name string) bool {
		d := lay.Member(name)
		return holdsAny(string(d), d.Org(), d.OrgKey(), d.Encryption(), d.User(), d.UserKey(), d.Gov(), d.GovKey())
	}
	node := func(name string) bool {
		d := lay.Node(name)
		return holdsAny(string(d), d.Config(), d.Log(), d.Ledger())
	}
	program := func(name string) bool {
		return strings.HasPrefix(name, strings.TrimSuffix(filepath.Base(lay.ProgramFile()), ".exe"))
	}
	for _, folder := range []struct {
		dir string
		is  func(name string) bool
	}{{lay.Members(), member}, {lay.Nodes(), node}, {lay.Code(), program}} {
		entries, err := os.ReadDir(folder.dir)
		if err != nil {
			continue // it is absent or not a folder: it is not looked into
		}
		for _, e := range entries {
			if e.Name()[0] != '.' && !folder.is(e.Name()) {
				return foreign(lay, filepath.Join(filepath.Base(folder.dir), e.Name()))
			}
		}
	}
	return nil
}

// holdsAny reports whether a folder is empty or has one of the files.
func holdsAny(dir string, files ...string) bool {
	if entries, err := os.ReadDir(dir); err != nil || len(entries) == 0 {
		return err == nil
	}
	return slices.ContainsFunc(files, func(name string) bool {
		_, err := os.Lstat(name)
		return err == nil
	})
}

// describe reads the description of the network that the folder holds. It fails with coco.ErrNotFound only if the folder
// holds nothing of any network, so that nothing is made in place of one.
func describe(lay localnet.Layout) (localnet.Info, error) {
	info, err := localnet.Load(lay.Dir)
	if err == nil {
		return info, nil
	}
	parts, perr := genesis.Parts(lay)
	switch {
	case perr != nil:
		return info, fmt.Errorf("%w: sandbox folder: %w", coco.ErrInvalid, perr)
	case len(parts) == 0:
		return info, err
	}
	for i, p := range parts {
		parts[i] = filepath.Base(p)
	}
	if errors.Is(err, coco.ErrNotFound) {
		err = fmt.Errorf("%w: %s is missing: it names the network's nodes and holds its accounts' keys", coco.ErrCorrupt, lay.InfoFile())
	}
	return info, fmt.Errorf("%w: nothing was changed; the folder holds %s of a network: restore sandbox.json from a copy of the folder, use another folder with --dir, or discard all of it with --fresh",
		err, strings.Join(parts, ", "))
}

// partMissing explains why a file of the network cannot be read, and what to do.
func partMissing(file string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s: %w: restore it from a copy of the folder, or discard the network with --fresh", coco.ErrInvalid, file, err)
	}
	what := "is missing"
	if _, lerr := os.Lstat(file); lerr == nil {
		what = "is a link to something that is not there"
	}
	return fmt.Errorf("%w: %s %s: restore it from a copy of the folder, or discard the network with --fresh", coco.ErrCorrupt, file, what)
}
