package localnet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/atomicfile"
)

// InfoVersion is the version of sandbox.json's format.
const InfoVersion = 1

// Info describes a sandbox. It is kept in the folder's sandbox.json, readable by its owner only:
// the accounts' keys and the control token are in it.
//
// Fields: one for each fact in the file.
type Info struct {
	Version      int         `json:"version"`
	Dir          string      `json:"dir"`
	Network      string      `json:"network"`
	ChainID      uint64      `json:"chain_id"`
	Insecure     bool        `json:"insecure"`
	Development  bool        `json:"development,omitempty"`
	Constitution coco.Digest `json:"constitution"`
	Measurement  string      `json:"measurement"` // of the code that the nodes run
	// Committed says that all nodes have been up once: from then on the ledgers are the network.
	Committed bool `json:"committed"`
	// Control is the URL of the running supervisor, Token the bearer token that it asks for, and
	// Pid its process. They are empty when nothing runs.
	Control    string    `json:"control,omitempty"`
	Token      string    `json:"token,omitempty"`
	Pid        int       `json:"pid,omitempty"`
	ServicePEM string    `json:"service_pem"` // path of the service certificate
	Nodes      []Node    `json:"nodes"`
	Members    []Member  `json:"members"`
	Accounts   []Account `json:"accounts"`
}

// Node is one node of a sandbox.
type Node struct {
	Name   string `json:"name"`
	Member string `json:"member"`
	Peer   string `json:"peer"`            // host:port for other nodes
	Client string `json:"client"`          // host:port for clients, mutual TLS that ends in the enclave
	Admin  string `json:"admin,omitempty"` // host:port for governance, the same
	HTTP   string `json:"http"`            // plain loopback URL of the proxy
	WS     string `json:"ws"`
	Dir    string `json:"dir"`
	Pid    int    `json:"pid,omitempty"` // zero while the process is down
	// Code is the file, in the sandbox's folder of programs, of the program that the node runs, while the
	// nodes are given another one; empty for the sandbox's.
	Code string `json:"code,omitempty"`
	// Retired says that the node has left the network for good.
	Retired bool `json:"retired,omitempty"`
}

// Member is an organisation of a sandbox.
type Member struct {
	Name string `json:"name"`
	Dir  string `json:"dir"` // its keys and certificates
}

// Account is a funded account. Every user that can read the sandbox folder can spend from it.
type Account struct {
	Address string `json:"address"`
	Key     string `json:"key"`
}

// Load reads the description of the sandbox in a folder. It fails with coco.ErrNotFound if there
// is none.
func Load(dir string) (Info, error) {
	lay, err := NewLayout(dir)
	if err != nil {
		return Info{}, err
	}
	data, err := os.ReadFile(lay.InfoFile())
	if errors.Is(err, fs.ErrNotExist) {
		if _, lerr := os.Lstat(lay.InfoFile()); lerr == nil {
			return Info{}, fmt.Errorf("%w: %s is a link to something that is not there", coco.ErrCorrupt, lay.InfoFile())
		}
		return Info{}, fmt.Errorf("%w: no sandbox in %s: start one with `coco up%s`, or name its folder with --dir", coco.ErrNotFound, lay.Dir, DirHint(lay.Dir))
	}
	if err != nil {
		return Info{}, fmt.Errorf("%w: sandbox: %w", coco.ErrInvalid, err)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return Info{}, fmt.Errorf("%w: %s is empty", coco.ErrCorrupt, lay.InfoFile())
	}
	// The version first: what another one has in its file is not to be judged.
	var head struct {
		Version int `json:"version"`
	}
	if json.Unmarshal(data, &head) == nil && head.Version != InfoVersion {
		return Info{}, fmt.Errorf("%w: %s has version %d, this program reads version %d: use the program that made it",
			coco.ErrInvalid, lay.InfoFile(), head.Version, InfoVersion)
	}
	var info Info
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&info); err != nil {
		return Info{}, fmt.Errorf("%w: %s: %w", coco.ErrCorrupt, lay.InfoFile(), err)
	}
	if len(info.Nodes) == 0 || len(info.Nodes) != len(info.Members) || len(info.Nodes) > len(Names) {
		return Info{}, fmt.Errorf("%w: %s names %d nodes and %d members", coco.ErrCorrupt, lay.InfoFile(), len(info.Nodes), len(info.Members))
	}
	info.MoveTo(lay)
	return info, nil
}

// MoveTo makes the paths those of the folder in which the description was found, which may have
// been moved or copied since.
func (i *Info) MoveTo(lay Layout) {
	i.Dir = lay.Dir
	i.ServicePEM = lay.ServiceFile()
	for k := range i.Nodes {
		i.Nodes[k].Dir = string(lay.Node(i.Nodes[k].Name))
	}
	for k := range i.Members {
		i.Members[k].Dir = string(lay.Member(i.Members[k].Name))
	}
}

func (i *Info) Save() error {
	data, err := json.MarshalIndent(i, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(Layout{i.Dir}.InfoFile(), append(data, '\n'))
}

// Node returns the node of a name, or of a member's name.
func (i *Info) Node(name string) (Node, error) {
	for _, n := range i.Nodes {
		if n.Name == name {
			return n, nil
		}
	}
	known := make([]string, len(i.Nodes))
	for k, n := range i.Nodes {
		known[k] = n.Name
	}
	return Node{}, fmt.Errorf("%w: no node %q in this sandbox: expected one of %q", coco.ErrInvalid, name, known)
}

// Active is how many nodes have not retired.
func (i *Info) Active() (n int) {
	for _, node := range i.Nodes {
		if !node.Retired {
			n++
		}
	}
	return n
}

// Named returns the nodes of these names, or all if none is named. A node that has retired is none of them.
func (i *Info) Named(names []string) (todo []Node, err error) {
	if len(names) == 0 {
		for _, n := range i.Nodes {
			if !n.Retired {
				todo = append(todo, n)
			}
		}
		return todo, nil
	}
	for _, name := range names {
		n, err := i.Node(name)
		if err != nil {
			return nil, err
		}
		if n.Retired {
			return nil, fmt.Errorf("%w: node %s has retired", coco.ErrInvalid, name)
		}
		todo = append(todo, n)
	}
	return todo, nil
}
