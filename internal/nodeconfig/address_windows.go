package nodeconfig

import "syscall"

// ErrAddressInUse is the system's error for a listener's address that another process has:
// WSAEADDRINUSE, which syscall.EADDRINUSE is not.
const ErrAddressInUse = syscall.Errno(10048)
