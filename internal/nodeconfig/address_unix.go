//go:build unix

package nodeconfig

import "syscall"

// ErrAddressInUse is the system's error for a listener's address that another process has.
const ErrAddressInUse = syscall.EADDRINUSE
