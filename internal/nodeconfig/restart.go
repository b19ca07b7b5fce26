package nodeconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cocoframework/coco"
)

// A node that its operator runs is asked to start again by a file in its folder. Whoever may write there may ask, from
// another container that has the folder, too; no process id, which another process may have by now, and no port is involved.

// restartPoll is how often a node looks for the request.
const restartPoll = 250 * time.Millisecond

// restart is the request that the node starts again. The node removes it when it takes it.
func (d Dir) restart() string { return filepath.Join(string(d), "restart") }

// AskRestart asks the process that runs the node of a folder to start again, and waits until it has taken the request, for patience at most.
// The error is coco.ErrUnreachable if no process takes it; nothing is asked any more then.
func (d Dir) AskRestart(ctx context.Context, patience time.Duration) error {
	if err := os.WriteFile(d.restart(), nil, 0o600); err != nil {
		return fmt.Errorf("%w: asking the node to start again: %w", coco.ErrInvalid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(restartPoll / 5)
	defer tick.Stop()
	for {
		if _, err := os.Lstat(d.restart()); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if !d.TakeRestart() {
				return nil // at the last moment
			}
			return fmt.Errorf("%w: no process takes the request in %v: `coco node join` does not run in %s", coco.ErrUnreachable, patience, d)
		}
	}
}

// TakeRestart takes a request, if there is one: it reports whether the node is to start again. One of a process that has ended is taken
// before the node starts.
func (d Dir) TakeRestart() bool { return os.Remove(d.restart()) == nil }

// AwaitRestart waits until the node is asked to start again, and takes the request. It reports false when ctx ends.
func (d Dir) AwaitRestart(ctx context.Context) bool {
	tick := time.NewTicker(restartPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
			if d.TakeRestart() {
				return true
			}
		}
	}
}
