package nodecmd

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/cocoframework/coco/internal/sdnotify"
)

// manager is the service manager that runs the node, if one does.
type manager struct {
	log    *nodeLog
	failed sync.Once
}

func newManager(log *nodeLog) *manager { return &manager{log: log} }

// tell tells it something. That it cannot be told is logged once: it would end the node by its watchdog in time.
func (m *manager) tell(what ...string) {
	if err := sdnotify.Tell(what...); err != nil {
		m.failed.Do(func() { m.log.Warn("the service manager cannot be told how the node is", "error", err) })
	}
}

// watch tells the service manager that the process lives, as long as its listener for clients answers, until the function
// that it returns is called. It does nothing if nobody watches.
func (m *manager) watch(listener string) (stop func()) {
	every := sdnotify.Watchdog() / 3
	if every <= 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			if err := lives(ctx, listener, every); err == nil {
				m.tell(sdnotify.Alive)
			} else if ctx.Err() == nil {
				m.log.Warn("this node's listener for clients does not answer: the service manager ends the process if that stays so", "error", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// lives asks /livez of this process. A listener that is closed is no fault: the node joins, or ends. Nor is one that hangs up, as the node
// does while clients have all its connections: a process that is stuck closes none. The connection is not verified, because the
// answer says no more than that it came.
func lives(ctx context.Context, listener string, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+listener+"/livez", nil)
	if err != nil {
		return err
	}
	c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	resp, err := c.Do(req)
	for _, answer := range []error{syscall.ECONNREFUSED, io.EOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, answer) {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return resp.Body.Close()
}
