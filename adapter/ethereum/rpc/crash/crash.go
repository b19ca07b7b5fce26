// Package crash has go-ethereum's server answer JSON-RPC, and tells where a method panicked that it has recovered from.
//
// That server recovers in a function of its own and tells nobody but its logger, which is a variable of the library: one of a
// process, and silent in this program. While it is told, the stack of the panic is there still.
//
// Trust: enclave
package crash

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/log"

	"github.com/cocoframework/coco/internal/contain"
)

// recovers is the function of the library that recovers.
const recovers = "github.com/ethereum/go-ethereum/rpc.(*callback).call.func"

// maxStacks bounds how many are kept that nobody has taken.
const maxStacks = 64

// stacks are those of panics, the newest last.
type stacks struct {
	log.Logger // what the library had before

	mu   sync.Mutex
	kept [][]string // under mu
}

var watch = sync.OnceValue(func() *stacks {
	s := &stacks{Logger: log.Root()}
	log.SetDefault(s)
	return s
})

// Serve has the library's server answer a request, appending to out. Crashed tells that a method panicked. Stack is that of the panic that
// was recovered from last and not returned yet: if several methods panic at the same time, each stack is returned once, in any order.
func Serve(server http.Handler, r *http.Request, out []byte) (reply []byte, crashed bool, stack []string) {
	s := watch()
	c := capture{out: out, header: http.Header{}}
	server.ServeHTTP(&c, r)
	if !bytes.Contains(c.out[len(out):], []byte(methodCrashed)) {
		return c.out, false, nil
	}
	return c.out, true, s.take()
}

// methodCrashed is how the library's server answers for a method that panicked. No result has these members.
const methodCrashed = `"error":{"code":-32603,"message":"method handler crashed"}`

// capture is a http.ResponseWriter that appends to a slice.
type capture struct {
	out    []byte
	header http.Header
}

func (c *capture) Header() http.Header { return c.header }
func (c *capture) WriteHeader(int)     {}
func (c *capture) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}

func (s *stacks) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == 0 {
		return nil
	}
	last := s.kept[len(s.kept)-1]
	s.kept = s.kept[:len(s.kept)-1]
	return last
}

// Write implements log.Logger. It is told of a panic by who calls it, not by the text, which holds the value of the panic: that may
// be what a client sent.
func (s *stacks) Write(level slog.Level, msg string, attrs ...any) {
	if level >= slog.LevelError {
		stack := contain.Stack(1)
		for i, line := range stack {
			if strings.HasPrefix(line, recovers) {
				s.keep(stack[i+1:])
				break
			}
		}
	}
	s.Logger.Write(level, msg, attrs...)
}

func (s *stacks) keep(stack []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == maxStacks {
		s.kept = s.kept[1:]
	}
	s.kept = append(s.kept, stack)
}
