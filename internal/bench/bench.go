// Package bench measures a running network: it loads it with token transfers, ether transfers or
// key-value writes, or replays blocks of Ethereum's mainnet, and afterwards checks that the network
// holds exactly what it acknowledged.
//
// The generator shares the machine with what it measures, so it is lean: each client is one
// goroutine with one raw connection, requests are written by hand, replies are scanned rather than
// decoded, and transactions are signed before the measured window begins. A client has one request
// in flight, of one transaction or of a JSON-RPC batch, and a sender of its own, so nonces are
// sequential. Latency is from the first attempt of a request to the reply that says committed,
// retries included.
//
// Trust: host
package bench

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/bench/link"
)

// The kinds of work.
const (
	ERC20    = "erc20"    // transfers of a token
	Transfer = "transfer" // transfers of ether
	KV       = "kv"       // writes of 64 to 256 bytes under /app/kv/
)

// Options says what to run. Zero values take the defaults given beside them.
//
// Fields: one for each choice.
type Options struct {
	Work     string
	Targets  []link.Target // clients are spread over them in turn
	Nodes    int           // of the network, for the report; the number of targets
	Clients  int           // 64
	Batch    int           // transactions a request; 1
	Duration time.Duration // of the measured window; 10 s
	WarmUp   time.Duration // before it; 2 s; negative: none
	// Receivers is how many accounts receive transfers, or how many keys are written; 1,000 or 10,000.
	Receivers int
	// Funders are private keys in hexadecimal of accounts that hold ether; Transfer needs one.
	Funders []string
	// Keys, unless they are nil, are those of the accounts that send: of the token's owner first, then one for each client. The client i sends to the target
	// i modulo their number at first. Then the token states by a rule who sees its transfers, as in a closed network, and each client reads the receipt
	// of each of its transfers, which must have the event. Erc20 only.
	Keys []*ecdsa.PrivateKey
	// Linked says that the keys are those of accounts of an open network that are linked to the members whose nodes the clients ask, and that may have sent before.
	Linked bool
	// Unsigned has them send by coco_sendCall, without a signature.
	Unsigned bool
	// Processes are measured by their process ids; the generator's own process is always "bench".
	Processes map[string]int
	// Epoch returns the number of the ledger's epoch, so that the report says how many began; nil if that is not asked for.
	Epoch func(context.Context) (uint64, error)
	// Timeout is the patience for one request with its retries in the measured window; 30 s.
	Timeout time.Duration

	// patience is how long nothing may be committed, how late replies may be when a window is over,
	// and how long one request may take outside of windows.
	patience      time.Duration
	checkPatience time.Duration // how long after the window a node may take to hold what others acknowledged
}

// NewKeys makes keys for Options.Keys, and returns the addresses of their accounts, too.
func NewKeys(n int) (keys []*ecdsa.PrivateKey, addresses []string, err error) {
	for range n {
		key, err := crypto.GenerateKey()
		if err != nil {
			return nil, nil, err
		}
		keys, addresses = append(keys, key), append(addresses, crypto.PubkeyToAddress(key.PublicKey).Hex())
	}
	return keys, addresses, nil
}

// Limits of Options.
const (
	MaxClients = 10_000
	MaxBatch   = 1_000
)

func (o *Options) validate() error {
	switch o.Work {
	case ERC20, Transfer, KV:
	default:
		return fmt.Errorf("%w: bench: work %q: expected %s, %s or %s", coco.ErrInvalid, o.Work, ERC20, Transfer, KV)
	}
	if len(o.Targets) == 0 {
		return fmt.Errorf("%w: bench: no target: expected the address of at least one node or proxy", coco.ErrInvalid)
	}
	for _, t := range o.Targets {
		webSocket, err := t.Check()
		if err != nil {
			return err
		}
		if webSocket && o.Work == KV {
			return fmt.Errorf("%w: bench: target %q: %s writes over HTTP: use http or https", coco.ErrInvalid, t.URL, KV)
		}
	}
	if o.Keys != nil && (o.Work != ERC20 || len(o.Keys) != o.Clients+1) {
		return fmt.Errorf("%w: bench: %d keys for %d clients of %s: expected one more than clients, and %s", coco.ErrInvalid, len(o.Keys), o.Clients, o.Work, ERC20)
	}
	if o.Unsigned && (!o.Linked || o.Batch > 1) {
		return fmt.Errorf("%w: bench: calls without a signature: expected accounts that are linked, and one call in a request", coco.ErrInvalid)
	}
	if o.Work == Transfer && len(o.Funders) == 0 {
		return fmt.Errorf("%w: bench: %s needs the private key of an account that holds ether", coco.ErrInvalid, Transfer)
	}
	defaults(&o.Nodes, len(o.Targets))
	defaults(&o.Clients, 64)
	defaults(&o.Batch, 1)
	defaults(&o.Duration, 10*time.Second)
	defaults(&o.WarmUp, 2*time.Second)
	defaults(&o.Timeout, 30*time.Second)
	defaults(&o.patience, 5*time.Second)
	defaults(&o.checkPatience, 8*time.Second)
	if o.Work == KV {
		defaults(&o.Receivers, 10_000)
	} else {
		defaults(&o.Receivers, 1_000)
	}
	if o.Clients < 1 || o.Clients > MaxClients {
		return fmt.Errorf("%w: bench: %d clients: expected 1 to %d", coco.ErrInvalid, o.Clients, MaxClients)
	}
	if o.Batch < 1 || o.Batch > MaxBatch {
		return fmt.Errorf("%w: bench: batches of %d: expected 1 to %d", coco.ErrInvalid, o.Batch, MaxBatch)
	}
	if o.Duration < 0 || o.Timeout < 0 || o.Receivers < 1 || o.Receivers > 1_000_000 {
		return fmt.Errorf("%w: bench: a negative duration, or %d receivers: expected 1 to 1000000", coco.ErrInvalid, o.Receivers)
	}
	return nil
}

func defaults[T comparable](v *T, value T) {
	if *v == *new(T) {
		*v = value
	}
}

// Sample is what a live display shows.
type Sample struct {
	Phase string // "connect", "deploy", "fund", "warm up", "sign", "measure", "check", or "block N"
	// Done and Total count the phase's steps; Total is 0 while a phase lasts for a time.
	Done, Total int
	Elapsed     time.Duration // since the phase began
	Committed   uint64        // transactions in this phase
	Errors      uint64
	TPS         float64 // over the last interval
}

// Report is a run's result. In JSON it is one line of plain figures.
type Report struct {
	Work      string             `json:"work"`
	Nodes     int                `json:"nodes"`
	Clients   int                `json:"clients"`
	Committed uint64             `json:"committed"` // in the measured window
	Errors    uint64             `json:"errors"`    // transactions that were refused or whose outcome stayed unknown
	TPS       float64            `json:"tps"`
	Latency   Latency            `json:"latency_ms"`
	CPU       map[string]float64 `json:"cpu_us_per_tx"`    // by process; without those that could not be read
	Epochs    uint64             `json:"epochs,omitempty"` // that began in the measured window

	Batch      int               `json:"-"`
	Window     time.Duration     `json:"-"`
	Kinds      map[string]uint64 `json:"-"` // failures by kind, those that a retry made good included
	SignedLate uint64            `json:"-"` // transactions signed within the window because the supply ran out
}

// Latency is in milliseconds, from submit to the reply that says committed.
type Latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// Run loads the network and reports. The rate counts what was committed within the measured window;
// replies that come later, for which it waits some seconds, count in the latency alone, and those
// that do not come then are errors. It ends early, with coco.ErrUnreachable, when no target can be
// reached any more, and with coco.ErrNotCommitted when nothing has been committed for 5 s. progress, if not nil, is called from one goroutine at a time,
// some four times a second.
//
// The report is valid, and returned, also when the error wraps coco.ErrVerify: then the network
// does not hold what it acknowledged.
func Run(ctx context.Context, o Options, progress func(Sample)) (Report, error) {
	if err := o.validate(); err != nil {
		return Report{}, err
	}
	r := &run{Options: o, meter: meter{progress: progress}}
	defer r.close()
	return r.run(ctx)
}
