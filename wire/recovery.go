package wire

import "github.com/cocoframework/coco"

// The states of a node that recovers its network.
const (
	RecoveryVerifying  = "verifying"  // it verifies the ledger without any key
	RecoveryCollecting = "collecting" // members release their parts
	RecoveryOpening    = "opening"    // a threshold has: it opens the ledger, and replays it
)

// Recovery is the answer of GET /recovery and of POST /recovery/releases.
type Recovery struct {
	State        string           `json:"state"`
	Insecure     bool             `json:"insecure"` // the TEE is simulated: nothing here is confidential
	Verified     int64            `json:"verified"` // bytes of the ledger, of so many
	Bytes        int64            `json:"bytes"`
	Network      string           `json:"network,omitempty"`     // its name
	Last         coco.TxID        `json:"last,omitzero"`         // the transaction that the ledger ends with
	Snapshot     coco.TxID        `json:"snapshot,omitzero"`     // up to which the node took the ledger as one piece, by a snapshot that the ledger records
	Time         uint64           `json:"time,omitempty"`        // of it, in milliseconds since 1970
	Root         coco.Digest      `json:"root,omitzero"`         // of the Merkle tree over all transactions
	Point        coco.Digest      `json:"point,omitzero"`        // names the end of the ledger: what members consent to
	Constitution coco.Digest      `json:"constitution,omitzero"` // in force at the end
	Rules        uint64           `json:"rules,omitempty"`       // of the constitution
	Lock         string           `json:"lock,omitempty"`        // what is to be opened
	Threshold    int              `json:"threshold,omitempty"`   // how many members open it
	Remaining    int              `json:"remaining"`             // how many are missing
	Resume       bool             `json:"resume,omitempty"`      // the network goes on at once, under the same service
	Members      []RecoveryMember `json:"members"`               // that have a part of it
}

// RecoveryMember is a member that has a part of what is to be opened.
type RecoveryMember struct {
	ID       coco.ActorID `json:"id"`
	Name     string       `json:"name,omitempty"`
	Released bool         `json:"released"`
	Fault    string       `json:"fault,omitempty"` // of the last release in its name, if that was wrong and none was right; anybody can have brought it
}

// RecoveryRequest is the answer of GET /recovery/request: what a member needs for its release. It may cross an air gap.
type RecoveryRequest struct {
	Request  []byte `json:"request"` // as package keys/recovery encodes it
	Lock     []byte `json:"lock"`    // the same
	Platform string `json:"platform"`
	Quote    []byte `json:"quote"` // evidence that the request's key is an enclave's
}

// RecoveryRelease is the body of POST /recovery/releases: a member's release, for that enclave alone. It may cross an air gap.
type RecoveryRelease struct {
	Release []byte `json:"release"` // as package keys/recovery encodes it
}
