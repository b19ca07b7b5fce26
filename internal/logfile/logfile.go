// Package logfile is a log in a file that stays within bounds, and that another program may rotate.
//
//	record ──▶ Write ──▶ node.log ──full──▶ node.log.1 ──▶ node.log.2 ──▶ … ──▶ removed
//	                        ▲
//	          Reopen ───────┘ after logrotate has renamed it
//
// Nothing waits for room: on a disk that is full records are lost, counted, and the next one that can be written follows a
// record that says how many. The standard error of a process that was started with the same file as the log, as `coco up`
// starts its nodes, goes on in the new file too, so that the stack of a crash is found there.
//
// Trust: host
package logfile

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
)

// Bounds are how much a log may hold. A zero field has the default.
type Bounds struct {
	// Bytes is the size that the file may have; with the record that has no room the next file begins. A larger record has
	// a file of its own. Negative: the file is never rotated by the program.
	Bytes int64
	// Files is how many older files are kept, as NAME.1, the newest, to NAME.N. Negative: none.
	Files int
}

// The bounds where nothing is set: 160 MiB in all.
const (
	DefaultBytes = 32 << 20
	DefaultFiles = 4
)

func (b Bounds) filled() Bounds {
	if b.Bytes == 0 {
		b.Bytes = DefaultBytes
	}
	if b.Files == 0 {
		b.Files = DefaultFiles
	}
	return b
}

// File is an io.Writer; each Write is one record. It is safe for concurrent use.
type File struct {
	name  string
	write func([]byte) (int, error) // to file; a test makes it fail

	mu     sync.Mutex // guards what follows
	file   *os.File
	size   int64
	bounds Bounds
	lost   uint64 // records that could not be written since the last one that was
	torn   bool   // the file ends within a record
}

// Open opens a log, or makes it, readable by its owner alone.
func Open(name string, b Bounds) (*File, error) {
	f := &File{name: name, bounds: b.filled()}
	f.write = func(p []byte) (int, error) { return f.file.Write(p) }
	return f, f.Reopen()
}

// Bound changes the bounds, from the next record on.
func (f *File) Bound(b Bounds) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bounds = b.filled()
}

// Reopen goes on in the file that has the log's name now. On an error it goes on in the file that is open.
func (f *File) Reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reopen()
}

func (f *File) reopen() error {
	file, err := os.OpenFile(f.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	st, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	if f.file != nil {
		follow(f.file, file)
		f.file.Close()
	}
	f.file, f.size = file, st.Size()
	return nil
}

// Close closes the file. Later records fail.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.file.Close()
}

// Write writes one record. It returns an error if the record is not in the file as a whole; the next record that is
// follows one that says so.
func (f *File) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.bounds.Bytes > 0 && f.size > 0 && f.size+int64(len(p)) > f.bounds.Bytes {
		f.rotate()
	}
	if f.lost > 0 {
		if err := f.put(f.missing()); err != nil {
			f.lost++
			return 0, err
		}
		f.lost = 0
	}
	if err := f.put(p); err != nil {
		f.lost++
		return 0, err
	}
	return len(p), nil
}

// missing is the record about those that were lost.
func (f *File) missing() []byte {
	var text []byte
	if f.torn {
		text = append(text, '\n')
	}
	slog.New(slog.NewJSONHandler(appender{&text}, nil)).Warn("log records could not be written, as on a full disk: they are lost", "lost", f.lost)
	return text
}

type appender struct{ to *[]byte }

func (a appender) Write(p []byte) (int, error) {
	*a.to = append(*a.to, p...)
	return len(p), nil
}

// put writes bytes that end with a record.
func (f *File) put(p []byte) error {
	n, err := f.write(p)
	f.size += int64(n)
	if n > 0 {
		f.torn = n < len(p)
	}
	return err
}

// rotate begins a new file. Renaming needs no room on the disk. Where the file cannot be renamed, it is emptied: records
// are lost rather than the bound.
func (f *File) rotate() {
	older := func(i int) string { return f.name + "." + strconv.Itoa(i) }
	for i := f.bounds.Files; i > 1; i-- {
		_ = os.Rename(older(i-1), older(i)) // there may be none yet
	}
	err := fmt.Errorf("none is kept")
	if f.bounds.Files > 0 {
		err = rename(f, older(1))
	}
	if err == nil {
		err = f.reopen()
	}
	if err != nil && f.file.Truncate(0) == nil {
		f.size, f.torn = 0, false
	}
}

// IsStandardError reports whether the standard error of this process goes to a file.
func IsStandardError(name string) bool {
	file, err := os.Stat(name)
	if err != nil {
		return false
	}
	own, err := os.Stderr.Stat()
	return err == nil && os.SameFile(file, own)
}
