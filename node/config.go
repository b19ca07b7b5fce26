package node

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/beginning"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/join"
	"github.com/cocoframework/coco/reopen"
	"github.com/cocoframework/coco/resume"
)

// Config is how a node starts.
type Config struct {
	Name string // for people
	Host host.Host
	Addresses
	Beginning
	Adapters  []adapter.Adapter
	Verifiers attest.Verifiers
	Owner     join.Owner
	Version   string // of the binary, for people
	// LedgerFolders are folders, which are only read, of chunks that were moved out of the ledger's own.
	LedgerFolders []host.Disk
	Log           *slog.Logger
	// LogLevel is the level of Log; the owner may change it while the node runs. Nil if it is fixed.
	LogLevel *slog.LevelVar
	// Refused, if set, is told each time that the reason changes why this node is not admitted. It MUST NOT wait.
	Refused func(*join.RefusedError)
	// NotKept, if set, is told why what this node has kept to go on with the others after all of them have stopped is of no use. It MUST NOT wait.
	NotKept func(error)
	// Waits, if set, is told again and again that too few nodes wait with this one to go on together. It MUST NOT wait.
	Waits func(resume.Waiting)

	past past
}

// Addresses are what a node binds and what others dial.
type Addresses struct {
	// PeerListen and ClientListen are bound at the start, "127.0.0.1:0" is allowed.
	PeerListen, ClientListen string
	// AdminListen is where members reach the node to govern; empty for nowhere.
	AdminListen string
	// PeerAddress and ClientAddress are what others dial, if that differs from what is bound.
	PeerAddress, ClientAddress string
}

// past is what the lives of a node leave to the next one.
type past struct {
	began    time.Time       // when Run was called
	lives    int             // counts the keys that the node has run under, the present one included
	known    *known          // the same for all lives
	admitted *join.Admission // the present life was admitted before it began; see comeBack
}

// known is what all lives of a node know.
type known struct {
	service []byte // the service's certificate, DER, once a life has joined
}

// How a node becomes part of a network; see package beginning.
type Beginning = beginning.Way

// What a recovery is told, what it finds, and why it refuses to go on; see package reopen.
type (
	Recover   = reopen.How
	Ending    = reopen.Ending
	LossError = reopen.LossError
)

// Info says how to reach a node that is ready.
type Info struct {
	ID            coco.NodeID
	PeerAddress   string
	ClientAddress string
	AdminAddress  string // empty if there is none
	Service       []byte // the service's certificate, DER
	Constitution  coco.Digest
	Lacking       int // after a recovery: rows that reside with the node's organisation and others, whose contents the node does not have
}

// service is the certificate (DER) of the service that the node belongs to, as the operator named it or an earlier life found it; empty if
// it is not known.
func (c *Config) service() []byte {
	if len(c.Service) > 0 || c.past.known == nil {
		return c.Service
	}
	return c.past.known.service
}

// beginning is what a life begins from.
func (c *Config) beginning() beginning.Config {
	way := c.Beginning
	way.Service = c.service()
	return beginning.Config{
		Way: way,
		Log: c.Log, Host: c.Host, Verifiers: c.Verifiers, Owner: c.Owner, Vault: c.vault(), Admitted: c.past.admitted,
		PeerAddress: cmp.Or(c.PeerAddress, c.PeerListen), ClientAddress: cmp.Or(c.ClientAddress, c.ClientListen),
		Joined: func(service []byte) { c.past.known.service = service }, Refused: c.Refused, NotKept: c.NotKept, Waits: c.Waits,
	}
}

// folder is where a node's ledger is.
func (c *Config) folder() join.Folder {
	return join.Folder{Disk: c.Host.Disk, Dir: Dir, Extra: c.LedgerFolders}
}

// ownLedger is the ledger on this node's disk.
func (c *Config) ownLedger() join.OwnLedger {
	return join.OwnLedger{Folder: c.folder(), Named: c.service(), Joins: len(c.Join) > 0, Log: c.Log, Clock: c.Host.Clock}
}

func (c *Config) validate() error {
	if err := c.Beginning.Validate(); err != nil {
		return err
	}
	switch {
	case c.Owner == nil || c.Log == nil || len(c.Verifiers) == 0 || len(c.Adapters) == 0:
		return fmt.Errorf("%w: a node needs an owner, a log, verifiers and adapters", coco.ErrInvalid)
	case c.Host.Disk == nil || c.Host.Net == nil || c.Host.Clock == nil || c.Host.Quoter == nil:
		return fmt.Errorf("%w: the host lacks a disk, a net, a clock or a quoter", coco.ErrInvalid)
	case c.Genesis != nil:
		return c.Genesis.ValidateTEEs(c.Verifiers.ValidatePolicy)
	}
	return nil
}
