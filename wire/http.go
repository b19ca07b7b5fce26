package wire

// Headers of Coco's own.
const (
	// HeaderTxID is in an answer: the transaction that a write became, or that a value was read of.
	HeaderTxID = "X-Coco-Transaction-Id"
	// HeaderAtLeast is in a read: the transaction that the node must have committed before it answers.
	HeaderAtLeast = "X-Coco-At-Least"
	// HeaderConsistency is in a read: Linearizable or Session.
	HeaderConsistency = "X-Coco-Consistency"
	// HeaderMaxAge is in a read: how many seconds old the node's state may be at most.
	HeaderMaxAge = "X-Coco-Max-Age"
	// HeaderAudience is in a request of kv: the names of the organisations, with commas between them, that alone see the rows which it is about. "; resident" after
	// them says that only their nodes have the contents.
	HeaderAudience = "X-Coco-Audience"
	// HeaderNodes is in the answer to a request that another node must be asked: the addresses for clients of nodes that would do, with commas between them.
	HeaderNodes = "X-Coco-Nodes"
	// HeaderSalt is in the answer to a read of a row that resides with its parties: the salt of its commitment, in hexadecimal.
	HeaderSalt = "X-Coco-Salt"
	// HeaderAge is in the answer to a read: how many seconds old the node's state may be. HeaderStale is there, and "true", if that is more than the
	// constitution's reads.stale_seconds.
	HeaderAge   = "X-Coco-Age"
	HeaderStale = "X-Coco-Stale"
	// HeaderDigest is in the answer that is a constitution: its digest.
	HeaderDigest = "X-Coco-Digest"
	// HeaderVersion is in the answer that is a constitution: its version.
	HeaderVersion = "X-Coco-Version"
	// HeaderRequestID is in the answer to a request whose way is followed: its name in the nodes' debug logs. HeaderTraceParent (W3C Trace
	// Context) in a request asks for it.
	HeaderRequestID   = "X-Request-Id"
	HeaderTraceParent = "Traceparent"
)

// The values of HeaderConsistency.
const (
	Linearizable = "linearizable" // the answer holds all that was committed anywhere before the request
	Session      = "session"      // the answer holds what HeaderAtLeast says; this is the default
)

// Media types.
const (
	MediaJSON  = "application/json"
	MediaText  = "text/plain; charset=utf-8"
	MediaBytes = "application/octet-stream"
	MediaPEM   = "application/x-pem-file"
	// MediaPage is a constitution as a TOML page, for people too.
	MediaPage = "text/toml; charset=utf-8"
	// MediaActions is a file of actions, in TOML.
	MediaActions = "application/toml"
	// MediaEnvelope is a signed proposal or ballot, a COSE_Sign1.
	MediaEnvelope = "application/cose"
)
