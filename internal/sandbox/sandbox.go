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
	"os"
	"path/filepath"

	"github.com/cocoframework/coco"
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
func (l Layout) Member(name string) MemberDir {
	return MemberDir(filepath.Join(l.Members(), name))
}

// Node returns the folder of a node.
func (l Layout) Node(name string) NodeDir { return NodeDir(filepath.Join(l.Nodes(), name)) }

// MemberDir names the files of a member's folder.
type MemberDir string

// The organisation's certificate and key, its encryption key, and the certificates and keys that the
// organisation issued: a user's, for applications, and one for governance.
func (d MemberDir) Org() string        { return filepath.Join(string(d), "org.pem") }
func (d MemberDir) OrgKey() string     { return filepath.Join(string(d), "org-key.pem") }
func (d MemberDir) Encryption() string { return filepath.Join(string(d), "encryption.key") }
func (d MemberDir) EncryptionPublic() string {
	return filepath.Join(string(d), "encryption.pub")
}
func (d MemberDir) User() string    { return filepath.Join(string(d), "user.pem") }
func (d MemberDir) UserKey() string { return filepath.Join(string(d), "user-key.pem") }
func (d MemberDir) Gov() string     { return filepath.Join(string(d), "gov.pem") }
func (d MemberDir) GovKey() string  { return filepath.Join(string(d), "gov-key.pem") }

// NodeDir names the files of a node's folder.
type NodeDir string

// LedgerDir is the ledger's folder within a node's folder, which is the root of the node's disk.
const LedgerDir = "ledger"

// The node's settings, its ledger and its log.
func (d NodeDir) Config() string { return filepath.Join(string(d), "node.toml") }
func (d NodeDir) Ledger() string { return filepath.Join(string(d), LedgerDir) }
func (d NodeDir) Log() string    { return filepath.Join(string(d), "node.log") }

// writeFile replaces a file atomically, so that a reader or a crash never meets half of one.
func writeFile(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once renamed
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return os.Rename(f.Name(), name) // CreateTemp's mode is 0600
}
