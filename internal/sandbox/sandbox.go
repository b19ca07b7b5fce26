// Package sandbox runs a whole consortium on one machine: for every member an organisation with
// its certificate and keys, and one validating node as a process of its own, behind a loopback
// proxy that speaks plain JSON-RPC.
//
// The supervisor ([Start]) owns a folder, whose contents [Layout] names. It starts the nodes,
// verifies each node's evidence before its proxy opens, restarts a node that dies, and, when no
// quorum of nodes is left, goes on from the longest ledger. A node's process ends when its
// standard input does, so that a supervisor that is killed leaves nothing behind.
//
// A sandbox holds the keys of every member in one place and runs on a simulated TEE. It is for
// development, tests and load measurements, and says so.
//
// Trust: host
package sandbox

import (
	"fmt"
	"path/filepath"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/nodeconfig"
)

// DefaultDir is where a sandbox lives unless the user names another folder.
const DefaultDir = "coco-sandbox"

// Names are the members of a sandbox, in order; a sandbox of three has the first three.
var Names = []string{"alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india"}

// Layout names the files of a sandbox folder.
type Layout struct{ Dir string }

// NewLayout returns the layout of a folder, with its absolute path.
func NewLayout(dir string) (Layout, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Layout{}, fmt.Errorf("%w: folder %q: %w", coco.ErrInvalid, dir, err)
	}
	return Layout{Dir: abs}, nil
}

// InfoFile is the sandbox's description; see [Info].
func (l Layout) InfoFile() string { return filepath.Join(l.Dir, "sandbox.json") }

// LockFile is locked by the supervisor while it runs.
func (l Layout) LockFile() string { return filepath.Join(l.Dir, "sandbox.lock") }

// LogFile is the log of a supervisor that runs in the background.
func (l Layout) LogFile() string { return filepath.Join(l.Dir, "sandbox.log") }

// ConstitutionFile is the genesis constitution.
func (l Layout) ConstitutionFile() string { return filepath.Join(l.Dir, "constitution.toml") }

// ServiceFile is the network's service certificate, once verified.
func (l Layout) ServiceFile() string { return filepath.Join(l.Dir, "service.pem") }

// Members holds a folder for each member.
func (l Layout) Members() string { return filepath.Join(l.Dir, "members") }

// Nodes holds a folder for each node.
func (l Layout) Nodes() string { return filepath.Join(l.Dir, "nodes") }

// Code holds the binary that the network's nodes run.
func (l Layout) Code() string { return filepath.Join(l.Dir, "bin") }

// Member returns the folder of a member.
func (l Layout) Member(name string) identity.Dir {
	return identity.Dir(filepath.Join(l.Members(), name))
}

// Node returns the folder of a node.
func (l Layout) Node(name string) nodeconfig.Dir {
	return nodeconfig.Dir(filepath.Join(l.Nodes(), name))
}
