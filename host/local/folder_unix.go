//go:build !windows

package local

import (
	"errors"
	"os"
	"syscall"
)

// syncFolder makes a folder's entries durable.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) { // some file systems keep folders durable and refuse the call
		err = nil
	}
	return errors.Join(err, d.Close())
}
