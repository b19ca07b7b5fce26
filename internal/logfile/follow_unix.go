//go:build unix

package logfile

import (
	"os"

	"golang.org/x/sys/unix"
)

// follow has the process's standard error go on in another file, if it goes to the one that is left.
func follow(from, to *os.File) {
	left, err := from.Stat()
	if err != nil {
		return
	}
	if own, err := os.Stderr.Stat(); err == nil && os.SameFile(left, own) {
		_ = dup(int(to.Fd()), unix.Stderr) // it stays where it is
	}
}

func rename(f *File, to string) error { return os.Rename(f.name, to) }
