package sandbox

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/nodeconfig"
)

// control is the supervisor's endpoint for `coco status` and `coco down`. It is on loopback and
// asks for the token that only the folder's owner can read.
type control struct {
	s          *Sandbox
	ln         net.Listener
	url, token string
	served     chan struct{} // closed when it answers no more; nil before it is started
	err        error         // why, if nobody asked for it
}

func newControl(s *Sandbox) (*control, error) {
	ln, err := net.Listen("tcp", loopback+":0")
	if err != nil {
		return nil, fmt.Errorf("control endpoint: %w", err)
	}
	return &control{s: s, ln: ln, url: "http://" + ln.Addr().String(), token: makeToken()}, nil
}

// start answers until ctx is done; wait waits for that.
func (c *control) start(ctx context.Context) {
	c.served = make(chan struct{})
	go func() {
		defer close(c.served)
		c.err = c.serve(ctx)
	}()
}

func (c *control) wait() error {
	if c.served == nil {
		return nil
	}
	<-c.served
	return c.err
}

func (c *control) serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", c.status)
	mux.HandleFunc("POST /stop", c.stop)
	mux.HandleFunc("POST /restart", c.restart)
	mux.HandleFunc("POST /code", c.code)
	srv := &http.Server{Handler: c.authenticate(mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() {
		// The answer to the one who asked to stop goes out first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = srv.Shutdown(ctx)
	})
	defer stop()
	if err := srv.Serve(c.ln); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control endpoint: %w", err)
	}
	return nil
}

func (c *control) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(got), []byte(c.token)) != 1 {
			http.Error(w, "the token is in sandbox.json", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Status is the supervisor's word on its processes.
type Status struct {
	Pid      int         `json:"pid"`
	Starting bool        `json:"starting"` // the network is being brought up
	Nodes    []NodeState `json:"nodes"`
}

func (c *control) status(w http.ResponseWriter, _ *http.Request) {
	c.s.mu.Lock()
	st := Status{Pid: os.Getpid(), Starting: c.s.starting, Nodes: append([]NodeState{}, c.s.state...)}
	c.s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(st)
}

func (c *control) stop(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusAccepted)
	c.s.cancel(errStopped)
}

// ask makes a request of the running supervisor.
func ask(ctx context.Context, info Info, method, path string, answer any) error {
	if info.Control == "" {
		return fmt.Errorf("%w: no sandbox is running in %s: start it with `coco up`", coco.ErrUnreachable, info.Dir)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, info.Control+path, http.NoBody)
	if err != nil {
		return fmt.Errorf("%w: control endpoint: %w", coco.ErrInvalid, err)
	}
	req.Header.Set("Authorization", "Bearer "+info.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%w: the sandbox in %s does not answer: %w", coco.ErrUnreachable, info.Dir, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%w: the sandbox in %s: %w", coco.ErrUnreachable, info.Dir, err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%w: the sandbox in %s: %s", coco.ErrDenied, info.Dir, bytes.TrimSpace(body))
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("%w: the sandbox in %s: %w", coco.ErrCorrupt, info.Dir, err)
	}
	return nil
}

// GetStatus asks the supervisor of a running sandbox.
func GetStatus(ctx context.Context, info Info) (Status, error) {
	var st Status
	return st, ask(ctx, info, http.MethodGet, "/status", &st)
}

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
			asked = ask(wait, info, http.MethodPost, "/stop", nil) == nil
		}
		if ok, err := lock.TryLock(); err != nil || ok {
			return err
		}
		if sleep(wait, 50*time.Millisecond) {
			continue
		}
		if ctx.Err() != nil || info.Pid == 0 {
			return fmt.Errorf("%w: the sandbox in %s does not stop: end process %d by hand", coco.ErrUnreachable, lay.Dir, info.Pid)
		}
		// Whoever holds the lock wrote its process id: it lives and does not answer.
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
			if !sleep(ctx, 50*time.Millisecond) {
				return fmt.Errorf("%w: node %s still runs: end process %d by hand", coco.ErrBusy, n.Name, n.Pid)
			}
		}
		n.Pid = 0
	}
	info.Control, info.Token, info.Pid = "", "", 0
	return info.save()
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
