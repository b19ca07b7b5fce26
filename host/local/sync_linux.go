package local

import (
	"golang.org/x/sys/unix"
)

// syncData flushes the contents and what is needed to read them back, not the times of access
// and change: that halves the cost of a sync that changes no size.
func (f *file) syncData() error {
	var err error
	if e := f.raw.Control(func(fd uintptr) {
		for {
			if err = unix.Fdatasync(int(fd)); err != unix.EINTR {
				return
			}
		}
	}); e != nil {
		return e
	}
	return err
}
