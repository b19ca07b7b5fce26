package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/cocoframework/coco"
)

// The ways in which a node starts; see node.Config.
const (
	StartGenesis = "genesis"
	StartJoin    = "join"
	StartRecover = "recover"
)

// NodeConfig is a node's node.toml: what `coco node run --config FILE` reads.
type NodeConfig struct {
	Name   string `toml:"name" comment:"Written by coco up at every start of the node; changes are lost, but for ledger_folders."`
	Dir    string `toml:"dir" comment:"root of the node's disk"`
	Peer   string `toml:"peer" comment:"where other nodes reach it"`
	Client string `toml:"client" comment:"where clients reach it"`
	Admin  string `toml:"admin,omitempty" comment:"where members govern and the owner administers the node; nowhere if absent"`
	// PeerAddress is what the node tells others to dial.
	PeerAddress string `toml:"peer_address,omitempty" comment:"what other nodes dial, if that is not peer"`
	// ClientAddress is what the node tells clients to dial.
	ClientAddress string `toml:"client_address,omitempty" comment:"what clients dial, if that is not client"`
	// LedgerFolders are only read.
	LedgerFolders []string `toml:"ledger_folders,omitempty" comment:"folders of ledger chunks that were moved out of the node's own"`
	// The organisation that owns the node.
	OwnerCertificate string `toml:"owner_certificate"`
	OwnerKey         string `toml:"owner_key"`

	Start        string      `toml:"start" comment:"genesis, join or recover"`
	Constitution string      `toml:"constitution,omitempty" comment:"page of the genesis constitution"`
	Join         []string    `toml:"join,omitempty" comment:"nodes to ask for admission"`
	Ask          []string    `toml:"ask,omitempty" comment:"where clients reach those nodes: what the operator approves is asked there"`
	Approve      coco.Digest `toml:"approve" comment:"digest of the constitution that the operator approved"`
	Service      string      `toml:"service,omitempty" comment:"the network's certificate: under it, members may have changed the constitution since"`
	RecoverKeys  []MemberKey `toml:"recover_keys,omitempty" comment:"members' keys that open the ledger when no node is left"`
}

// MemberKey names the files of a member that can open its shares.
type MemberKey struct {
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
}

// LoadNodeConfig reads a node.toml.
func LoadNodeConfig(file string) (NodeConfig, error) {
	f, err := os.Open(file)
	if err != nil {
		return NodeConfig{}, fmt.Errorf("%w: node settings: %w", coco.ErrInvalid, err)
	}
	defer f.Close()
	var c NodeConfig
	if err := toml.NewDecoder(io.LimitReader(f, 1<<20)).DisallowUnknownFields().Decode(&c); err != nil {
		var strict *toml.StrictMissingError
		if errors.As(err, &strict) {
			return NodeConfig{}, fmt.Errorf("%w: %s: unknown settings:\n%s", coco.ErrInvalid, file, strict.String())
		}
		return NodeConfig{}, fmt.Errorf("%w: %s: %w", coco.ErrInvalid, file, err)
	}
	switch c.Start {
	case StartGenesis, StartJoin, StartRecover:
	default:
		return NodeConfig{}, fmt.Errorf("%w: %s: start = %q: expected %s, %s or %s", coco.ErrInvalid, file, c.Start, StartGenesis, StartJoin, StartRecover)
	}
	return c, nil
}

func (c *NodeConfig) save(file string) error {
	data, err := toml.Marshal(c)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return writeFile(file, data)
}

// Save writes a node.toml for a node that no supervisor starts.
func (c *NodeConfig) Save(file string) error {
	data, err := toml.Marshal(c)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	_, rest, _ := bytes.Cut(data, []byte("\n")) // the comment that says who writes a supervised node's
	return writeFile(file, append([]byte("# Of a node that `coco node join` runs; `coco node approve` writes approve and service.\n"), rest...))
}

// Event is a line that a node's process writes to its standard output for the supervisor.
type Event struct {
	Event  string      `json:"event"` // "ready", "failed" or "retired"
	Node   coco.NodeID `json:"node,omitzero"`
	Peer   string      `json:"peer,omitempty"`
	Client string      `json:"client,omitempty"`
	Error  string      `json:"error,omitempty"`
	Code   int         `json:"code,omitempty"` // of the error's kind; see ExitCode
}

// The events.
const (
	EventReady   = "ready"
	EventFailed  = "failed"
	EventRetired = "retired" // it has left the network for good, and ends
)

// stopPatience is how long a node may take to end by itself.
const stopPatience = 10 * time.Second

// child is a running node process.
type child struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer
	ready chan Event    // holds the last ready event that nobody has taken
	done  chan struct{} // closed when the process has ended; then err is set
	err   error
	// retired says, once done is closed, that the node has left the network.
	retired bool
}

// startChild starts a node's process. Its log goes to the node's log file.
func startChild(exe string, name string, dir NodeDir) (*child, error) {
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
		return nil, fmt.Errorf("node %s: %w", name, err)
	}
	c := &child{name: name, cmd: cmd, stdin: stdin, ready: make(chan Event, 1), done: make(chan struct{})}
	go c.watch(stdout)
	return c, nil
}

// watch reads what the process says until it ends.
func (c *child) watch(stdout io.Reader) {
	var failed error
	sc := bufio.NewScanner(stdout)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var e Event
		if json.Unmarshal(sc.Bytes(), &e) != nil {
			continue
		}
		switch e.Event {
		case EventReady:
			select {
			case <-c.ready:
			default:
			}
			c.ready <- e // only this goroutine sends, so there is room
		case EventRetired:
			c.retired = true
		case EventFailed:
			failed = fromExit(e.Code, e.Error)
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
func (c *child) waitReady(ctx context.Context) (Event, error) {
	select {
	case e := <-c.ready:
		return e, nil
	case <-c.done:
		return Event{}, c.err
	case <-ctx.Done():
		return Event{}, fmt.Errorf("node %s does not get ready: %w", c.name, context.Cause(ctx))
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
