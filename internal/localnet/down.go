package localnet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/gofrs/flock"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/ctxtime"
	"github.com/cocoframework/coco/internal/nodeconfig"
)

// downPatience bounds the end of a sandbox; after it the supervisor is killed.
const downPatience = 20 * time.Second

// Down ends the sandbox in a folder, and whatever a crashed supervisor has left of it. It reports
// whether anything was running.
func Down(ctx context.Context, dir string) (was bool, err error) {
	info, err := Load(dir)
	if err != nil {
		return false, err
	}
	lay := Layout{info.Dir}
	lock := flock.New(lay.LockFile(), flock.SetPermissions(0o600))
	free, err := lock.TryLock()
	if err != nil {
		return false, fmt.Errorf("%w: sandbox folder: %w", coco.ErrInvalid, err)
	}
	if !free {
		was = true
		if err := end(ctx, lay, lock); err != nil {
			return true, err
		}
	}
	defer lock.Close()
	return was, swept(ctx, lay)
}

// end makes the supervisor give up the folder's lock, which it then holds itself.
func end(ctx context.Context, lay Layout, lock *flock.Flock) error {
	wait, cancel := context.WithTimeout(ctx, downPatience)
	defer cancel()
	for asked := false; ; {
		info, err := Load(lay.Dir) // anew: a supervisor that is starting has not said yet where it listens
		if err != nil {
			return err
		}
		if !asked && info.Control != "" {
			asked = Ask(wait, info, http.MethodPost, "/stop", nil) == nil
		}
		if ok, err := lock.TryLock(); err != nil || ok {
			return err
		}
		if ctxtime.Sleep(wait, 50*time.Millisecond) {
			continue
		}
		if ctx.Err() != nil || info.Pid == 0 {
			return fmt.Errorf("%w: the sandbox in %s does not stop: end process %d by hand", coco.ErrUnreachable, lay.Dir, info.Pid)
		}
		// The process that holds the lock wrote its process id: it lives and does not answer.
		p, err := os.FindProcess(info.Pid)
		if err == nil {
			err = p.Kill()
		}
		if err != nil {
			return fmt.Errorf("%w: the sandbox in %s does not stop: process %d: %w", coco.ErrUnreachable, lay.Dir, info.Pid, err)
		}
		if ok, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil || !ok {
			return fmt.Errorf("%w: the sandbox in %s: %w", coco.ErrUnreachable, lay.Dir, err)
		}
		return nil
	}
}

// swept waits for the nodes of a supervisor that is gone, which end by themselves, and corrects
// what it left in sandbox.json.
func swept(ctx context.Context, lay Layout) error {
	info, err := Load(lay.Dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, downPatience)
	defer cancel()
	for i := range info.Nodes {
		n := &info.Nodes[i]
		for nodeRuns(nodeconfig.Dir(n.Dir)) {
			if !ctxtime.Sleep(ctx, 50*time.Millisecond) {
				return fmt.Errorf("%w: node %s still runs: end process %d by hand", coco.ErrBusy, n.Name, n.Pid)
			}
		}
		n.Pid = 0
	}
	info.Control, info.Token, info.Pid = "", "", 0
	return info.Save()
}

// nodeRuns reports whether a process holds a node's folder.
func nodeRuns(dir nodeconfig.Dir) bool {
	if _, err := os.Stat(string(dir)); err != nil {
		return false
	}
	disk, err := local.Open(string(dir))
	if err != nil {
		return errors.Is(err, local.ErrLocked)
	}
	disk.Close()
	return false
}
