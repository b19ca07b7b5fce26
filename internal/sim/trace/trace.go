// Package trace digests all that happens in a run of the simulation, in the order in which it happens, and collects garbage only at instants at which nothing happens.
//
// Trust: host
package trace

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"runtime"
	"runtime/debug"
	"sync"
	"testing/synctest"
	"time"
)

// Recorder digests all that happens in a run, in the order in which it happens: every write to the network with its
// bytes, every record of a node's log, every line of the trace. Two runs with equal digests were the same.
type Recorder struct {
	start time.Time
	text  io.Writer
	lines io.Writer // gets a line for each event; nil for none

	mu   sync.Mutex
	sum  hash.Hash
	wire int // bytes that crossed the network
}

// New begins a record now. To gets the lines of Say, and lines, unless it is nil, one for each event.
func New(to, lines io.Writer) *Recorder {
	return &Recorder{start: time.Now(), text: to, lines: lines, sum: sha256.New()}
}

// Elapsed returns how long ago the record began.
func (r *Recorder) Elapsed() time.Duration { return time.Since(r.start) }

// Say adds a line of the trace.
func (r *Recorder) Say(line string) {
	r.Note("trace", []byte(line))
	fmt.Fprintf(r.text, "%9.3fs  %s\n", r.Elapsed().Seconds(), line)
}

// Sent adds what crosses the network.
func (r *Recorder) Sent(from, to string, b []byte) {
	r.Note(from+">"+to, b)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wire += len(b)
}

// Crossed returns how many bytes have crossed the network.
func (r *Recorder) Crossed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wire
}

// Note adds an event.
func (r *Recorder) Note(what string, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	head := fmt.Sprintf("%d %s %d", r.Elapsed().Nanoseconds(), what, len(data))
	fmt.Fprintln(r.sum, head)
	_, _ = r.sum.Write(data) // a hash never fails
	if r.lines == nil {
		return
	}
	if shown := bytes.TrimSpace(data); printable(shown) {
		fmt.Fprintf(r.lines, "%s %s\n", head, shown)
		return
	}
	short := sha256.Sum256(data)
	fmt.Fprintf(r.lines, "%s %x\n", head, short[:6])
}

func printable(b []byte) bool {
	return !bytes.ContainsFunc(b, func(c rune) bool { return c < ' ' || c > '~' })
}

// Digest returns the digest of all that happened so far, in hexadecimal.
func (r *Recorder) Digest() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return hex.EncodeToString(r.sum.Sum(nil))
}

// collectEvery is how often the memory of a run is collected, in virtual time.
const collectEvery = 20 * time.Second

// CollectAtRest replaces the garbage collector's own timing until stop is closed: it collects only while all other
// goroutines of the bubble wait, so that it changes neither their order nor what they wait for. The times are fixed,
// as what is collected leaves caches of the process, such as those of parsed certificates. The function that it returns
// restores the collector.
func CollectAtRest(stop <-chan struct{}) (restore func()) {
	percent := debug.SetGCPercent(-1)
	runtime.GC()
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(collectEvery):
			}
			synctest.Wait()
			runtime.GC()
		}
	}()
	return func() { debug.SetGCPercent(percent) }
}
