// Package contain keeps a panic in what one client asked for from ending the process.
//
// A handler of net/http is contained by the server; a goroutine of one's own is not. Whatever serves one request, message
// or connection defers End, which logs where the panic happened, counts it and ends that one thing. The executor,
// consensus and all else that the state depends on do not: a node whose own work has failed half-way must stop.
//
// Trust: enclave
package contain

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"

	"github.com/cocoframework/coco/internal/logevent"
)

// Panics counts what was contained. Its methods may be called concurrently.
type Panics struct {
	log   *slog.Logger
	total atomic.Uint64
}

// New returns a count of none. Each panic is logged there, with the event logevent.RequestPanicked.
func New(log *slog.Logger) *Panics { return &Panics{log: log} }

// Total is how many panics were contained.
func (p *Panics) Total() uint64 { return p.total.Load() }

// End is deferred by what serves one request. It ends a panic, and calls then, which may be nil, after one.
func (p *Panics) End(where string, then func()) {
	if v := recover(); v != nil {
		p.Caught(where, v)
		if then != nil {
			then()
		}
	}
}

// Caught logs and counts a panic that the caller has recovered from. It MUST be called by the function that was deferred,
// or by one that this calls, while the stack of the panic is there.
func (p *Panics) Caught(where string, v any) {
	p.total.Add(1)
	p.log.Error("a request panicked; it alone was ended", logevent.RequestPanicked.Attr(), "where", where, "panic", describe(v), "stack", Stack(3))
}

// Noted counts a panic that a library has recovered from, and that had this stack.
func (p *Panics) Noted(where string, stack []string) {
	p.total.Add(1)
	p.log.Error("a request panicked; it alone was ended", logevent.RequestPanicked.Attr(), "where", where, "stack", stack)
}

// describe says what went wrong. What the runtime says holds numbers and types; any other value may hold what a client
// sent, or a key, and is told by its type.
func describe(v any) string {
	if err, ok := v.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a value of type %T", v)
}

// Stack says where the caller is, or the panic that it has recovered from, without arguments. Skip is how many calls to leave out.
func Stack(skip int) []string {
	var pcs [64]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(skip+2, pcs[:])])
	var lines []string
	for {
		f, more := frames.Next()
		lines = append(lines, fmt.Sprintf("%s:%d", f.Function, f.Line))
		if !more {
			return lines
		}
	}
}
