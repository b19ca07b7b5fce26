package genesis

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/localnet"
)

// A new network is moved to its place in steps, each a rename:
//
//	1  .new-network/ is made, its sandbox.json last
//	2  .old-network/ is made, if a network is to be discarded
//	3  the old network is moved there, its sandbox.json first
//	4  the new one is moved out of .new-network, its sandbox.json last
//	5  both folders are removed
//
// At any moment sandbox.json is absent from the folder or belongs to a network that is whole, and [Finish] can tell
// from the files alone how far it came.

// stageOf is where a new network is made.
func stageOf(lay localnet.Layout) localnet.Layout {
	return localnet.Layout{Dir: filepath.Join(lay.Dir, ".new-network")}
}

// oldOf is where a network goes that is discarded.
func oldOf(lay localnet.Layout) localnet.Layout {
	return localnet.Layout{Dir: filepath.Join(lay.Dir, ".old-network")}
}

// part is a file or a folder of a network.
type part struct {
	of func(localnet.Layout) string
	// later says that it is made once the network runs: Make never makes it.
	later bool
}

// parts are all but sandbox.json.
var parts = []part{
	{localnet.Layout.ConstitutionFile, false},
	{localnet.Layout.Members, false},
	{localnet.Layout.Nodes, false},
	{localnet.Layout.Code, false},
	{localnet.Layout.InForceFile, true},
	{localnet.Layout.ServiceFile, true},
	{localnet.Layout.CommittedFile, true},
}

// Parts returns the files and folders of a network that are in the folder, sandbox.json first. A link that
// leads nowhere is there.
func Parts(lay localnet.Layout) (found []string, err error) {
	names := []string{lay.InfoFile()}
	for _, p := range parts {
		names = append(names, p.of(lay))
	}
	for _, name := range names {
		switch there, err := exists(name); {
		case err != nil:
			return nil, err
		case there:
			found = append(found, name)
		}
	}
	return found, nil
}

// Finish finishes or undoes a [Make] that was interrupted in the folder. No node and no Make may run in it.
func Finish(lay localnet.Layout) error {
	stage, old := stageOf(lay), oldOf(lay)
	var there [4]bool
	for i, name := range []string{stage.Dir, stage.InfoFile(), old.Dir, lay.InfoFile()} {
		var err error
		if there[i], err = exists(name); err != nil {
			return err
		}
	}
	staged, whole, discarding, placed := there[0], there[1], there[2], there[3]
	switch {
	case !staged && !discarding:
		return nil
	case whole && placed: // the old network is in its place still
		if err := os.Remove(old.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: undoing the start of a new network: %w", coco.ErrInvalid, err)
		}
		return remove(stage)
	case whole:
		err := place(lay, false, os.Rename)
		if !errors.Is(err, errOccupied) {
			return err
		}
		// Nothing of the new network was moved: what is in the folder was put there by somebody else.
		return remove(stage)
	case placed: // the new network is in its place
		if err := remove(stage); err != nil {
			return err
		}
		return remove(old)
	case discarding:
		return fmt.Errorf("%w: %s holds a network that was being discarded, and the new one is missing: move its files back to %s, or remove it", coco.ErrInvalid, old.Dir, lay.Dir)
	}
	return remove(stage)
}

// errOccupied says that the folder holds a network which is not to be discarded.
var errOccupied = errors.New("another network is in the folder")

// place moves a network that is made to its place, and discards the one that is there, if that is wanted now or was
// when it began. rename is os.Rename.
func place(lay localnet.Layout, replace bool, rename func(from, to string) error) error {
	stage, old := stageOf(lay), oldOf(lay)
	if replace {
		if err := os.MkdirAll(old.Dir, 0o700); err != nil {
			return fmt.Errorf("discarding the old network: %w", err)
		}
	}
	discarding, err := exists(old.Dir)
	if err != nil {
		return err
	}
	for _, p := range append([]part{{localnet.Layout.InfoFile, false}}, parts...) {
		here, err := exists(p.of(lay))
		if err != nil {
			return err
		}
		new, err := exists(p.of(stage))
		if err != nil {
			return err
		}
		if !here || !new && !p.later {
			continue // nothing was there, or the new one is in its place already
		}
		if !discarding {
			return fmt.Errorf("%w: %s: %w", coco.ErrInvalid, p.of(lay), errOccupied)
		}
		if err := rename(p.of(lay), p.of(old)); err != nil {
			return fmt.Errorf("discarding the old network: %w", err)
		}
	}
	// move moves a part to its place, unless it is there already.
	move := func(from, to string) error {
		if err := rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("moving the new network to its place: %w", err)
		}
		return nil
	}
	for _, p := range parts {
		if err := move(p.of(stage), p.of(lay)); err != nil {
			return err
		}
	}
	if err := syncFolder(lay.Dir); err != nil {
		return err
	}
	if err := move(stage.InfoFile(), lay.InfoFile()); err != nil {
		return err
	}
	if err := syncFolder(lay.Dir); err != nil {
		return err
	}
	if err := remove(stage); err != nil {
		return err
	}
	return remove(old)
}

func remove(lay localnet.Layout) error {
	if err := os.RemoveAll(lay.Dir); err != nil {
		return fmt.Errorf("removing what is not needed any more: %w", err)
	}
	return nil
}

// exists reports whether a name is taken, be it by a link that leads nowhere.
func exists(name string) (bool, error) {
	_, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// syncFolder makes the names in a folder durable, where the system can.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
