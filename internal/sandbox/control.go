package sandbox

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/localnet"
)

// control is the supervisor's endpoint for `coco status` and `coco down`. It is on loopback and
// asks for the token that only the folder's owner can read.
type control struct {
	s          *Sandbox
	ln         net.Listener
	url, token string
	served     chan struct{} // closed when it answers no more; nil before it is started
	err        error         // why, unless the end was asked for
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
		// The answer to the request to stop goes out first.
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

func (c *control) status(w http.ResponseWriter, _ *http.Request) {
	c.s.mu.Lock()
	st := localnet.Status{Pid: os.Getpid(), Starting: c.s.starting, Nodes: append([]localnet.NodeState{}, c.s.state...)}
	c.s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(st)
}

func (c *control) stop(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusAccepted)
	c.s.end.cancel(errStopped)
}

// restart serves Restart: the supervisor ends a node, and starts it again as if it had died.
func (c *control) restart(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("node")
	c.s.mu.Lock()
	at := -1
	for i, n := range c.s.info.Nodes {
		if n.Name == name && !n.Retired && !c.s.starting && i < len(c.s.state) && c.s.state[i].Ready {
			at = i
		}
	}
	c.s.mu.Unlock()
	if at < 0 {
		http.Error(w, fmt.Sprintf("node %q is not running", name), http.StatusConflict)
		return
	}
	if code := r.URL.Query().Get("code"); code != "" {
		if err := c.s.assign(at, coco.Measurement(code)); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
	}
	select {
	case c.s.restarts <- at:
		w.WriteHeader(http.StatusAccepted)
	default:
		http.Error(w, "another node is being restarted", http.StatusConflict)
	}
}

// makeToken makes the control endpoint's bearer token.
func makeToken() string {
	b := make([]byte, 24)
	_, _ = rand.Read(b) // it never fails
	return hex.EncodeToString(b)
}
