package history

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/history/segment"
	"github.com/cocoframework/coco/internal/logevent"
)

// How long Run waits for what.
const (
	gather   = 50 * time.Millisecond  // after a commit, so that small batches are read together
	notYet   = 100 * time.Millisecond // for an entry to be on the disk
	poll     = 2 * time.Second        // for chunks to come back, and for keys
	trouble  = 5 * time.Second        // after an error of the disk
	nothing  = time.Hour
	busyRest = 4 // rest for each unit of work while the node commits
)

// Run keeps the index until ctx ends. It is called once.
func (x *Index) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		began := x.cfg.Clock.Elapsed()
		wait := x.step(ctx)
		if wait == 0 {
			x.rest(ctx, x.cfg.Clock.Elapsed()-began)
			continue
		}
		select {
		case <-ctx.Done():
		case <-x.cfg.Clock.After(wait):
		case <-x.wake:
			x.sleep(ctx, gather)
		}
	}
	return nil
}

// rest gives way to the node's work: while there is any, the index takes a fifth of a processor, and
// otherwise two thirds.
func (x *Index) rest(ctx context.Context, worked time.Duration) {
	x.mu.RLock()
	busy := x.commits != x.loop.disturbed
	x.loop.disturbed = x.commits
	x.mu.RUnlock()
	if busy {
		x.sleep(ctx, min(busyRest*worked, poll)) // a machine that is short of processors makes work last long
	} else {
		x.sleep(ctx, worked/2)
	}
}

func (x *Index) sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-x.cfg.Clock.After(d):
	}
}

// step does a slice of work. It returns how long there is no more, 0 if there may be.
func (x *Index) step(ctx context.Context) time.Duration {
	x.mu.RLock()
	started := x.started
	x.mu.RUnlock()
	if !started {
		return nothing
	}
	x.sweep()
	if wait, ok := x.keepOwn(); !ok {
		return wait
	}
	if wait, done := x.openFiles(); !done {
		return wait
	}
	if x.review() || x.sealAnew(ctx) || x.reopen() {
		return 0
	}
	wait := nothing
	chunks := x.cfg.Ledger.Chunks()
	for _, b := range []*builder{x.tail, x.loop.fill} {
		if b == nil {
			continue
		}
		w := x.grow(ctx, b, chunks)
		if w == 0 {
			return 0
		}
		wait = min(wait, w)
	}
	if x.begin(chunks) || x.renew(chunks) {
		return 0
	}
	if x.cfg.Clock.Elapsed() < x.loop.beginAt {
		wait = notYet
	}
	if len(x.loop.locked) > 0 || len(x.loop.claimed) > 0 || len(x.found.missing) > 0 || len(x.found.passed) > 0 {
		wait = min(wait, poll)
	}
	return wait
}

// openFiles opens the next of the files found on the disk.
func (x *Index) openFiles() (wait time.Duration, done bool) {
	if !x.loop.listed {
		names, err := x.cfg.Disk.List(x.cfg.Dir)
		if err != nil {
			x.trouble("the folder of the index cannot be listed", err)
			return trouble, false
		}
		x.loop.listed = true
		for _, name := range names {
			if _, _, ok := segment.ParseFileName(name); ok {
				x.loop.unread = append(x.loop.unread, name)
			} else if strings.HasPrefix(name, segment.FilePrefix) {
				x.remove(path.Join(x.cfg.Dir, name), "it is not a whole index file")
			}
		}
	}
	if now := x.cfg.Clock.Elapsed(); len(x.loop.locked) > 0 && now >= x.loop.openAt {
		x.loop.unread, x.loop.locked = append(x.loop.unread, x.loop.locked...), nil
		x.loop.openAt = now + poll
	}
	if len(x.loop.unread) == 0 {
		return 0, true
	}
	name := x.loop.unread[0]
	x.loop.unread = x.loop.unread[1:]
	s, err := segment.Open(x.cfg.Disk, x.cfg.Dir, name, x.keying, x.caches.blocks)
	switch {
	case err == nil:
		i, _ := slices.BinarySearchFunc(x.loop.claimed, s.From, func(s *segment.File, from uint64) int {
			if s.From < from {
				return -1
			}
			return 1
		})
		x.loop.claimed = slices.Insert(x.loop.claimed, i, s)
	case errors.Is(err, coco.ErrCorrupt):
		x.remove(path.Join(x.cfg.Dir, name), err.Error())
	case errors.Is(err, fs.ErrNotExist):
	default: // the epoch's key is not here yet, or the disk is in trouble
		x.loop.locked = append(x.loop.locked, name)
	}
	return 0, false
}

// remove deletes a file that is of no use.
func (x *Index) remove(name, reason string) {
	x.cfg.Log.Warn("removing an index file; it is made again from the ledger", "file", name, "reason", reason)
	if err := x.cfg.Disk.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		x.cfg.Log.Warn("an index file cannot be removed", "file", name, "error", err)
	}
}

// damage says, once, that an entry of the ledger is damaged.
func (x *Index) damage(what string, entry uint64, err error) {
	x.trouble(what, err, logevent.ChunkDamaged.Attr(), "entry", entry)
}

// trouble says what keeps the index from going on, once.
func (x *Index) trouble(what string, err error, attrs ...any) {
	text := what + ": " + err.Error()
	x.mu.Lock()
	known := x.found.fault == text
	x.found.fault = text
	x.mu.Unlock()
	if !known {
		x.cfg.Log.Error("the index of the ledger does not go on", append(attrs, "reason", what, "error", err)...)
	}
}

func (x *Index) fine() {
	x.mu.Lock()
	x.found.fault = ""
	x.mu.Unlock()
}

// sweep takes segments out of use whose files are damaged, and sets chunks aside in which a reader
// found something else than the network wrote.
func (x *Index) sweep() {
	x.mu.Lock()
	damaged := x.found.damaged
	x.found.damaged = nil
	var broken []*segment.File
	for _, s := range x.segments {
		if s.Broken.Load() {
			broken = append(broken, s)
		}
	}
	if len(broken) > 0 {
		x.segments = slices.DeleteFunc(slices.Clone(x.segments), func(s *segment.File) bool { return slices.Contains(broken, s) })
	}
	x.mu.Unlock()
	for _, s := range broken {
		x.remove(s.Name, "it is damaged")
	}
	for _, d := range damaged {
		x.quarantine(d.index, d.cause)
	}
}

// quarantine sets the chunk aside that holds an entry.
func (x *Index) quarantine(index uint64, reason error) {
	c, ok := chunkAt(x.cfg.Ledger.Chunks(), index)
	switch {
	case !ok:
		return
	case !c.Complete:
		x.damage(fmt.Sprintf("entry %d of the ledger is damaged, in the chunk that is being written", index), index, reason)
		return
	}
	x.cfg.Log.Error("a chunk of the ledger is damaged: it is set aside, to be fetched again", logevent.ChunkSetAside.Attr(), "first", c.First, "last", c.Last, "entry", index, "reason", reason)
	if err := x.cfg.Ledger.Quarantine(c.First); err != nil {
		x.damage(fmt.Sprintf("the ledger's chunk from %d to %d cannot be set aside", c.First, c.Last), index, err)
	}
}
