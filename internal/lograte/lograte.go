// Package lograte bounds how often a log says the same: other nodes and clients can cause a record with each frame or request, and
// would fill the disk with it, or push out of a rotated log what matters.
//
//	record of level warn or above ──▶ same message, same source: 5 in a minute ──▶ same message: 20 in a minute ──▶ the log
//	                                          └── what is beyond is counted ────────────┘
//
// The source is who the record is about: its attribute node, from, by or address. So one that causes many records leaves room for those
// about others. The first record that is left out is announced by one that says so, and the number of all is told when the
// minute is over and there is something to log. Records below warn are not counted: who wants them asks for them.
//
// Trust: enclave
package lograte

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	window    = time.Minute
	ofSource  = 5  // records of one message about one source in a window
	ofMessage = 20 // records of one message in a window
)

// sources are the attributes that say who a record is about.
var sources = []string{"node", "from", "by", "address"}

// New returns a logger that logs what another handler logs, within bounds. Elapsed is host.Clock's.
func New(next slog.Handler, elapsed func() time.Duration) *slog.Logger {
	return slog.New(&handler{next: next, plain: next, counts: &counts{elapsed: elapsed, messages: map[string]*count{}, sources: map[[2]string]int{}}})
}

type handler struct {
	next   slog.Handler
	plain  slog.Handler // without groups
	group  bool         // attributes are those of a group
	source string
	counts *counts
}

// counts are those of all loggers that come from one. They are guarded by mu.
type counts struct {
	elapsed func() time.Duration

	mu       sync.Mutex
	began    time.Duration // of the window
	messages map[string]*count
	sources  map[[2]string]int // those that were logged, by message and source
}

// count is how many records of one message the window has.
type count struct{ logged, left int }

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return h.next.Handle(ctx, r)
	}
	source := h.source
	if source == "" && !h.group {
		r.Attrs(func(a slog.Attr) bool {
			source = sourceOf(a)
			return source == ""
		})
	}
	pass, announce, over := h.counts.admit(r.Message, source)
	for _, message := range slices.Sorted(maps.Keys(over)) {
		if err := h.tell(ctx, r.Time, "records were left out, because there were too many of them", message, slog.Int("count", over[message])); err != nil {
			return err
		}
	}
	if announce {
		return h.tell(ctx, r.Time, "there are too many records of this kind: the next ones are left out for a minute", r.Message, slog.String("source", source))
	}
	if !pass {
		return nil
	}
	return h.next.Handle(ctx, r)
}

// tell logs what was done to records of a message.
func (h *handler) tell(ctx context.Context, at time.Time, what, message string, more slog.Attr) error {
	r := slog.NewRecord(at, slog.LevelWarn, what, 0)
	r.AddAttrs(slog.String("of", message), more)
	return h.plain.Handle(ctx, r)
}

func sourceOf(a slog.Attr) string {
	if !slices.Contains(sources, a.Key) {
		return ""
	}
	return a.Value.Resolve().String()
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *h
	more.next = h.next.WithAttrs(attrs)
	if h.group {
		return &more
	}
	more.plain = h.plain.WithAttrs(attrs)
	for _, a := range attrs {
		if s := sourceOf(a); s != "" && more.source == "" {
			more.source = s
		}
	}
	return &more
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	more := *h
	more.next, more.group = h.next.WithGroup(name), true
	return &more
}

// admit says whether a record is logged. announce is true for the first one of a message that is left out. over are the messages, and how often, that were
// left out in the window that has just ended.
func (c *counts) admit(message, source string) (pass, announce bool, over map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.elapsed(); now-c.began >= window {
		over = map[string]int{}
		for m, n := range c.messages {
			if n.left > 0 {
				over[m] = n.left
			}
		}
		c.began = now
		clear(c.messages)
		clear(c.sources)
	}
	of := c.messages[message]
	if of == nil {
		of = &count{}
		c.messages[message] = of
	}
	key := [2]string{message, source}
	n := c.sources[key]
	if of.logged == ofMessage || source != "" && n == ofSource {
		of.left++
		return false, of.left == 1, over
	}
	of.logged++
	c.sources[key]++
	return true, false, over
}
