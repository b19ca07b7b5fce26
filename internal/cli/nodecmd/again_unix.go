//go:build unix

package nodecmd

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// invoked returns the path by which this process was started, as a link if it is one. It MUST be called before the working directory changes.
func invoked() string {
	path, err := exec.LookPath(os.Args[0])
	if err != nil {
		return ""
	}
	if path, err = filepath.Abs(path); err != nil {
		return ""
	}
	return path
}

// again begins this process anew, with the same arguments: as the program to which the path leads now, or, if that cannot be run, as this one. It
// returns only with an error. The process id stays, so what started the node, a service manager or a container, need not know.
func again(path string) error {
	err := syscall.Exec(path, os.Args, os.Environ())
	self, failed := os.Executable()
	if failed == nil {
		failed = syscall.Exec(self, os.Args, os.Environ())
	}
	return errors.Join(err, failed)
}
