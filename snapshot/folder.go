package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host"
)

// List returns the whole snapshots of a folder, those of the lowest index first. It reads no more of a
// file than its end.
func List(disk host.Disk, dir string) ([]Info, error) {
	names, err := disk.List(dir)
	if err != nil {
		return nil, fmt.Errorf("listing snapshots in %s: %w", dir, err)
	}
	var out []Info
	for _, name := range names {
		i, ok := parseName(name)
		if !ok {
			continue
		}
		f, size, err := open(disk, join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // it got another name, or is gone
		}
		if err != nil {
			return nil, err
		}
		i.Bytes = uint64(size)
		if body, _, err := readTrailer(f, size); err == nil && !i.Pending {
			i.Bytes = uint64(body)
		}
		f.Close()
		out = append(out, i)
	}
	slices.SortFunc(out, func(a, b Info) int { return cmp.Or(cmp.Compare(a.Index, b.Index), cmp.Compare(a.Seqno, b.Seqno)) })
	return out, nil
}

// Confirm makes a pending snapshot, as Write or Receiver.Done returned it, a final one, with the
// receipt of the transaction by which the network recorded it. Until it returns the file may have either
// name; confirming again does no harm.
func Confirm(disk host.Disk, dir string, i Info, receipt []byte) error {
	i.Pending = true
	name := join(dir, i.Name())
	if len(receipt) == 0 || len(receipt) > maxReceipt {
		return fmt.Errorf("%w: snapshot %s: a receipt of %d bytes, expected 1 to %d", coco.ErrInvalid, name, len(receipt), maxReceipt)
	}
	f, size, err := open(disk, name)
	if err != nil {
		return err
	}
	if uint64(size) < i.Bytes || i.Bytes == 0 {
		f.Close()
		return corrupt(name, "it has %d bytes, expected %d", size, i.Bytes)
	}
	trailer := appendTrailer(nil, receipt, i.Bytes)
	_, err = f.WriteAt(trailer, int64(i.Bytes))
	if err == nil {
		err = f.Truncate(int64(i.Bytes) + int64(len(trailer)))
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("snapshot %s: appending its receipt: %w", name, err)
	}
	i.Pending = false
	return disk.Rename(name, join(dir, i.Name()))
}

// Remove removes a snapshot's file.
func Remove(disk host.Disk, dir string, i Info) error {
	if err := disk.Remove(join(dir, i.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("snapshot %s: %w", i.Name(), err)
	}
	return nil
}

// Sweep removes what a crash left of files that were being written or received. It MUST NOT run
// while a file is.
func Sweep(disk host.Disk, dir string) error {
	names, err := disk.List(dir)
	if err != nil {
		return fmt.Errorf("listing snapshots in %s: %w", dir, err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, prefix) && strings.HasSuffix(name, part) {
			err = errors.Join(err, disk.Remove(join(dir, name)))
		}
	}
	return err
}
