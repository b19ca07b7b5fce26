package history

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/history/own"
	"github.com/cocoframework/coco/history/seal"
	"github.com/cocoframework/coco/history/segment"
)

// ownKey reports whether new files are sealed under the node's own key.
func (x *Index) ownKey() bool { return x.cfg.Current != nil }

// keying returns what the key of a file derives from.
func (x *Index) keying(k seal.Kind) (seal.Keying, error) {
	if k.Own {
		if !x.loop.own.Known() {
			return nil, fmt.Errorf("%w: index: a file under this node's own key, which it does not use", coco.ErrCorrupt)
		}
		return x.loop.own.Sub, nil
	}
	keys, err := x.cfg.Keys(k.Epoch)
	if err != nil {
		return nil, err
	}
	return keys.Sub, nil
}

// keepOwn has the node's own key, and seals it anew if a later epoch is in use.
func (x *Index) keepOwn() (wait time.Duration, ok bool) {
	if !x.ownKey() {
		return 0, true
	}
	k := &x.loop.own
	if !k.Known() {
		if err := k.Read(x.cfg.Disk, x.cfg.Dir, x.cfg.Keys); errors.Is(err, coco.ErrCorrupt) {
			x.remove(path.Join(x.cfg.Dir, own.Name), err.Error())
		} else if err != nil {
			return poll, false
		}
	}
	epoch, keys := x.cfg.Current()
	if keys == nil {
		return poll, k.Known()
	}
	if err := k.Keep(x.cfg.Disk, x.cfg.Dir, epoch, keys); err != nil {
		x.trouble("the key of the index cannot be written", err)
		return trouble, k.Known()
	}
	return 0, true
}

// sealAnew seals a file under the node's own key that an earlier program has sealed under its epoch's, so that nothing of that epoch stays with the node. It reports whether it
// did anything. A crash leaves the file before or the one after.
func (x *Index) sealAnew(ctx context.Context) bool {
	if !x.loop.own.Known() {
		return false
	}
	x.mu.RLock()
	all := slices.Concat(x.segments, x.loop.claimed)
	x.mu.RUnlock()
	i := slices.IndexFunc(all, func(s *segment.File) bool { return !s.Own && !s.Broken.Load() })
	if i < 0 {
		return false
	}
	old := all[i]
	kind := old.Kind
	kind.Own = true
	from, err := x.keying(kind)
	var s *segment.File
	if err == nil {
		s, err = old.SealAnew(ctx, kind, from)
	}
	if err != nil {
		if ctx.Err() == nil {
			x.trouble("an index file cannot be written", err)
			old.Broken.Store(true) // it is made again from the ledger
		}
		return ctx.Err() == nil
	}
	x.mu.Lock()
	x.segments = slices.Clone(x.segments)
	for _, list := range [][]*segment.File{x.segments, x.loop.claimed} {
		for i := range list {
			if list[i] == old {
				list[i] = s
			}
		}
	}
	x.mu.Unlock()
	old.Erase()
	return true
}

// Expired drops what was read of epochs whose keys have expired on this node.
func (x *Index) Expired(epochs []uint64) {
	x.caches.opened.Drop(func(o *opened) bool { return o.records != nil && slices.Contains(epochs, o.Header.Epoch) })
}
