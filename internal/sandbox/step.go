package sandbox

// Step is one thing that a sandbox did. In JSON it is one line of output for programs; the last
// one of a start is "ready".
type Step struct {
	// Step names it: "organisations", "constitution", "code", "recovering", "attested", "joined",
	// "open", "ready"; later, while it runs, "down", "restarting", "back" and "stopped".
	Step         string   `json:"step"`
	Node         string   `json:"node,omitempty"`
	NodeID       string   `json:"node_id,omitempty"`
	Members      []string `json:"members,omitempty"`
	Constitution string   `json:"constitution,omitempty"`
	Measurement  string   `json:"measurement,omitempty"`
	Insecure     bool     `json:"insecure,omitempty"`
	URL          string   `json:"url,omitempty"`
	RPC          []string `json:"rpc,omitempty"`
	WS           []string `json:"ws,omitempty"`
	ChainID      uint64   `json:"chain_id,omitempty"`
	Dir          string   `json:"dir,omitempty"`
	Text         string   `json:"text,omitempty"` // for people
}
