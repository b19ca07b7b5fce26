//go:build unix

package nodecmd

import (
	"os"
	"syscall"
)

// again begins this process anew, with the same arguments: as the program that is at the same path now. It returns only with an error. The process
// id stays, so what started the node, a service manager or a container, need not know.
func again() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(program, os.Args, os.Environ())
}
