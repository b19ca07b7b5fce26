package localnet

import "github.com/cocoframework/coco/wire"

// Step is one thing that a sandbox did. In JSON it is one line of output for programs; the last
// one of a start is "ready".
type Step struct {
	// Step names it: "organisations", "constitution", "code", "damaged", "recovering", "attested", "joined",
	// "open" and "ready", or "failed"; later, while it runs, "down", "stopping", "restarting", "waiting",
	// "back", "retired" and "stopped".
	Step         string     `json:"step"`
	Node         string     `json:"node,omitempty"`
	NodeID       string     `json:"node_id,omitempty"`
	Members      []string   `json:"members,omitempty"`
	Constitution string     `json:"constitution,omitempty"`
	Measurement  string     `json:"measurement,omitempty"`
	Insecure     bool       `json:"insecure,omitempty"`
	URL          string     `json:"url,omitempty"`
	RPC          []string   `json:"rpc,omitempty"`
	WS           []string   `json:"ws,omitempty"`
	ChainID      uint64     `json:"chain_id,omitempty"`
	Dir          string     `json:"dir,omitempty"`
	LedgerEnd    *LedgerEnd `json:"ledger_end,omitempty"` // of "recovering"
	Text         string     `json:"text,omitempty"`       // for people
	ExitCode     int        `json:"exit_code,omitempty"`
}

// LedgerEnd is where a ledger ends that a network goes on from, before any key is used.
type LedgerEnd struct {
	Last  string `json:"last"`  // transaction
	Time  uint64 `json:"time"`  // of its batch, in milliseconds since 1970
	Root  string `json:"root"`  // of the Merkle tree over all transactions
	Point string `json:"point"` // the digest that members' shares are released for
}

// StepFailed is the last step of a start that failed.
const StepFailed = "failed"

// FailedStep tells another process why a start failed; Err is the error there.
func FailedStep(err error) Step {
	return Step{Step: StepFailed, Text: err.Error(), ExitCode: wire.ExitCode(err)}
}

// Err returns the error of a failed step.
func (s Step) Err() error { return wire.FromExit(s.ExitCode, s.Text) }
