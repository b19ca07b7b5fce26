// Package adapter is the contract between the core and a ledger protocol.
//
// An adapter is a name and a constructor without side effects. Opened, it is a Ledger: the core
// hands it calls to execute on the leader, tells it on every node what was committed, and serves
// its endpoints. All durable state of a ledger lives in the store's tables, so replication,
// encryption, snapshots and recovery belong to the core.
//
// Trust: enclave
package adapter

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/setting"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/contain"
	"github.com/cocoframework/coco/internal/trail"
	"github.com/cocoframework/coco/store"
)

// Adapter is a ledger protocol that a binary contains.
//
// It has more methods than an interface should: what a protocol is, beside its settings, is said once, and nobody needs a part.
type Adapter interface {
	Manifest() Manifest
	// CompleteSettings writes out what a page for people leaves open: it returns the settings with a value for every
	// setting that the page leaves out, and with the name of its own for whatever is named relatively, in canonical
	// JSON. Complete settings come back unchanged. It checks them as Open does; the error is coco.ErrInvalid and names
	// the adapter and the setting.
	//
	// It is asked once, when the page of a new network is read. What is stored, hashed and approved is what it
	// returned, so that no default of a later program enters a ledger of today: Open fills in nothing.
	CompleteSettings(settings []byte) ([]byte, error)
	// Settings lists the settings of the section, and says which of them members may change by a vote. A change that
	// is decided reaches the ledger by Ledger.Configure.
	Settings() setting.Table
	// CheckSettings says why a vote may not lead to a section in which each setting has one of its values; nil if Ledger.Configure takes
	// it. It is asked when the change is proposed, and not again. The error is coco.ErrInvalid.
	CheckSettings(settings []byte) error
	// Open returns the ledger of one network. It MUST NOT have side effects before.
	Open(Env) (Ledger, error)
}

// Manifest describes an adapter.
type Manifest struct {
	// Name is the adapter's key in the constitution and the first part of its tables' names.
	Name string
	// Tables are created before Open, as a store.Scope of the owner Name: every name MUST begin with
	// Name and a dot, or no node starts.
	Tables []store.Table
}

// Env is what the core gives to a ledger.
//
// Fields: one for each ability of the core that a ledger may use.
type Env struct {
	// Settings is the adapter's section of the constitution when the ledger opens, as JSON; see Ledger.Configure. Open MUST refuse unknown fields, and settings
	// that are not complete, with coco.ErrInvalid: see Adapter.CompleteSettings. A setting that a later release adds is
	// the exception: in a ledger from before, its absence means what the program did before.
	Settings []byte
	// Notices are sentences about the network that every user must be told, such as that its TEE
	// is simulated. Each begins with a word in capitals and a colon.
	Notices []string
	// Insecure says that the constitution marks the network as one that protects nothing (network.insecure). No vote changes it.
	Insecure bool
	// Network names the network for ever: it is in what users sign for this network and no other. It is zero in an adapter's tests.
	Network coco.Digest
	// Origin reports whether members have agreed that pages of an origin may ask nodes in browsers, by sessions: see Sessions. No session counts that began until
	// since, in milliseconds since 1970 by the ledger. It is nil in an
	// adapter's tests, where no page may.
	Origin func(origin string) (since uint64, agreed bool)
	// Submit sends calls through consensus, from whichever node this is, and returns once each is
	// refused, or committed and applied on this node. They are executed in the order given. A
	// result's Err is of one of coco's kinds, or the Outcome's own.
	Submit func(ctx context.Context, calls ...*Call) []Result
	// State is what this node has committed in the adapter's own tables. It cannot be written: see
	// Ledger.Execute.
	State *store.Scope
	// Past reads from this node's ledger what a key of one of these tables had as of a committed seqno.
	// Its errors are of kind coco.ErrInvalid (a table of another owner), coco.ErrNotFound (never written up to then), coco.ErrPending (ask again: the index is
	// being made) or coco.ErrMissing. It is nil where there is no ledger, as in an adapter's tests.
	Past func(ctx context.Context, table string, key []byte, at uint64) (PastValue, error)
	// PastFor is Past for a key of a table whose rows have audiences, without audience and salt. For an actor outside the audience nothing
	// was ever written, and nothing is looked up.
	PastFor func(ctx context.Context, actor coco.ActorID, audience store.Audience, table string, key []byte, at uint64) (PastValue, error)
	// Actor returns the organisation that has a name now, and whether there is one. It is nil in an adapter's tests.
	Actor func(name string) (coco.ActorID, bool)
	// Receipt makes the receipt of a transaction that this node has committed, in JSON (see package receipt), and returns what the transaction
	// claims. The receipt is for callers who may see the claims. Its errors are those of Past. It is nil where Past is.
	Receipt func(ctx context.Context, id coco.TxID) (receipt, claims []byte, err error)
	// PastTurn waits until a caller's organisation may make one more read of the past; leave MUST be called after it. PastReader
	// does that. It is nil where nothing is shared, as in an adapter's tests.
	PastTurn func(ctx context.Context, caller coco.Caller) (leave func(), err error)
	// Search finds rows of the past by what they hold: see Indexer. It calls fn, in order, with the first and the last seqno
	// of each batch that has transactions from..to and may have rows of one of these tables with at least one term
	// of each group; fn MUST look for itself. It returns the seqno up to which all was searched. Its errors are those of Past,
	// for the seqno after it, and those of fn. It is nil where Past is, or where the adapter is no Indexer.
	Search func(ctx context.Context, table string, groups [][][]byte, from, to uint64, fn func(first, last uint64) error) (done uint64, err error)
	// Wake has the core ask Keeper again. It may be called by any goroutine. It is nil where there is no core, as in an
	// adapter's tests.
	Wake func()
	// Fresh waits until the node's newest state is what a read asks for, and says how old it may be. It fails with a StaleError, or with
	// coco.ErrBusy if no quorum answers. It is nil in an adapter's tests, where nothing is old.
	Fresh func(context.Context, Reading) (Age, error)
	// Lost reports whether a transaction is certainly not in the ledger, now and later, whatever a client was told: members went on from an older
	// copy. It is nil in an adapter's tests, where nothing is lost.
	Lost func(coco.TxID) bool
	// Status tells what this node is doing, for protocols that report it.
	Status func() Status
	Clock  host.Clock // its time of day is the ledger's: what a transaction would get now
	Log    *slog.Logger
	// Panics ends panics in goroutines of the adapter's own that serve one request: nothing else keeps one client's
	// request from ending the node. It is nil in an adapter's tests. Execute MUST NOT use it.
	Panics *contain.Panics
}

// PastValue is one version of a key.
type PastValue struct {
	Value   []byte // nil if Deleted
	Deleted bool
	TxID    coco.TxID // of the transaction that wrote it
	Time    uint64    // of its batch, in milliseconds since 1970
}

// Status is a node's view of the network.
type Status struct {
	Role      string // "leader", "follower", "joining"
	View      uint64
	Committed uint64 // seqno of the last transaction that is committed and applied here
	Known     uint64 // highest seqno that this node knows to be committed anywhere
	Stale     bool   // as in Age
}

// Call is one request for a transaction. It is checked on the node that the client reached and
// executed on the leader.
type Call struct {
	Caller coco.Caller
	// Payload is what travels to the leader. The adapter chooses the format; it carries the
	// results of checks that need not be repeated, because nodes trust each other.
	Payload []byte
	// Decoded is Payload in the adapter's own form. The core fills it by Ledger.Decode for calls
	// that came from another node; the adapter fills it itself for its own.
	Decoded any
	// Repeatable says that executing the call a second time is recognised and harmless, so that
	// the core may send it again when it cannot know what became of it; the result says that it did.
	Repeatable bool
	// Done is closed once the client has stopped waiting for this call. Nil means that it never stops.
	Done <-chan struct{}
	// Trail names the write in debug logs. The core fills it.
	Trail trail.ID
}

// Calls are what a batch may execute of one ledger. The core deals turns to the organisations that have calls: see
// package replica. A turn costs the time from one pull to the next.
type Calls struct {
	// Next returns the next call, and nil once the batch shall have no more.
	Next func() *Call
	// Back hands a call back that Next has returned, in this Execute or an earlier one, and that has no outcome. It is
	// the next one of its organisation: by a later Next or, as a rule, in a later batch.
	Back func(*Call)
}

// Queue returns calls in the order given, for those who execute without a core.
func Queue(calls ...*Call) Calls {
	return Calls{
		Next: func() *Call {
			if len(calls) == 0 {
				return nil
			}
			c := calls[0]
			calls = calls[1:]
			return c
		},
		Back: func(c *Call) { calls = append([]*Call{c}, calls...) },
	}
}

// Result is what became of a call.
type Result struct {
	TxID  coco.TxID // if Err is nil
	Reply []byte
	Err   error
	// Again says that the core sent the call again because it could not know what became of an earlier attempt.
	// What the ledger says of a call that was executed before may then be about that attempt.
	Again bool
}

// Outcome is what executing a call gave. Exactly one of Tx and Err is set, except that a call
// which turns out to be executed before has neither: then TxID names that transaction.
type Outcome struct {
	Call  *Call
	Tx    *store.Tx // the transaction, committed into the set
	TxID  coco.TxID
	Reply []byte // handed to the waiting client once the transaction is committed
	Err   error  // the call is refused; nothing of it is in the ledger
	// Beside is how long a goroutine of the adapter's has worked on the call, beside Execute. Its organisation is
	// charged for it.
	Beside time.Duration
}

// Commit says that a batch is committed and applied on this node.
type Commit struct {
	View        uint64
	First, Last uint64 // seqnos; equal for a batch of one transaction
	Time        uint64 // of the batch, in milliseconds since 1970
}

// Ledger is an open adapter. The core calls Genesis, Execute, Configure, Committed and Rollback from one
// goroutine, which also applies what the network commits; Decode and handlers run concurrently with
// them.
type Ledger interface {
	// Genesis writes the initial state, as the ledger's part of the network's first transaction. The
	// transaction MUST NOT be used after Genesis has returned.
	Genesis(tx *store.Tx) error
	// Decode parses and checks the payload of a call from another node.
	Decode(payload []byte) (any, error)
	// Execute runs calls on top of the set, in the order in which it pulls them. Each accepted call MUST be one
	// transaction of the set. Neither the set and its transactions nor calls MUST be used after Execute has returned.
	//
	// Execute pulls calls until there is none, or until one cannot be executed in this batch; that one it hands back.
	// Executing a call MUST NOT take long, because nothing else is executed meanwhile, and nothing that the network
	// commits is applied on this node. A call that may take longer than some tens of milliseconds belongs into a
	// goroutine of the adapter: see Keeper.
	//
	// The adapter may keep a call back and return its outcome from a later Execute; it MUST bound how
	// many it keeps, for each organisation, and drop those whose Done is closed. The core runs Execute with no calls
	// when kept calls may have timed out.
	//
	// Execute MUST NOT read or write anything but the set and memory, except that it may wait for a process of its own
	// for as long as ctx lasts. Once ctx has ended, because this node does not lead any more, is stopping, or
	// has given the batch all the time that it may take, Execute MUST return at once: it aborts the
	// transaction that is open, and returns the calls that are not executed with coco.ErrNotCommitted,
	// or keeps them, or hands them back. What is executed stays.
	Execute(ctx context.Context, set *store.Part, calls Calls) []Outcome
	// Configure puts a section of settings in force, in canonical JSON, that members have decided on. It is called on the goroutine of
	// Execute, between batches, with the section as of the newest state: after the batch with the deciding vote is executed or
	// applied, and again with the older section if that batch is rolled back. So every node that leads executes a call by the
	// section that the ledger has before it, after a restart, a snapshot or a replay of the ledger, too.
	//
	// Calls that the ledger has decoded, checked or kept under another section MUST be judged by this one when they are executed. What a
	// node checks, answers and bounds beside Execute follows it, too. Configure MUST take whatever Open and CheckSettings take;
	// an error ends the node.
	Configure(settings []byte) error
	// Committed is called for every batch, in order, on every node. Readers of the store see the
	// batch already, a moment before. A node that begins with a restored state calls it first with the
	// batch that the state ends with.
	Committed(Commit)
	// Rollback says that batches above seqno will never be committed: drop what was cached of
	// them. The kept calls are returned with an outcome of coco.ErrNotCommitted.
	Rollback(to uint64) []Outcome
	// Authorize reports whether a caller may see what the read asks for: nil, or an error of kind
	// coco.ErrDenied, or of kind coco.ErrNotFound where a refusal would tell that something exists that
	// the caller must not know of. The error is what the caller is answered.
	//
	// The core asks every ledger before it answers what is about no ledger alone: receipts, and what
	// became of a transaction. Of a transaction that is not its own, a ledger MUST answer nil. For what
	// its endpoints read, the ledger MUST ask itself, and before it looks anything up: then coco.ErrDenied
	// is the answer for what exists and for what does not. It is called concurrently.
	Authorize(caller coco.Caller, read Read) error
	// Endpoints are served by the core, which owns TLS, authentication and limits.
	Endpoints() []Endpoint
	// Close ends the ledger's goroutines and waits for them.
	Close() error
}

// Keeper is implemented by ledgers that execute long calls in goroutines of their own. The core asks on the goroutine
// that runs Execute, and again after Env.Wake.
type Keeper interface {
	// Busy reports that the ledger executes a call and cannot execute others meanwhile. The core runs no Execute of it
	// then; its calls wait in the queue, and other ledgers' are executed.
	Busy() bool
	// Ready reports that what a kept call has come to can be put into a batch. The core then runs Execute soon.
	Ready() bool
}

// Gatherer is implemented by ledgers that may have calls wait for more of them, so that they execute together.
type Gatherer interface {
	// Gathers reports whether the calls that wait in the queue, so many, shall wait on. The core runs no Execute of the ledger then, and asks
	// again when another call comes, after Env.Wake, and about once a second. It tells a ledger what an Execute has left, too, 0 as well. It is
	// called on the goroutine of Execute.
	Gathers(waiting int) bool
}

// Idler is implemented by ledgers that may have something to commit though nobody has called.
type Idler interface {
	// Idle reports whether Execute without calls may make a transaction now. The core asks about once a second on a node
	// that leads, on the goroutine of Execute, and runs Execute then. A transaction of which no outcome
	// is returned belongs to no call.
	Idle() bool
}

// Indexer is implemented by adapters whose rows are looked for by what they hold, and not by their keys alone.
type Indexer interface {
	// Terms calls add with each term of a row that a transaction wrote: bytes that Env.Search looks for. It MUST depend on
	// its arguments only, and be the same in every release, as files of an index are kept. add copies what it needs.
	Terms(table string, key, value []byte, add func(term []byte))
}

// Noticer is implemented by ledgers that may run in a mode which every user must be told of.
type Noticer interface {
	// Notices returns sentences in the form of Env.Notices; none as a rule.
	Notices() []string
}

// Endpoint is something that clients reach.
type Endpoint struct {
	// Pattern is a pattern of http.ServeMux, such as "POST /rpc" or "/app/kv/".
	Pattern string
	Handler Handler
	// Repeatable reports whether a request with this body has no effect when it is made a second time, and no other answer that matters: whoever stands between client and node
	// may make it again. Nil if none is so.
	Repeatable func(body []byte) bool
	// Query names the parameters that a query may have; the gateway refuses others. AnyQuery leaves queries to the handler.
	Query []string
	// Sessions are those of the ledger, which count here beside the callers' other credentials; nil if it has none. Pages of origins that members have
	// agreed on may then ask here in browsers.
	Sessions Sessions
	// OpenAPI is an OpenAPI 3.0 document in JSON that describes the endpoint, and may describe others of the same ledger: its paths, as
	// Pattern without "...", each with its operations, and its components. The gateway serves it, merged with its own, at /openapi.json. It may refer to the gateway's
	// headers, parameters and errors (gateway/openapi/openapi.json; Error404 is the response of status 404). Nil if there is none: then the endpoint is listed
	// with the parameters of its path and query alone.
	OpenAPI []byte
}

// AnyQuery is the Query of an endpoint whose clients may add parameters of their own, such as keys that a provider
// wants in its URLs.
var AnyQuery = []string{"*"}

// Handler answers a request of an authenticated caller. The request's body is bounded already.
type Handler func(caller coco.Caller, w http.ResponseWriter, r *http.Request)
