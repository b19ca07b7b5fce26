package localnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/ctxtime"
	"github.com/cocoframework/coco/internal/nodeconfig"
)

// downPatience bounds the end of a sandbox; after it the supervisor is killed.
const downPatience = 20 * time.Second

// Supervisor is how a running supervisor is reached. It is in a file of its own, written before anything else is
// done, so that a network can be ended whatever has become of sandbox.json.
type Supervisor struct {
	Pid     int    `json:"pid"`
	Control string `json:"control"` // URL
	Token   string `json:"token"`   // bearer token that it asks for
}

// SupervisorFile holds a [Supervisor] while one runs.
func (l Layout) SupervisorFile() string { return filepath.Join(l.Dir, ".supervisor.json") }

// Save writes the supervisor's file.
func (s Supervisor) Save(lay Layout) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return atomicfile.Write(lay.SupervisorFile(), append(data, '\n'))
}

// supervisor returns how the supervisor is reached, as far as the folder says it: sandbox.json says it too.
func supervisor(lay Layout) (s Supervisor) {
	if data, err := os.ReadFile(lay.SupervisorFile()); err == nil && json.Unmarshal(data, &s) == nil && s.Pid != 0 {
		return s
	}
	info, err := Load(lay.Dir)
	if err != nil {
		return Supervisor{}
	}
	return Supervisor{Pid: info.Pid, Control: info.Control, Token: info.Token}
}

// Down ends the sandbox in a folder, and whatever a crashed supervisor has left of it. It reports
// whether anything was running. It needs neither sandbox.json nor a disk that can be written to.
func Down(ctx context.Context, dir string) (was bool, err error) {
	lay, err := NewLayout(dir)
	if err != nil {
		return false, err
	}
	if _, err := os.Lstat(lay.LockFile()); errors.Is(err, fs.ErrNotExist) {
		if _, err := Load(lay.Dir); errors.Is(err, coco.ErrNotFound) {
			return false, err
		}
		return false, swept(ctx, lay) // no supervisor has ever run here
	}
	lock := flock.New(lay.LockFile(), flock.SetPermissions(0o600))
	free, err := lock.TryLock()
	if err != nil {
		return false, fmt.Errorf("%w: sandbox folder: %w", coco.ErrInvalid, err)
	}
	defer lock.Close()
	if !free {
		was = true
		if err := end(ctx, lay, lock); err != nil {
			return true, err
		}
	}
	return was, swept(ctx, lay)
}

// end makes the supervisor give up the folder's lock, which it then holds itself.
func end(ctx context.Context, lay Layout, lock *flock.Flock) error {
	wait, cancel := context.WithTimeout(ctx, downPatience)
	defer cancel()
	for asked := false; ; {
		s := supervisor(lay) // anew: a supervisor that is starting has not said yet where it listens
		if !asked && s.Control != "" {
			asked = Ask(wait, Info{Dir: lay.Dir, Control: s.Control, Token: s.Token}, http.MethodPost, "/stop", nil) == nil
		}
		if ok, err := lock.TryLock(); err != nil || ok {
			return err
		}
		if ctxtime.Sleep(wait, 50*time.Millisecond) {
			continue
		}
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("%w: the sandbox in %s does not stop: process %d", coco.ErrUnreachable, lay.Dir, s.Pid)
		case s.Pid == 0:
			return fmt.Errorf("%w: the sandbox in %s does not stop, and neither %s nor %s says which process it is: end the one that holds %s by hand",
				coco.ErrUnreachable, lay.Dir, lay.SupervisorFile(), lay.InfoFile(), lay.LockFile())
		}
		// The process that holds the lock wrote its process id: it lives and does not answer.
		p, err := os.FindProcess(s.Pid)
		if err == nil {
			err = p.Kill()
		}
		if err != nil {
			return fmt.Errorf("%w: the sandbox in %s does not stop: process %d: %w", coco.ErrUnreachable, lay.Dir, s.Pid, err)
		}
		if ok, err := lock.TryLockContext(ctx, 50*time.Millisecond); err != nil || !ok {
			return fmt.Errorf("%w: the sandbox in %s: %w", coco.ErrUnreachable, lay.Dir, err)
		}
		return nil
	}
}

// swept waits for the nodes of a supervisor that is gone and corrects what it left in the folder, where that can
// be written to: what is stale there misleads nobody who holds the lock.
func swept(ctx context.Context, lay Layout) error {
	if err := AwaitNodes(ctx, lay); err != nil {
		return err
	}
	_ = os.Remove(lay.SupervisorFile())
	info, err := Load(lay.Dir)
	if err != nil {
		return nil
	}
	for i := range info.Nodes {
		info.Nodes[i].Pid = 0
	}
	info.Control, info.Token, info.Pid = "", "", 0
	_ = info.Save()
	return nil
}

// AwaitNodes waits for the nodes of a supervisor that is gone, which end by themselves. Afterwards no process uses a
// node's folder.
func AwaitNodes(ctx context.Context, lay Layout) error {
	entries, err := os.ReadDir(lay.Nodes())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: sandbox folder: %w", coco.ErrInvalid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, downPatience)
	defer cancel()
	for _, e := range entries {
		for nodeRuns(lay.Node(e.Name())) {
			if !ctxtime.Sleep(ctx, 50*time.Millisecond) {
				return fmt.Errorf("%w: a node still runs in %s: end the process that holds the lock in that folder by hand", coco.ErrBusy, lay.Node(e.Name()))
			}
		}
	}
	return nil
}

// nodeRuns reports whether a process holds a node's folder.
func nodeRuns(dir nodeconfig.Dir) bool {
	st, err := os.Stat(string(dir))
	if err != nil || !st.IsDir() {
		return false
	}
	disk, err := local.Open(string(dir))
	if err != nil {
		return errors.Is(err, local.ErrLocked)
	}
	disk.Close()
	return false
}
