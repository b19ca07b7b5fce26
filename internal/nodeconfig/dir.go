package nodeconfig

import "path/filepath"

// Dir names the files of a node's folder.
type Dir string

// The folders within a node's folder, which is the root of the node's disk.
const (
	LedgerDir   = "ledger"
	SnapshotDir = "snapshots"
	HistoryDir  = "history"
	ResidentDir = "resident"
)

// The node's settings, its ledger and its log.
func (d Dir) Config() string { return filepath.Join(string(d), "node.toml") }
func (d Dir) Ledger() string { return filepath.Join(string(d), LedgerDir) }
func (d Dir) Log() string    { return filepath.Join(string(d), "node.log") }
