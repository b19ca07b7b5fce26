// Package crash tells where a method of JSON-RPC panicked that go-ethereum's server has recovered from.
//
// That server recovers in a function of its own and tells nobody but its logger, which is a variable of the library: one of a
// process, and silent in this program. While it is told, the stack of the panic is there still.
//
// Trust: enclave
package crash

import (
	"log/slog"
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

// Watch begins to keep the stacks of this process's panics, if nobody did before.
func Watch() { watch() }

// Take returns the stack of the panic that was recovered from last and not taken yet; nil if there is none. If methods panic at the same
// time, each stack is taken once, in any order.
func Take() []string {
	s := watch()
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
