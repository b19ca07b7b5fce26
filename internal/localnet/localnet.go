// Package localnet is a network of `coco up` as the folder describes it that holds the network:
//
//	DIR/sandbox.json             [Info]: members, nodes, accounts, and where the supervisor answers
//	DIR/constitution.toml        at genesis; constitution-in-force.toml once members have changed it
//	DIR/service.pem              the network's service certificate, once it is verified
//	DIR/members/NAME/            see package identity
//	DIR/nodes/NAME/              see package nodeconfig
//	DIR/bin/                     the programs that the nodes run
//
// Commands find in it how to reach a node, what the node must prove, and the keys of the member that
// they act for. [GetStatus], [Ask] and [Down] speak with the supervisor (package sandbox), which alone writes
// sandbox.json while it runs. The package starts nothing.
//
// Trust: host
package localnet

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
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

// CommittedFile holds the last transaction that the supervisor has seen committed.
func (l Layout) CommittedFile() string { return filepath.Join(l.Dir, "last-committed") }

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

// ProgramFile is the copy of the program that a network was made with. The network's constitution
// lists that program's measurement, so its nodes must run it even when the program that
// supervises them has been built anew since.
func (l Layout) ProgramFile() string {
	name := "coco"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(l.Code(), name)
}

// Measure computes what a virtual TEE measures of a program.
func Measure(file string) (coco.Measurement, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return coco.Measurement(constitution.Virtual + ":" + hex.EncodeToString(h.Sum(nil))), nil
}
