package sim

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

// recorder digests all that happens in a run, in the order in which it happens: every write to the network with its
// bytes, every record of a node's log, every line of the trace. Two runs with equal digests were the same.
type recorder struct {
	start time.Time
	trace io.Writer
	lines io.Writer // gets a line for each event; nil for none

	mu  sync.Mutex
	sum hash.Hash
}

func newRecorder(trace, lines io.Writer) *recorder {
	return &recorder{start: time.Now(), trace: trace, lines: lines, sum: sha256.New()}
}

// say adds a line of the trace.
func (r *recorder) say(line string) {
	r.note("trace", []byte(line))
	fmt.Fprintf(r.trace, "%9.3fs  %s\n", time.Since(r.start).Seconds(), line)
}

// note adds an event.
func (r *recorder) note(what string, data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	head := fmt.Sprintf("%d %s %d", time.Since(r.start).Nanoseconds(), what, len(data))
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

func (r *recorder) digest() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return hex.EncodeToString(r.sum.Sum(nil))
}

// collectEvery is how often the memory of a run is collected, in virtual time.
const collectEvery = 20 * time.Second

// collectAtRest replaces the garbage collector's own timing until stop is closed: it collects only while all other
// goroutines of the bubble wait, so that it changes neither their order nor what they wait for. The times are fixed,
// as what is collected leaves caches of the process, such as those of parsed certificates. The function that it returns
// restores the collector.
func collectAtRest(stop <-chan struct{}) (restore func()) {
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
