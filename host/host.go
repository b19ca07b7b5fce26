// Package host is the outside world as the enclave sees it: disk, network, clock and the device
// that makes attestation evidence. The host is trusted for availability only. Whatever comes back
// through these interfaces is checked by the caller: bytes may be old, torn, truncated, altered or
// replayed, and the time may be wrong.
//
// Because trusted code has no other way to the outside, a test that implements these interfaces
// controls everything: package host/sim runs a whole network in one process under virtual time.
//
// Trust: enclave
package host

import (
	"context"
	"io"
	"net"
	"time"
)

// Host is one machine as an enclave sees it.
type Host struct {
	Disk   Disk
	Net    Net
	Clock  Clock
	Quoter Quoter
	Sealer Sealer // nil if the TEE cannot seal
}

// Disk is one folder of files. Names are slash-separated and relative to it; folders come into
// being when a file is created in them.
type Disk interface {
	// Open opens an existing file for reading and writing. It fails with fs.ErrNotExist.
	Open(name string) (File, error)
	// Create makes a new file, or empties an existing one. The file's existence is durable once
	// its first Sync returns.
	Create(name string) (File, error)
	// List returns the names (not paths) of the files in a folder, sorted; none if it is absent.
	List(dir string) ([]string, error)
	// Rename moves a file over another, atomically and durably.
	Rename(oldName, newName string) error
	// Remove deletes a file.
	Remove(name string) error
}

// File is an open file. ReadAt and WriteAt may run concurrently on disjoint ranges.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync returns once the contents written before it are durable (fdatasync).
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

// Net reaches other machines over streams.
type Net interface {
	Listen(addr string) (net.Listener, error)
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// Clock tells the time and wakes sleepers. The time of day is the host's word; only durations
// matter for liveness, and neither matters for safety.
type Clock interface {
	Now() time.Time
	// Elapsed is the time since some moment before the enclave began. Unlike Now it does not jump
	// when the clock is set.
	Elapsed() time.Duration
	// Deadline returns the moment that is d from now, as the connections of this host's Net take deadlines. On a host that lies about
	// the time of day it differs from Now plus d.
	Deadline(d time.Duration) time.Time
	NewTicker(d time.Duration) Ticker
	// After sends the time once d has passed.
	After(d time.Duration) <-chan time.Time
}

// Ticker is a running ticker.
type Ticker interface {
	C() <-chan time.Time
	Stop()
}

// ReportDataSize is the number of bytes that a TEE binds into its evidence, on every platform.
const ReportDataSize = 64

// Quoter makes attestation evidence about the enclave that calls it.
type Quoter interface {
	// Platform is the evidence's kind, such as "virtual" or "snp".
	Platform() string
	// Quote returns evidence over the report data, in the platform's own format.
	Quote(ctx context.Context, reportData [ReportDataSize]byte) ([]byte, error)
}

// Sealer makes keys that only the same code on the same machine is given again, as a TEE derives them from a secret of its own and the measurement
// of the code that asks.
type Sealer interface {
	// Platform is that of the machine's evidence.
	Platform() string
	// SealingKey returns the 32 bytes of the key for a purpose: the same at every call by code of this measurement on this machine, and others
	// for any other code, machine or purpose. The slice is the caller's.
	SealingKey(ctx context.Context, purpose string) ([]byte, error)
}
