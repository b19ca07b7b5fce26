package arch

import (
	"slices"
	"strings"
)

const module = "github.com/cocoframework/coco"

// A rule says what some packages must not contain. Packages are named relative to the module; a
// trailing "/..." takes in everything below.
type rule struct {
	name   string
	in     []string // the packages that the rule is about
	except []string // and those of them that it is not
	// only, if set, lists the project's packages that may be imported; none lists those that
	// must not be. Standard library packages are forbidden by std.
	only []string
	none []string
	std  []string
	// third, if set, is asked about imports from outside the project and the standard library.
	third func(path string) bool
	// calls are functions of the standard library, as "package.Func", that must not be named.
	calls []string
	goes  bool     // no `go` statement
	words []string // must not appear in identifiers and string literals
	why   string
}

// outside is how a program reaches past package host.
var outside = []string{"os", "os/exec", "os/signal", "os/user", "io/ioutil", "syscall", "plugin", "net/rpc", "net/smtp", "runtime/cgo"}

// clocks are the ways to the machine's own time.
var clocks = []string{
	"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.Tick",
	"time.NewTimer", "time.NewTicker",
}

var dials = []string{
	"net.Dial", "net.DialTimeout", "net.DialTCP", "net.DialUDP", "net.DialUnix", "net.Listen", "net.ListenTCP",
	"net.ListenPacket", "net.ListenUDP", "net.LookupHost", "net.LookupIP", "net.LookupAddr", "tls.Dial", "tls.Listen",
	"http.Get", "http.Post", "http.PostForm", "http.Head", "http.ListenAndServe", "http.ListenAndServeTLS",
	"http.DefaultClient", "http.DefaultTransport", "http.DefaultServeMux", "http.Handle", "http.HandleFunc",
}

// server is the code that runs a node and that tools for users must not drag along.
var server = []string{
	"node", "gateway", "history", "store", "snapshot", "consensus", "consensus/...", "gov", "gov/...", "keys", "adapter", "adapter/...",
	"host", "host/...", "internal/sandbox", "cmd/...",
}

var core = []string{
	"", "attest", "channel", "client", "consensus/...", "consensus", "gateway", "gov", "gov/...", "history", "host/...", "host",
	"keys", "ledger", "merkle", "node", "receipt", "snapshot", "store", "adapter",
}

var rules = []rule{
	{
		name: "the root package holds nouns only",
		in:   []string{""},
		only: []string{}, std: append([]string{"net", "log", "log/slog", "net/http"}, outside...), third: never,
		calls: clocks, goes: true,
		why: "nearly every package imports it, so whatever it imports is imported everywhere",
	},
	{
		name: "the Merkle tree is pure",
		in:   []string{"merkle"},
		only: []string{""}, std: append([]string{"net", "log", "log/slog", "net/http"}, outside...), third: never,
		calls: clocks, goes: true,
		why: "verifiers that import no server use it, and its result may depend on its input only",
	},
	{
		name: "the store is pure",
		in:   []string{"store"},
		only: []string{"", "merkle"}, std: append([]string{"net", "log", "log/slog", "net/http"}, outside...),
		calls: clocks, goes: true,
		why: "the state must be the same on every node: it may depend on nothing but the transactions",
	},
	{
		name: "a snapshot is made of the state alone",
		in:   []string{"snapshot"},
		only: []string{"", "host", "merkle", "store"}, std: append([]string{"net", "log", "log/slog", "net/http"}, outside...),
		calls: clocks, goes: true,
		why: "every node must write the same bytes for the same state, or their digests could not be agreed on",
	},
	{
		name: "fairness is pure",
		in:   []string{"internal/fair"},
		only: []string{""}, std: append([]string{"net", "log", "log/slog", "net/http"}, outside...), third: never,
		calls: clocks, goes: true,
		why: "node and gateway decide by it under their locks, so it may do nothing but count",
	},
	{
		name: "consensus is a pure machine",
		in:   []string{"consensus/raft"},
		only: []string{"", "consensus"}, std: append([]string{"net", "log", "log/slog", "net/http"}, outside...),
		calls: clocks, goes: true,
		why: "time is ticks and messages are values, so that a simulation can replay every schedule",
	},
	{
		name: "keys are pure",
		in:   []string{"keys"},
		only: []string{""}, std: append([]string{"net", "log", "log/slog", "net/http"}, outside...),
		calls: clocks, goes: true,
		why: "secrets must have no way out: no file, no socket and no log",
	},
	{
		name:  "trusted code reaches the outside only through host",
		in:    []string{"adapter", "adapter/...", "attest", "channel", "consensus/...", "gateway", "gov", "gov/...", "history", "ledger", "node", "receipt"},
		std:   outside,
		calls: append(slices.Clone(dials), clocks...),
		why:   "what passes by package host can be neither checked by the enclave nor simulated by a test",
	},
	{
		name: "the ledger carries opaque bytes",
		in:   []string{"ledger"},
		only: []string{"", "host", "merkle"},
		why:  "what a transaction means must be free to change without touching the bytes on disk, and an auditor needs no store",
	},
	{
		name: "the index of the past knows the ledger and write sets only",
		in:   []string{"history"},
		only: []string{"", "host", "ledger", "merkle", "store"}, std: []string{"net", "log", "net/http"},
		goes: true,
		why:  "it must be possible to make it again from the ledger's files and the epochs' keys alone; its one goroutine is the node's",
	},
	{
		name: "consensus carries opaque bytes",
		in:   []string{"consensus", "consensus/..."},
		none: []string{"store", "gov", "ledger", "node", "adapter", "adapter/..."},
		why:  "consensus is a part that can be exchanged; it orders entries and never reads them",
	},
	{
		name: "governance does not act",
		in:   []string{"gov", "gov/..."},
		none: []string{"node", "gateway", "consensus", "consensus/...", "channel", "adapter/..."},
		why:  "its effects are data in the store; node reads them and acts, so replaying a ledger acts on nothing",
	},
	{
		name: "what members signed is judged by its bytes alone",
		in:   []string{"gov/envelope"},
		only: []string{""}, std: append([]string{"net", "log", "log/slog", "net/http", "time"}, outside...),
		third: oneOf("github.com/fxamacker/cbor/v2", "github.com/veraison/go-cose"),
		calls: clocks, goes: true,
		why: "an auditor opens an envelope years later, and must come to the network's conclusion",
	},
	{
		name: "a policy is pure",
		in:   []string{"gov/policy"},
		only: []string{""}, std: append([]string{"net", "log", "log/slog", "net/http", "time", "math/rand", "math/rand/v2", "crypto/rand"}, outside...),
		third: func(path string) bool {
			return path == "cel.dev/cel-go/cel" || path == "cel.dev/cel-go/parser" || strings.HasPrefix(path, "cel.dev/cel-go/common")
		},
		calls: clocks, goes: true,
		why: "every node and every auditor must decide alike; CEL's extensions hold clocks, networks and regular expressions",
	},
	{
		name:   "an adapter knows its contract and nothing else",
		in:     []string{"adapter", "adapter/..."},
		except: []string{"adapter/quorum"},
		only:   []string{"", "adapter", "store", "host"},
		why:    "a protocol that reaches into the core cannot be exchanged; what it lacks belongs into adapter.Env",
	},
	{
		name: "only Quorum builds on Ethereum",
		in:   []string{"adapter/quorum"},
		only: []string{"", "adapter", "store", "host", "adapter/ethereum"},
		why:  "adapters compose, they never edit: Quorum wraps Ethereum, and no other protocol contains another",
	},
	{
		name:   "only adapters know the protocols' libraries",
		in:     []string{"..."},
		except: []string{"adapter/...", "internal/sandbox", "internal/bench", "internal/contracts", "internal/deps", "internal/sim", "cmd/...", "test/..."},
		third:  func(path string) bool { return !strings.HasPrefix(path, "github.com/ethereum/") },
		why:    "no variant may be threaded through the core",
	},
	{
		name:  "no protocol's name in the core",
		in:    core,
		words: []string{"ethereum", "sawtooth", "corda", "erc20", "solidity"},
		why:   "a core that knows one protocol by name treats it differently from the next",
	},
	{
		name:   "node is composed by the command line and the simulation only",
		in:     []string{"..."},
		except: []string{"cmd/...", "internal/sandbox", "internal/sim"},
		none:   []string{"node"},
		why:    "gateway and the rest declare the few methods that they need; the composer is imported by nobody it composes",
	},
	{
		name: "users' tools do not import servers",
		in:   []string{"client", "receipt", "console"},
		none: server,
		why:  "a verifier that contains the server trusts it; a small one can be read and written again elsewhere",
	},
	{
		name:   "drivers are chosen by the command line",
		in:     []string{"..."},
		except: []string{"cmd/...", "attest/...", "host/sim", "internal/sim"},
		none:   []string{"attest/virtual", "attest/snp", "attest/tdx", "attest/sgx", "attest/tpm"},
		why:    "which platforms a binary trusts is one explicit list in cmd, never an import's side effect",
	},
	{
		name:   "nothing imports a command",
		in:     []string{"..."},
		except: []string{"cmd/..."},
		none:   []string{"cmd/..."},
		why:    "cmd is wiring only; what two things need has a package",
	},
}

func never(string) bool { return false }

func oneOf(paths ...string) func(string) bool {
	return func(path string) bool { return slices.Contains(paths, path) }
}
