// Package atomicfile writes files as a whole:
//
//	data ──▶ .NAME-random ──sync──▶ rename ──▶ NAME    Write: the program's own files, which it replaces
//	                              └▶ link ────▶ NAME    Create: files that a person named, which are never replaced
//
// A reader or a crash finds the old file or the new one, never a part. What Write makes is readable by its
// owner alone, because keys and tokens are written by the same call as everything else.
//
// Trust: host
package atomicfile

import (
	"fmt"
	"os"
	"path/filepath"
)

// Write replaces a file, and makes its folder if that is missing. A crash may leave the temporary
// file, whose name begins with a dot, behind.
func Write(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once renamed
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return os.Rename(f.Name(), name) // CreateTemp's mode is 0600
}
