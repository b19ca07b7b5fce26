//go:build linux

package faults

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"github.com/pelletier/go-toml/v2"

	"github.com/cocoframework/coco/internal/nodeconfig"
)

// process is one life of a node.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	ready chan struct{} // closed once it has said that it takes part
	done  chan struct{} // closed once it has ended; then err is set
	err   error
}

// startProcess starts a node in a namespace. Its standard input ends with this process.
func startProcess(exe string, in *space, dir nodeconfig.Dir, cfg nodeconfig.Config) (*process, error) {
	page, err := toml.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	file := string(dir) + ".toml" // beside the folder, whose disk may be full
	if err := os.WriteFile(file, page, 0o600); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logFile(dir), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has its own
	cmd := exec.Command(exe, "node", "run", "--config", file)
	cmd.Dir, cmd.Stderr = string(dir), log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := in.do(cmd.Start); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin, ready: make(chan struct{}), done: make(chan struct{})}
	go p.listen(stdout)
	return p, nil
}

func logFile(dir nodeconfig.Dir) string { return string(dir) + ".log" }

// listen hears what the process says, to its end.
func (p *process) listen(stdout io.Reader) {
	defer close(p.done)
	said := false
	var failed string
	for sc := bufio.NewScanner(stdout); sc.Scan(); {
		var e nodeconfig.Event
		if json.Unmarshal(sc.Bytes(), &e) != nil {
			continue
		}
		switch e.Event {
		case nodeconfig.EventReady:
			if !said {
				close(p.ready)
			}
			said = true
		case nodeconfig.EventFailed:
			failed = e.Error
		}
	}
	p.err = p.cmd.Wait()
	if failed != "" {
		p.err = errors.New(failed)
	}
}

// wasReady reports whether it has ever taken part.
func (p *process) wasReady() bool { return closed(p.ready) }

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// signal sends one to the node's own process, and to no other: its number is not given away before
// Wait has returned.
func (p *process) signal(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %v to process %d: %w", s, p.cmd.Process.Pid, err)
	}
	return nil
}
