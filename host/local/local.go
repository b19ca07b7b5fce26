// Package local is the honest host: a folder of the operating system's file system, its TCP
// sockets and its clock. It works on every platform that Go supports and needs no cgo.
//
// A folder belongs to one process at a time. Two nodes that write one ledger would destroy it,
// so Open takes a lock that the operating system drops by itself when the process ends.
//
// Trust: host
package local

import "github.com/cocoframework/coco/host"

// Host returns this machine as an enclave sees it, with the disk and the evidence device given.
// The device may be nil for a process that never attests, such as an audit.
func Host(disk host.Disk, quoter host.Quoter) host.Host {
	return host.Host{Disk: disk, Net: Net{}, Clock: Clock{}, Quoter: quoter}
}
