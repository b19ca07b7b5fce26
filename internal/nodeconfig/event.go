package nodeconfig

import "github.com/cocoframework/coco"

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
