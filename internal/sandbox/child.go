package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"time"

	"github.com/cocoframework/coco/internal/nodeconfig"
)

// stopPatience is how long a node may take to end by itself.
const stopPatience = 10 * time.Second

// child is a running node process.
type child struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	ready chan nodeconfig.Event // holds the last ready event until it is received
	votes chan string           // holds why the node waits for a vote, until it is received
	alone chan string           // holds why the node cannot go on by itself, until it is received
	done  chan struct{}         // closed when the process has ended; then err is set
	err   error
	// retired says, once done is closed, that the node has left the network.
	retired bool
}

// startChild starts a node's process. Its log goes to the node's log file.
// Recovering is told where the ledger ends that the node goes on from.
func startChild(exe string, name string, dir nodeconfig.Dir, recovering func(nodeconfig.Event)) (*child, error) {
	log, err := os.OpenFile(dir.Log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", name, err)
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(exe, "node", "run", "--config", dir.Config())
	cmd.Dir = string(dir)
	cmd.Stderr = log
	ownGroup(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", name, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("node %s: %w", name, err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("node %s: %w", name, explainStart(exe, err))
	}
	c := &child{name: name, cmd: cmd, stdin: stdin, ready: make(chan nodeconfig.Event, 1), votes: make(chan string, 1), alone: make(chan string, 1), done: make(chan struct{})}
	go c.watch(stdout, recovering)
	return c, nil
}

// explainStart says why a program that may be executed is refused all the same: its file system is mounted noexec.
func explainStart(exe string, err error) error {
	if st, serr := os.Stat(exe); !errors.Is(err, fs.ErrPermission) || serr != nil || st.Mode()&0o100 == 0 {
		return err
	}
	return fmt.Errorf("%w: the file may be executed, so its file system is probably mounted noexec: use a folder on another one with --dir", err)
}

// watch reads what the process says until it ends.
func (c *child) watch(stdout io.Reader, recovering func(nodeconfig.Event)) {
	var failed error
	sc := bufio.NewScanner(stdout)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var e nodeconfig.Event
		if json.Unmarshal(sc.Bytes(), &e) != nil {
			continue
		}
		switch e.Event {
		case nodeconfig.EventReady:
			select {
			case <-c.ready:
			default:
			}
			c.ready <- e // only this goroutine sends, so there is room
		case nodeconfig.EventWaiting:
			select {
			case c.votes <- e.Error:
			default: // it is known
			}
		case nodeconfig.EventNotKept:
			select {
			case c.alone <- e.Error:
			default: // it is known
			}
		case nodeconfig.EventRecovering:
			recovering(e)
		case nodeconfig.EventRetired:
			c.retired = true
		case nodeconfig.EventFailed:
			failed = e.Failure()
		}
	}
	_, _ = io.Copy(io.Discard, stdout) // a line too long must not block the process
	err := c.cmd.Wait()
	switch {
	case failed != nil:
		c.err = fmt.Errorf("node %s: %w", c.name, failed)
	case err != nil:
		c.err = fmt.Errorf("node %s: %w", c.name, err)
	default:
		c.err = fmt.Errorf("node %s ended", c.name)
	}
	close(c.done)
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// running reports whether the process has not ended.
func (c *child) running() bool {
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// waitReady waits until the node serves, or its process ends.
func (c *child) waitReady(ctx context.Context) (nodeconfig.Event, error) {
	select {
	case e := <-c.ready:
		return e, nil
	case <-c.done:
		return nodeconfig.Event{}, c.err
	case <-ctx.Done():
		return nodeconfig.Event{}, fmt.Errorf("node %s does not get ready: %w", c.name, context.Cause(ctx))
	}
}

// stop tells processes to end, and kills those that take too long.
func stop(children ...*child) {
	for _, c := range children {
		if c != nil {
			c.stdin.Close()
		}
	}
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	for _, c := range children {
		if c == nil {
			continue
		}
		select {
		case <-c.done:
		case <-patience.C:
			patience.Reset(0) // the others have had their time, too
			_ = c.cmd.Process.Kill()
			<-c.done
		}
	}
}
