package constitution

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/policy"
	"github.com/cocoframework/coco/keys"
)

// Constitution is everything that the members have agreed on. One that is built in Go MUST be
// completed by Complete before anything else is done with it; Parse and
// table.LoadConstitution return completed ones. A completed constitution MUST NOT be modified; it may be used
// by several goroutines.
//
// Fields: one for each section of the page.
type Constitution struct {
	// Version is 1 at genesis and one more with every proposal that changed something. Zero means 1.
	Version uint64
	// Rules is the version of the rules by which changes are decided and checked. What they say never
	// changes: a later program repeats an old decision by the rules of its time. Zero means CurrentRules.
	Rules        uint64
	Network      Network
	Members      []Member
	Participants []Participant
	Code         []Code
	TEE          []TEE
	Policies     map[string]string
	Limits       Limits
	Shares       Shares
	Consensus    Consensus
	Ledger       Ledger
	Snapshots    SnapshotPolicy
	Since2
	Since3
	// Adapters holds the settings of each ledger protocol by its name. A protocol that is not
	// here does not run. Values are what JSON can say, except null, which counts as absent.
	Adapters map[string]map[string]any

	done *completed
}

// completed is what Complete derives.
type completed struct {
	core     []byte                 // canonical CBOR
	settings map[string][]byte      // canonical JSON by adapter, as far as they are loaded
	digests  map[string]coco.Digest // of the settings of all adapters
	actors   []actor
	roots    *x509.CertPool // the actors' certificates
}

type actor struct {
	id   coco.ActorID
	name string
	role coco.Role
	cert *x509.Certificate
}

// CurrentRules is the newest version of the rules that this program knows, and that of new networks.
const CurrentRules = 3

// Network names the network.
type Network struct {
	Name string `cbor:"1,keyasint"`
	// Insecure allows TEEs that are simulated. Such a network protects nothing, and says so.
	Insecure bool `cbor:"2,keyasint"`
}

// Member is an organisation that governs.
type Member struct {
	Name string `cbor:"1,keyasint"`
	// Certificate is the organisation's X.509 certificate in DER form. It stands for the
	// organisation and everyone whose certificate is issued under it.
	Certificate []byte `cbor:"2,keyasint"`
	// EncryptionKey is the public key that the member's key shares are encrypted to, of package keys. By rules 1 and 2 it is for X25519.
	EncryptionKey []byte `cbor:"3,keyasint"`
	// Certificates are further ones, which stand for the same organisation.
	Certificates [][]byte `cbor:"4,keyasint,omitempty"`
	// Weight is the member's in policies that weigh votes. Zero means 1.
	Weight uint64 `cbor:"5,keyasint"`
	// ID is the organisation's identity: the SHA-256 of the certificate that it came with, which
	// may have been removed since. Zero means that of Certificate.
	ID coco.ActorID `cbor:"6,keyasint"`
}

// Actor returns the member's identity.
func (m Member) Actor() coco.ActorID { return identity(m.ID, m.Certificate) }

func identity(id coco.ActorID, der []byte) coco.ActorID {
	if id == (coco.ActorID{}) {
		return sha256.Sum256(der)
	}
	return id
}

// Participant is an organisation that transacts and does not govern.
type Participant struct {
	Name         string       `cbor:"1,keyasint"`
	Certificate  []byte       `cbor:"2,keyasint"` // as a member's, and the two below too
	Certificates [][]byte     `cbor:"3,keyasint,omitempty"`
	ID           coco.ActorID `cbor:"4,keyasint"`
}

// Actor returns the participant's identity.
func (p Participant) Actor() coco.ActorID { return identity(p.ID, p.Certificate) }

// Code is an entry of the code manifest: what a node may run.
type Code struct {
	Measurement coco.Measurement `cbor:"1,keyasint"`
	Note        string           `cbor:"2,keyasint"` // for people
}

// TEE is an entry of the TEE manifest: a platform whose evidence counts.
type TEE struct {
	Platform string `cbor:"1,keyasint"`
	// Policy is what the platform's driver asks of evidence: a JSON object in canonical form that only
	// the driver understands, such as a minimum TCB. Empty stands for the driver's defaults.
	Policy string `cbor:"2,keyasint"`
	// Debug lets TEEs in that their owner can look into. Only an insecure network may have it.
	Debug bool `cbor:"3,keyasint"`
}

// Limits bound what a node does for its clients. Zero means the default.
type Limits struct {
	BodyBytes  int `cbor:"1,keyasint"` // of a client's request
	BatchCount int `cbor:"2,keyasint"` // transactions in a batch
	BatchBytes int `cbor:"3,keyasint"` // calls' bytes in a batch
	Queue      int `cbor:"4,keyasint"` // calls that wait on a node; 5 was a limit that nothing kept
}

// Shares says how many members' shares open an epoch.
type Shares struct {
	Threshold int `cbor:"1,keyasint"` // zero means the default, a majority of the members
}

// Durability says when a node acknowledges a batch.
type Durability string

// The kinds of durability.
const (
	DurableDisk   Durability = "disk"   // once it is on its disk
	DurableMemory Durability = "memory" // once it is in its memory
)

// Consensus says how nodes agree.
type Consensus struct {
	Durability Durability `cbor:"1,keyasint"` // empty means DurableDisk
}

// Ledger says how nodes keep the ledger. It is the same on all nodes, and so are their files.
type Ledger struct {
	// ChunkBytes is the size with which a chunk file is complete; zero means the default.
	ChunkBytes int64 `cbor:"1,keyasint"`
}

// SnapshotPolicy says when a snapshot of the state is written: after so many transactions, bytes of the
// ledger, or seconds since the last one, whichever comes first. In a completed constitution zero means
// never by that; before, zero means the default and Never means never.
type SnapshotPolicy struct {
	Transactions int64 `cbor:"1,keyasint"`
	Bytes        int64 `cbor:"2,keyasint"`
	Seconds      int64 `cbor:"3,keyasint"`

	filled bool // the defaults are in
}

// MaxChain bounds the certificates that lead from a signer's to its organisation's.
const MaxChain = 8

// Never stands in SnapshotPolicy for what does not bring one about.
const Never = -1

// PolicyAddNode and PolicyDefault are the policies that every constitution has: a policy is an expression
// of package policy that decides a kind of action (package action).
const (
	// PolicyAddNode decides whether a node is trusted, when it joins in a place that no vote has
	// admitted, and whether a vote admits a place.
	PolicyAddNode = string(action.AddNode)
	// PolicyDefault decides every kind that has no policy of its own.
	PolicyDefault = action.DefaultPolicy
)

// AutomaticAddNode is the default of PolicyAddNode: members' nodes are admitted without a vote, others by
// a majority. Whatever the policy, a node has to run listed code on a listed platform.
const AutomaticAddNode = "members.exists(m, m.id == node.owner) || " + policy.Majority

// Majority is the default of PolicyDefault.
const Majority = policy.Majority

// Virtual is the platform of simulated TEEs.
const Virtual = "virtual"

// Digest identifies the constitution: the SHA-256 of its canonical form, which says the same as
// the TOML page with every default filled in, and nothing of the page's layout, comments or order.
func (c *Constitution) Digest() coco.Digest { return sha256.Sum256(c.completed().core) }

// Canonical returns the canonical form, which names adapters' settings by digest. It MUST NOT be modified.
func (c *Constitution) Canonical() []byte { return c.completed().core }

// AdapterDigests returns the digests of the adapters' settings, by the adapters' names. It MUST NOT be modified.
func (c *Constitution) AdapterDigests() map[string]coco.Digest { return c.completed().digests }

// Settings returns an adapter's settings as canonical JSON; nil if the constitution does not have
// the adapter. The result MUST NOT be modified.
func (c *Constitution) Settings(name string) []byte { return c.completed().settings[name] }

// Member returns the member with an identity.
func (c *Constitution) Member(id coco.ActorID) (Member, bool) {
	for _, m := range c.Members {
		if m.Actor() == id {
			return m, true
		}
	}
	return Member{}, false
}

// Actors returns the identities of all members and participants.
func (c *Constitution) Actors() []coco.ActorID {
	var out []coco.ActorID
	for _, a := range c.completed().actors {
		out = append(out, a.id)
	}
	return out
}

// Name returns the name of a member or participant; empty if the constitution lists neither.
func (c *Constitution) Name(id coco.ActorID) string {
	for _, a := range c.completed().actors {
		if a.id == id {
			return a.name
		}
	}
	return ""
}

// Actor returns the identity of the member or participant of a name, and whether there is one.
func (c *Constitution) Actor(name string) (coco.ActorID, bool) {
	for _, a := range c.completed().actors {
		if a.name == name {
			return a.id, true
		}
	}
	return coco.ActorID{}, false
}

// Role returns the role of a member or participant, and whether the constitution lists it.
func (c *Constitution) Role(id coco.ActorID) (coco.Role, bool) {
	for _, a := range c.completed().actors {
		if a.id == id {
			return a.role, true
		}
	}
	return "", false
}

// Holder returns whose certificate, in DER form, an organisation's own is. One that the constitution does not list is of an organisation that may be added by
// it: its id is the certificate's digest.
func (c *Constitution) Holder(certificate []byte) coco.ActorID {
	for _, a := range c.completed().actors {
		if bytes.Equal(a.cert.Raw, certificate) {
			return a.id
		}
	}
	return identity(coco.ActorID{}, certificate)
}

// Recipients returns the recipients of an epoch's shares: the members.
func (c *Constitution) Recipients() []keys.Recipient {
	out := make([]keys.Recipient, len(c.Members))
	for i, m := range c.Members {
		out[i] = keys.Recipient{Actor: m.Actor(), Key: m.EncryptionKey}
	}
	return out
}

// Measurements returns the code manifest's measurements.
func (c *Constitution) Measurements() []coco.Measurement {
	out := make([]coco.Measurement, len(c.Code))
	for i, code := range c.Code {
		out[i] = code.Measurement
	}
	return out
}

func (c *Constitution) completed() *completed {
	if c.done == nil {
		panic("gov: constitution used before Complete")
	}
	return c.done
}
