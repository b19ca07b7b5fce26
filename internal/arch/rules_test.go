package arch

import (
	"slices"
	"strings"
)

// The rules come in four chapters. Add a row to the chapter of its reason; rows of one chapter go
// from the packages that import least to those that import most.
var rules = slices.Concat(pure, layers, protocols, composition)

// Pure packages return the same on every node and in every simulation.
var pure = []rule{
	{
		name: "the root package holds nouns only",
		in:   []string{""}, pure: true, third: never,
		only: []string{},
		why:  "nearly every package imports it, so whatever it imports is imported everywhere",
	},
	{
		name: "what crosses a process is types only",
		in:   []string{"wire"}, pure: true, third: never,
		only: []string{""},
		why:  "servers, clients and tools all import it, and must not import each other through it",
	},
	{
		name: "an error's answer is a row of the table",
		in:   []string{"wire/problem"}, third: never, only: []string{"", "wire"},
		why: "gateway, adapters and the loopback proxy answer errors in one form",
	},
	{
		name: "the Merkle tree is pure",
		in:   []string{"merkle"}, pure: true, third: never,
		only: []string{""},
		why:  "verifiers that import no server use it, and its result may depend on its input only",
	},
	{
		name: "the encoding is pure",
		in:   []string{"canon"}, pure: true, std: []string{"time"},
		only:  []string{},
		third: oneOf("github.com/fxamacker/cbor/v2"),
		why:   "what is signed, hashed and compared has one form on every node and in every verifier",
	},
	{
		name: "sealed messages are pure",
		in:   []string{"sealed"}, pure: true, third: never,
		only: []string{"", "canon"},
		why:  "client and node must agree on every byte of them, and a second implementation is held against their vector",
	},
	{
		name: "what opens sealed requests reaches nothing else",
		in:   []string{"gateway/unseal"}, third: never,
		only: []string{"", "canon", "host", "sealed", "wire", "wire/problem"},
		why:  "it handles strangers' bytes: keys open them by a function, and what is inside goes to the gateway by another, as any other request",
	},
	{
		name: "the keys of sealed requests are derived, and nothing else",
		in:   []string{"sealed/keyring"}, std: []string{"net", "net/http"},
		only: []string{"", "attest", "batch", "canon", "host", "internal/erase", "keys", "merkle", "sealed", "wire"},
		why:  "it holds the service's key for a moment: there must be no way out of it but its caller's",
	},
	{
		name: "which service follows which is told by certificates alone",
		in:   []string{"succession"}, pure: true, std: []string{"time"}, third: never,
		only: []string{"", "canon"},
		why:  "clients, verifiers of receipts and audits must come to one answer, years later and offline",
	},
	{
		name: "batches are pure",
		in:   []string{"batch"}, pure: true, third: never,
		only: []string{"", "canon", "internal/erase", "merkle"},
		why:  "receipts are verified with them, by programs that have neither disk nor network; and a seal may depend on its arguments only",
	},
	{
		name: "a cache knows nothing of what it keeps",
		in:   []string{"internal/lru"}, pure: true, third: never,
		only: []string{},
		why:  "what is kept, and for how long, is its owner's to decide",
	},
	{
		name: "how long secrets are kept is decided apart from how they are opened",
		in:   []string{"retention"},
		none: []string{"node", "gateway", "replica", "peer", "join", "ceremonies", "epochs", "history", "consensus/raft"},
		why:  "the ring, the ledger's time and the tables say what expires; who opens it again is the node's to wire",
	},
	{
		name: "secrets are erased by the standard library alone",
		in:   []string{"internal/erase"}, pure: true, third: never,
		only: []string{},
		why:  "whatever holds a secret links it, and nothing may come between a key and its end",
	},
	{
		name: "the store is pure",
		in:   []string{"store"}, pure: true,
		only: []string{"", "canon", "merkle"},
		why:  "the state must be the same on every node: it may depend on nothing but the transactions",
	},
	{
		name: "what nodes do about resident rows is decided purely",
		in:   []string{"resident"}, pure: true,
		only: []string{"", "canon", "merkle", "store"},
		why:  "who must have a payload, and who may, follows from rows, owners and answers; a table of cases shows every decision",
	},
	{
		name: "a snapshot is made of the state alone",
		in:   []string{"snapshot"}, pure: true,
		only: []string{"", "canon", "host", "internal/erase", "merkle", "store"},
		why:  "every node must write the same bytes for the same state, or their digests could not be agreed on",
	},
	{
		name: "the HTTP of reads is apart from the contract",
		in:   []string{"adapter/reading"}, third: never,
		none: []string{"node", "gateway", "peer", "replica", "gov", "gov/...", "consensus", "consensus/...", "channel", "ledger", "adapter/kv", "adapter/ethereum", "adapter/ethereum/..."},
		why:  "how a header asks for a new state is one subject for all adapters; a chain that executes does not link HTTP's words",
	},
	{
		name: "settings are described, and no adapter's in particular",
		in:   []string{"adapter/setting"}, pure: true, third: never,
		only: []string{""},
		why:  "the core judges votes by an adapter's table, and every adapter has one: both must read it alike",
	},
	{
		name: "what a pulse says is pure",
		in:   []string{"pulse"}, pure: true, third: never,
		only: []string{"", "consensus"},
		why:  "what a quorum's clocks and echoes prove must follow from the messages alone; a test plays every order of them",
	},
	{
		name: "fairness is pure",
		in:   []string{"internal/fair"}, pure: true, third: never,
		only: []string{""},
		why:  "node and gateway decide by it under their locks, so it may do nothing but count",
	},
	{
		name: "the memory for replies is counted, and nothing else",
		in:   []string{"internal/budget"}, pure: true, third: never,
		only: []string{"", "internal/fair"},
		why:  "gateway and adapters claim by it what they build: it may know neither",
	},
	{
		name: "a histogram counts, and nothing else",
		in:   []string{"internal/histogram"}, only: []string{},
		third: oneOf("github.com/prometheus/client_golang/prometheus"),
		why:   "it is measured with on the way of every batch",
	},
	{
		name: "slots count, and wait",
		in:   []string{"internal/slots"}, std: outside, third: never, calls: clocks,
		only: []string{"", "internal/fair"},
		why:  "adapters and the node share their work out by it, and its tests run in virtual time",
	},
	{
		name: "what lets statements in knows none of them",
		in:   []string{"internal/intake"}, std: outside, third: never, calls: clocks,
		only: []string{"", "wire", "internal/fair", "internal/slots"},
		why:  "what a statement says is for governance to judge; here the same bytes are the same statement",
	},
	{
		name: "consensus is a pure machine",
		in:   []string{"consensus/raft"}, pure: true,
		only: []string{"", "consensus"},
		why:  "time is ticks and messages are values, so that a simulation can replay every schedule",
	},
	{
		name: "counting votes is pure",
		in:   []string{"internal/balance"}, pure: true, third: never,
		only: []string{""},
		why:  "members decide by it what the leader does with their nodes, and both must count alike",
	},
	{
		name: "which members change is decided purely",
		in:   []string{"consensus/reconfig"}, pure: true, third: never,
		only: []string{"", "consensus", "consensus/raft", "internal/balance"},
		why:  "a table of cases shows every decision; what it needs to know of a leader is a value",
	},
	{
		name: "keys are pure",
		in:   []string{"keys", "keys/..."}, pure: true,
		only: []string{"", "batch", "canon", "internal/erase", "keys", "keys/archive", "keys/committee", "keys/dkg", "keys/grant", "keys/ristretto", "keys/tdh2", "merkle"},
		why:  "secrets must have no way out: no file, no socket and no log",
	},
	{
		name: "what members signed is judged by its bytes alone",
		in:   []string{"gov/envelope"}, pure: true, std: []string{"time"},
		only:  []string{"", "canon"},
		third: oneOf("github.com/veraison/go-cose"),
		why:   "an auditor opens an envelope years later, and must come to the network's conclusion",
	},
	{
		name: "an expression is pure",
		in:   []string{"internal/expr", "gov/policy"}, pure: true, std: []string{"time", "math/rand", "math/rand/v2", "crypto/rand"},
		only: []string{"", "internal/expr"},
		third: func(path string) bool {
			return path == "cel.dev/cel-go/cel" || path == "cel.dev/cel-go/parser" || strings.HasPrefix(path, "cel.dev/cel-go/common")
		},
		why: "every node and every auditor must decide alike; CEL's extensions hold clocks, networks and regular expressions",
	},
	{
		name: "a decision is pure",
		in:   []string{"gov/decide"}, pure: true,
		only:  []string{"", "attest", "batch", "canon", "internal/balance", "gov/access", "gov/action", "gov/constitution", "gov/envelope", "gov/policy", "gov/reason", "gov/settings", "gov/table", "internal/erase", "internal/expr", "keys", "keys/archive", "keys/committee", "keys/dkg", "keys/grant", "keys/ristretto", "keys/tdh2", "merkle", "store", "succession"},
		third: never,
		why:   "an audit repeats it years later: it may depend on the tables, the statement and the rules, and on nothing else",
	},
	{
		name: "what a constitution lets members do is computed from it alone",
		in:   []string{"gov/consequence"}, pure: true,
		only:  []string{"", "attest", "canon", "gov/access", "gov/action", "gov/constitution", "gov/policy", "gov/reason", "gov/settings", "internal/erase", "internal/expr", "keys", "batch", "merkle"},
		third: never,
		why:   "what members are warned of must follow from the constitution that they vote on, whichever node they ask",
	},
	{
		name: "what is stored of a reason is pure",
		in:   []string{"gov/reason"}, pure: true, third: never,
		only: []string{""},
		why:  "codes are compared for ever, and no library may word them",
	},
}

// Layers say which part may know which other.
var layers = []rule{
	{
		name: "the host is a few interfaces",
		in:   []string{"host"}, std: outside, third: never,
		only: []string{}, calls: append(slices.Clone(dials), clocks...),
		why: "it is the boundary of the enclave: what trusted code may ask for, and nothing of how it is done",
	},
	{
		name: "a host knows nothing of what it hosts",
		in:   []string{"host/local", "host/mem", "host/sim", "host/hosttest"},
		only: []string{"", "host", "host/mem", "attest", "attest/virtual", "canon"},
		why:  "the same suite tests every host, and the simulated one lies about bytes that it does not understand",
	},
	{
		name: "a device makes evidence and knows no platform",
		in:   []string{"host/tsm", "host/gramine"}, third: never,
		only: []string{"", "host"},
		why:  "what it is given out as evidence is its driver's to say, and a test stands in for the kernel",
	},
	{
		name: "a driver reads evidence only",
		in:   []string{"attest/..."},
		only: []string{"", "attest", "attest/attesttest", "attest/collateral", "attest/dcap", "attest/snp", "canon", "host"},
		why:  "clients link drivers to verify nodes; the device, of package host, is all that a driver has of a server",
	},
	{
		name: "what SEV-SNP signs is judged by bytes and a time",
		in:   []string{"attest/snp", "attest/vtpm", "attest/aci"}, pure: true,
		only: []string{"", "attest", "attest/collateral", "attest/snp", "canon", "host"},
		third: func(path string) bool {
			return strings.HasPrefix(path, "github.com/google/go-sev-guest/") || path == "github.com/google/go-tpm/tpm2" || path == "github.com/veraison/go-cose"
		},
		why: "an audit repeats years later what a node decided: from the evidence, its collateral and the time of the decision",
	},
	{
		name: "a device makes evidence and judges none",
		in:   []string{"host/tpm"},
		only: []string{"", "host", "attest", "attest/collateral", "attest/snp", "attest/vtpm", "canon"},
		why:  "the machine that it runs on is not trusted, and its evidence is read elsewhere; the form of the evidence is the driver's",
	},
	{
		name: "evidence in a certificate is of no platform",
		in:   []string{"attest/ratls"}, pure: true, third: never,
		only: []string{"", "attest", "canon"},
		why:  "which platforms count, its caller says by the verifiers that it gives",
	},
	{
		name: "what a vendor says is parsed from bytes",
		in:   []string{"attest/collateral"}, pure: true, third: never,
		only: []string{"", "canon"},
		why:  "an enclave gets collateral from its host, and a verifier gets it inside evidence: neither may make it look elsewhere",
	},
	{
		name: "quotes are verified by the standard library",
		in:   []string{"attest/dcap", "attest/sgx", "attest/tdx"}, pure: true, third: never,
		only: []string{"", "attest", "attest/collateral", "attest/dcap", "canon"},
		why:  "the verdict on evidence may depend on evidence, collateral and time only, so that an audit comes to the same one",
	},
	{
		name: "what fetches collateral trusts none of it",
		in:   []string{"internal/vendors"},
		only: []string{"", "attest", "attest/collateral", "attest/dcap", "attest/snp", "canon", "host", "internal/atomicfile"},
		why:  "it reads evidence to know what to fetch, and verifies nothing: that is for those who use the folder",
	},
	{
		name: "what contains a panic knows its event and nothing else",
		in:   []string{"internal/contain"}, third: never,
		only: []string{"internal/logevent"},
		why:  "peer, gateway and adapters defer it",
	},
	{
		name: "small tools need nobody",
		in:   []string{"internal/atomicfile", "internal/contracts", "internal/ctxtime", "internal/logfile", "internal/sdnotify", "internal/signal"},
		only: []string{""},
		why:  "what is imported from everywhere must not bring half of the module along",
	},
	{
		name: "names of writes are nodes and counts",
		in:   []string{"internal/trail"}, third: never,
		only: []string{""},
		why:  "gateway, peer and replica write them into logs, which the host reads",
	},
	{
		name: "channels carry bytes",
		in:   []string{"channel"},
		only: []string{"", "canon", "host", "succession"},
		why:  "a certificate names a key; what the key's owner may do is decided by those who use the channel",
	},
	{
		name: "the gateway declares what it needs of a node",
		in:   []string{"gateway"},
		none: []string{"node", "join", "peer", "replica", "gov", "gov/...", "channel", "consensus", "consensus/...", "keys", "ledger", "history", "snapshot"},
		why:  "clients' bytes are parsed there: it holds no key and no file, and tests drive it without a network",
	},
	{
		name: "what a client may have open knows no request",
		in:   []string{"gateway/conns"}, third: never, calls: clocks,
		only: []string{"", "internal/crowd"},
		why:  "which connection makes room is decided by whose it is and whether it is busy, and by nothing that a client says",
	},
	{
		name: "the document of routes is made of descriptions",
		in:   []string{"gateway/openapi"}, third: never, std: []string{"net"},
		none: []string{"gateway", "node"},
		why:  "what is listed is told to it; it serves nothing",
	},
	{
		name: "a crowd knows connections and where they come from",
		in:   []string{"internal/crowd"}, third: never, only: []string{}, calls: clocks,
		why: "gateway, recoverer and transport bound strangers by it",
	},
	{
		name: "lingering knows a request and its answer",
		in:   []string{"internal/linger"}, third: never, only: []string{}, calls: clocks,
		why: "node and loopback proxy answer before a body has arrived in one way",
	},
	{
		name: "quoting for a shell needs nothing",
		in:   []string{"internal/shell"}, third: never, only: []string{},
		why: "every hint that names a folder passes by it, from the commands down to the description of a sandbox",
	},
	{
		name: "making text visible needs nothing",
		in:   []string{"internal/visible"}, third: never, only: []string{},
		why: "terminals and logs on both sides of the network pass texts of others by it",
	},
	{
		name: "bounding a log needs nothing",
		in:   []string{"internal/lograte"}, third: never, std: outside, calls: clocks,
		only: []string{},
		why:  "nodes and loopback proxies log through it, with the clock of their host",
	},
	{
		name: "names of events are nouns",
		in:   []string{"internal/logevent"}, third: never, std: outside,
		only: []string{},
		why:  "every part of a node logs, so whatever this package imports is imported everywhere",
	},
	{
		name:   "trusted code reaches the outside only through host",
		in:     []string{"adapter", "adapter/...", "attest", "channel", "consensus/...", "gateway", "gov", "gov/...", "history", "ledger", "ledger/chain", "ledger/check", "node", "peer", "catchup", "join", "receipt", "replica", "pulse", "snapshotter", "renew", "retire", "epochs", "ceremonies", "grants", "upgrade", "recoverer", "reopen", "basis", "beginning", "leftbehind", "resident", "resident/..."},
		except: []string{"gov/govtest"},
		std:    outside,
		calls:  append(slices.Clone(dials), clocks...),
		why:    "what passes by package host can be neither checked by the enclave nor simulated by a test",
	},
	{
		name: "evidence needs no server",
		in:   []string{"attest"},
		only: []string{"", "canon"},
		why:  "clients verify evidence, and a verifier that contains the server trusts it",
	},
	{
		name:   "there is one CBOR",
		in:     []string{"..."},
		except: []string{"canon"},
		third:  func(path string) bool { return !strings.HasPrefix(path, "github.com/fxamacker/cbor") },
		why:    "a second set of options accepts what the first refuses, and a library's defaults are no format",
	},
	{
		name: "the ledger carries opaque bytes",
		in:   []string{"ledger"},
		only: []string{"", "batch", "canon", "host", "internal/erase", "ledger/check", "merkle"},
		why:  "what a transaction means must be free to change without touching the bytes on disk, and an auditor needs no store",
	},
	{
		name: "what is checked of a ledger needs no disk",
		in:   []string{"ledger/check"}, third: never, std: impure, calls: clocks,
		only: []string{"", "batch", "canon", "internal/erase", "merkle"},
		why:  "how much of it is done at the same time must change nothing of what comes out",
	},
	{
		name: "the chain of a ledger is checked without keys",
		in:   []string{"ledger/chain"},
		only: []string{"", "batch", "canon", "host", "internal/erase", "ledger", "ledger/check", "merkle"},
		why:  "operators repair a ledger whose network is gone, so only what is on disks counts",
	},
	{
		name: "the index of the past knows the ledger and write sets only",
		in:   []string{"history", "history/own", "history/recent", "history/seal"},
		only: []string{"", "batch", "canon", "host", "internal/erase", "history/own", "history/recent", "history/seal", "internal/logevent", "internal/lru", "ledger", "ledger/check", "merkle", "store"}, std: []string{"net", "log", "net/http"},
		goes: true,
		why:  "it must be possible to make it again from the ledger's files and the epochs' keys alone; its one goroutine is the node's",
	},
	{
		name: "consensus carries opaque bytes",
		in:   []string{"consensus", "consensus/..."},
		none: []string{"store", "gov", "batch", "ledger", "node", "adapter", "adapter/..."},
		why:  "consensus is a part that can be exchanged; it orders entries and never reads them",
	},
	{
		name: "peers do not know what is agreed on",
		in:   []string{"peer"},
		none: []string{"gov", "gov/...", "gateway", "node", "replica", "join", "ledger", "history", "snapshot"},
		why:  "who may connect is a function that it is given; so every frame can be read, fuzzed and replaced in one place",
	},
	{
		name: "catching up knows the ledger and snapshots only",
		in:   []string{"catchup"},
		none: []string{"gov", "gov/...", "gateway", "node", "replica", "join", "history", "consensus/raft"},
		why:  "what a disk lacks is checked by digests and chains; who is admitted, and what a state means, is not its business",
	},
	{
		name: "renewing certificates, changing epochs, making committees and letting auditors read needs no node",
		in:   []string{"renew", "epochs", "ceremonies", "grants"},
		none: []string{"node", "gateway", "join", "catchup", "snapshotter"},
		why:  "what is due follows from the state and the clock; who leads and how the leader is asked are functions that they are given",
	},
	{
		name: "a folder of payloads knows its disk and its keys",
		in:   []string{"resident/folder"}, third: never,
		only: []string{"", "batch", "canon", "host", "internal/erase", "merkle", "resident", "store"},
		why:  "what is on the disk is sealed and compared there, whoever sends it",
	},
	{
		name: "exchanging payloads needs no node",
		in:   []string{"resident/exchange"},
		none: []string{"node", "gateway", "replica", "join", "gov", "gov/...", "history", "consensus/raft"},
		why:  "which nodes there are, whose they are and what time it is are functions that it is given",
	},
	{
		name: "which rules the nodes' programs know needs no node",
		in:   []string{"upgrade"},
		none: []string{"node", "peer", "gateway", "replica", "join", "gov/decide"},
		why:  "what was told and what is voted are given to it",
	},
	{
		name: "going on after all nodes have stopped needs no node",
		in:   []string{"resume"},
		none: []string{"node", "gateway", "replica", "snapshotter", "history"},
		why:  "who goes on with whom is agreed on before there is a node; consensus begins with the result",
	},
	{
		name: "leaving consensus needs no node",
		in:   []string{"retire"},
		none: []string{"node", "gateway", "gov", "gov/...", "join", "catchup", "snapshotter"},
		why:  "a node leaves by what consensus says and by what the leader answers; how it ends afterwards is its own life",
	},
	{
		name: "what locks a ledger follows from its tables",
		in:   []string{"gov/locks"},
		only: []string{"", "attest", "batch", "canon", "gov/access", "gov/action", "gov/constitution", "gov/envelope", "gov/policy", "gov/reason", "gov/settings", "gov/table", "internal/erase", "internal/expr", "keys", "keys/...", "merkle", "store", "succession"},
		why:  "members and the recovering node must name the same lock, from copies of their own",
	},
	{
		name: "an audit from a snapshot on needs no node",
		in:   []string{"basis"},
		none: []string{"node", "gateway", "peer", "replica", "join", "catchup", "history", "snapshotter", "keys/recovery", "consensus", "consensus/..."},
		why:  "a recovery and a resumption begin with it, before there is a key or a peer",
	},
	{
		name: "opening a ledger needs no node",
		in:   []string{"reopen"},
		none: []string{"node", "gateway", "peer", "replica", "join", "catchup", "history", "snapshotter", "consensus/raft"},
		why:  "what comes before the node's first transaction writes nothing, and is rehearsed without a node",
	},
	{
		name: "collecting what members release needs no node",
		in:   []string{"recoverer"},
		none: []string{"node", "gateway", "peer", "replica", "join", "ledger", "store"},
		why:  "strangers reach it while the ledger is still locked: it holds what members release, and nothing that this opens",
	},
	{
		name: "writing snapshots needs no node",
		in:   []string{"snapshotter"},
		none: []string{"node", "gateway", "peer", "join", "channel"},
		why:  "when one is due follows from the state alone; who leads, what a receipt says and how a transaction is committed are functions that it is given",
	},
	{
		name: "joining needs no node",
		in:   []string{"join"},
		none: []string{"node", "replica", "gateway", "history", "consensus/raft"},
		why:  "a joiner is no node yet: it makes one value of which a node is made, and nothing half-built",
	},
	{
		name: "what a node begins with needs no node",
		in:   []string{"beginning"},
		none: []string{"node", "gateway", "snapshotter", "epochs", "ceremonies", "grants", "retention", "renew", "retire"},
		why:  "a node is made of the result, whole: what comes before knows none of its parts but the replica, on which the first transaction is made",
	},
	{
		name: "whether the network went on is judged by what was noted",
		in:   []string{"leftbehind"},
		none: []string{"node", "gateway", "replica", "history", "snapshotter"},
		why:  "what a node meets is told to it, and how a node comes back is its own life",
	},
	{
		name: "a caller is judged by the constitution and the ledger's time",
		in:   []string{"caller", "caller/..."},
		none: []string{"node", "gateway", "replica", "peer", "ledger", "store", "adapter", "adapter/...", "channel", "host", "keys/...", "gov/decide", "gov/audit", "gov/query", "gov/members", "client"},
		why:  "what judges credentials is told what is in force, what time it is and how to reach an issuer: it has no other way to any of them",
	},
	{
		name: "what a page may read is a matter of its origin alone",
		in:   []string{"gateway/cors"},
		only: []string{},
		why:  "a caller's rights are judged by its credential, which a browser's headers must not change",
	},
	{
		name: "what members agree on about callers is data",
		in:   []string{"gov/access"}, pure: true, third: never,
		only: []string{"", "gov/reason", "canon"},
		why:  "a constitution contains it, and whoever judges a caller by it brings the clock, the keys and the network",
	},
	{
		name: "the rooms of governance",
		in:   []string{"gov/constitution", "gov/table"},
		none: []string{"gov/decide", "gov/members", "gov/audit", "gov/query", "wire"},
		why:  "what is agreed on, and its rows, know neither who decides nor who looks",
	},
	{
		name: "how far tables have grown is counted",
		in:   []string{"gov/growth"},
		none: []string{"gov/decide", "gov/members", "gov/audit", "gov/query", "replica", "peer", "gateway"},
		why:  "limits of others are compared with its own by tests, so that it depends on no part that has them",
	},
	{
		name: "a decision is not shown, and what is shown decides nothing",
		in:   []string{"gov/decide", "gov/members", "gov/audit"},
		none: []string{"gov/query", "wire"},
		why:  "sentences and JSON are made at the edge, so that they can be reworded without touching a ledger",
	},
	{
		name: "a ceremony is a function of the ledger",
		in:   []string{"gov/ceremony"}, pure: true,
		only:  []string{"", "attest", "batch", "canon", "gov/access", "gov/action", "gov/constitution", "gov/envelope", "gov/policy", "gov/reason", "gov/settings", "gov/table", "internal/erase", "internal/expr", "keys", "keys/archive", "keys/committee", "keys/dkg", "keys/grant", "keys/ristretto", "keys/tdh2", "merkle", "store", "succession"},
		third: never,
		why:   "an audit repeats it without keys, and another leader goes on with it",
	},
	{
		name: "what an auditor reads with is a function of the ledger",
		in:   []string{"gov/granting"}, pure: true,
		only:  []string{"", "attest", "batch", "canon", "gov/access", "gov/action", "gov/constitution", "gov/envelope", "gov/policy", "gov/reason", "gov/settings", "gov/table", "internal/erase", "internal/expr", "keys", "keys/archive", "keys/committee", "keys/dkg", "keys/grant", "keys/ristretto", "keys/tdh2", "merkle", "store", "succession"},
		third: never,
		why:   "an audit repeats it without keys, and another leader goes on with it, whatever a node holds",
	},
	{
		name: "fixtures of governance",
		in:   []string{"gov/govtest"},
		only: []string{"", "attest", "attest/virtual", "batch", "canon", "channel", "gov/...", "host", "internal/balance", "internal/erase", "internal/expr", "keys", "keys/...", "ledger", "ledger/check", "merkle", "store", "succession", "wire"},
		why:  "tests of governance need no node",
	},
	{
		name: "fixtures stay in tests",
		in:   []string{"..."}, except: []string{"gov/govtest", "attest/attesttest", "attest/snp/snptest", "attest/dcap/dcaptest"},
		none: []string{"gov/govtest", "attest/attesttest", "attest/snp/snptest", "attest/dcap/dcaptest"},
		why:  "it makes keys and certificates without a host",
	},
	{
		name: "governance does not act",
		in:   []string{"gov", "gov/..."}, except: []string{"gov/govtest"},
		none: []string{"node", "gateway", "consensus", "consensus/...", "channel", "adapter/..."},
		why:  "its effects are data in the store; node reads them and acts, so replaying a ledger acts on nothing",
	},
	{
		name: "users' tools do not link servers",
		in:   []string{"client", "console", "receipt", "internal/bench", "internal/bench/...", "internal/fleet", "internal/proxy"},
		none: server,
		why:  "a verifier that contains the server trusts it; a small one can be read and written again elsewhere",
	},
}

// server is the code that runs a node and that tools for users must not drag along.
var server = []string{
	"node", "peer", "replica", "snapshotter", "renew", "retire", "epochs", "ceremonies", "grants", "upgrade", "resume", "beginning", "leftbehind", "catchup", "join", "gateway", "history", "store", "snapshot", "consensus", "consensus/...", "gov", "gov/...", "keys", "keys/...", "adapter", "adapter/...",
	"host", "host/...", "internal/sandbox", "cmd/...",
}

// Protocols stay in their adapters.
var protocols = []rule{
	{
		name:   "an adapter knows its contract and nothing else",
		in:     []string{"adapter", "adapter/..."},
		except: []string{"adapter/quorum", "adapter/ethereum", "adapter/ethereum/..."},
		only:   []string{"", "adapter", "adapter/setting", "canon", "store", "host", "merkle", "wire", "wire/problem", "adapter/reading", "internal/budget", "internal/contain", "internal/fair", "internal/logevent", "internal/trail"},
		why:    "a protocol that reaches into the core cannot be exchanged; what it lacks belongs into adapter.Env. Its errors are told by the table in wire, as the gateway's are",
	},
	{
		name: "Ethereum knows its contract, and itself from rpc down to rows",
		in:   []string{"adapter/ethereum", "adapter/ethereum/..."},
		only: []string{"", "adapter", "adapter/setting", "canon", "store", "host", "merkle", "wire", "wire/problem", "adapter/reading", "internal/budget", "internal/contain", "internal/expr", "internal/fair", "internal/slots", "internal/logevent", "internal/trail", "adapter/ethereum/..."},
		why:  "a protocol that reaches into the core cannot be exchanged; logevent is the list of what operators' alarms wait for",
	},
	{
		name: "a policy of a contract is pure",
		in:   []string{"adapter/ethereum/policy"}, pure: true, std: []string{"time"},
		only: []string{"", "internal/expr"},
		why:  "every node must admit the same callers, and a vote and a deployer's call are checked alike",
	},
	{
		name: "rows and settings are the bottom of Ethereum",
		in:   []string{"adapter/ethereum/rows", "adapter/ethereum/settings"},
		only: []string{"", "adapter/setting", "canon", "internal/expr", "store", "adapter/ethereum/policy"},
		why:  "formats and settings depend on nothing that executes",
	},
	{
		name: "what is under way knows no chain",
		in:   []string{"adapter/ethereum/sending"},
		only: []string{},
		why:  "it counts senders, nonces and hashes, whatever becomes of them",
	},
	{
		name: "whose an address is depends on rows only",
		in:   []string{"adapter/ethereum/links"},
		only: []string{"", "canon", "store", "adapter/ethereum/rows"},
		why:  "what a caller may see is judged by it, wherever the rows come from: it knows neither how they are written nor who asks",
	},
	{
		name: "messages of a sign-in are read by their grammar alone",
		in:   []string{"adapter/ethereum/siwe"},
		only: []string{""},
		why:  "what a wallet shows must mean the same wherever it is read",
	},
	{
		name: "an auditor's execution is go-ethereum's alone",
		in:   []string{"adapter/ethereum/reexecute"},
		only: []string{"", "adapter/ethereum/archive"},
		why:  "what it comes to must owe nothing to the code that it checks",
	},
	{
		name: "an archive is a format",
		in:   []string{"adapter/ethereum/archive"},
		only: []string{""},
		why:  "who executes a chain again reads it, and must link nothing that executes",
	},
	{
		name: "an archive is made of rows and answers",
		in:   []string{"adapter/ethereum/archiving"},
		only: []string{"", "canon", "store", "adapter/ethereum/archive", "adapter/ethereum/rows"},
		why:  "what is audited must not pass through the code that has executed it",
	},
	{
		name: "block 0 depends on settings only",
		in:   []string{"adapter/ethereum/genesis"},
		only: []string{"", "adapter/setting", "canon", "internal/expr", "store", "adapter/ethereum/policy", "adapter/ethereum/settings"},
		why:  "it is made where no chain is open",
	},
	{
		name: "what a session is good for is judged by rows and the message alone",
		in:   []string{"adapter/ethereum/sessions"},
		only: []string{"", "adapter", "adapter/setting", "canon", "store", "host", "internal/budget", "internal/contain", "internal/fair", "internal/logevent", "internal/trail", "adapter/ethereum/links", "adapter/ethereum/linking", "adapter/ethereum/rows", "adapter/ethereum/siwe"},
		why:  "it is asked before a request has a caller, and must not depend on what the chain shows to whom",
	},
	{
		name: "what is attached to a contract depends on rows only",
		in:   []string{"adapter/ethereum/policies"},
		only: []string{"", "canon", "internal/expr", "store", "adapter/ethereum/links", "adapter/ethereum/policy", "adapter/ethereum/rows"},
		why:  "the leader executes it from the tables and the call alone, whichever node was asked",
	},
	{
		name: "logs are selected by what they hold",
		in:   []string{"adapter/ethereum/logs"},
		only: []string{"", "canon", "store", "adapter/ethereum/rows"},
		why:  "the index of the past asks for their terms where no chain is open",
	},
	{
		name: "the EVM's state knows rows only",
		in:   []string{"adapter/ethereum/statedb"},
		only: []string{"", "canon", "store", "adapter/ethereum/rows"},
		why:  "what executes must not depend on how blocks are made or read",
	},
	{
		name: "state roots follow the state, not the chain",
		in:   []string{"adapter/ethereum/stateroot"},
		only: []string{"", "canon", "store", "host", "internal/logevent", "adapter/ethereum/rows", "adapter/ethereum/statedb"},
		why:  "the root is computed behind the executor, from what it has changed",
	},
	{
		name: "where a method panicked is told by the library alone",
		in:   []string{"adapter/ethereum/rpc/crash"},
		only: []string{"", "internal/contain", "internal/logevent"},
		why:  "it replaces a variable of the library for the whole process, and knows no server",
	},
	{
		name: "what is committed is read apart from what executes",
		in:   []string{"adapter/ethereum/blocks"},
		only: []string{"", "adapter", "adapter/setting", "canon", "store", "host", "internal/budget", "internal/contain", "internal/expr", "internal/fair", "internal/slots", "internal/logevent", "internal/trail", "adapter/ethereum/logs", "adapter/ethereum/policy", "adapter/ethereum/rows", "adapter/ethereum/statedb"},
		why:  "a read of the past must never be in the way of a leader that makes blocks",
	},
	{
		name: "the chain does not know JSON-RPC",
		in:   []string{"adapter/ethereum/chain"},
		only: []string{"", "adapter", "adapter/setting", "canon", "store", "host", "internal/budget", "internal/contain", "internal/expr", "internal/fair", "internal/slots", "internal/logevent", "internal/trail", "adapter/ethereum/blocks", "adapter/ethereum/genesis", "adapter/ethereum/links", "adapter/ethereum/logs", "adapter/ethereum/policy", "adapter/ethereum/rows", "adapter/ethereum/sending", "adapter/ethereum/settings", "adapter/ethereum/statedb", "adapter/ethereum/stateroot", "adapter/ethereum/memo"},
		why:  "what is committed must not depend on how it is asked for",
	},
	{
		name: "who may see what is decided by arguments alone",
		in:   []string{"adapter/ethereum/access"},
		only: []string{"", "canon", "store", "adapter/ethereum/links", "adapter/ethereum/rows"},
		why:  "a decision that reads a chain by itself cannot be explained, nor tested case by case",
	},
	{
		name: "the sight of a caller knows no JSON-RPC",
		in:   []string{"adapter/ethereum/sight"},
		only: []string{"", "adapter", "adapter/setting", "canon", "store", "host", "internal/budget", "internal/contain", "internal/expr", "internal/fair", "internal/slots", "internal/logevent", "internal/trail", "adapter/ethereum/access", "adapter/ethereum/blocks", "adapter/ethereum/chain", "adapter/ethereum/genesis", "adapter/ethereum/links", "adapter/ethereum/logs", "adapter/ethereum/policies", "adapter/ethereum/policy", "adapter/ethereum/rows", "adapter/ethereum/sending", "adapter/ethereum/settings", "adapter/ethereum/statedb", "adapter/ethereum/stateroot", "adapter/ethereum/memo"},
		why:  "every method is answered from it, whatever the method is",
	},
	{
		name: "only Quorum builds on Ethereum",
		in:   []string{"adapter/quorum"},
		only: []string{"", "adapter", "store", "host", "merkle", "canon", "wire", "adapter/ethereum", "adapter/ethereum/..."},
		why:  "adapters compose, they never edit: Quorum wraps Ethereum, and no other protocol contains another",
	},
	{
		name:   "only adapters know the protocols' libraries",
		in:     []string{"..."},
		except: []string{"adapter/...", "internal/sandbox/genesis", "internal/bench", "internal/bench/mainnet", "internal/cli/democmd", "internal/contracts", "internal/deps", "internal/sim", "cmd/...", "test/..."},
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
		name:  "no protocol's settings in governance",
		in:    []string{"gov", "gov/..."},
		words: []string{"chain_id", "chainid", "genesis_state", "gas"},
		why:   "which settings may change is for the adapter to say: its setting.Table",
	},
}

var core = []string{
	"", "attest", "channel", "client", "consensus/...", "consensus", "gateway", "gov", "gov/...", "history", "host/...", "host",
	"batch", "canon", "keys", "keys/...", "ledger", "ledger/check", "merkle", "node", "peer", "catchup", "join", "receipt", "replica", "snapshot", "snapshotter", "renew", "retire", "epochs", "ceremonies", "grants", "upgrade", "pulse", "beginning", "leftbehind", "store", "adapter", "wire",
}

// Composition says which packages may put the parts together.
var composition = []rule{
	{
		name: "a folder's description starts nothing",
		in:   []string{"internal/localnet", "internal/reach", "internal/rolling"},
		none: []string{"node", "gateway", "internal/sandbox"}, std: []string{"os/exec"},
		why: "commands for production networks read it to find keys and nodes, and must not link what runs a network",
	},
	{
		name: "a node's settings and an organisation's keys are files",
		in:   []string{"internal/identity", "internal/nodeconfig"},
		only: []string{"", "batch", "canon", "host", "host/local", "internal/atomicfile", "internal/erase", "internal/identity", "internal/keyfile", "keys", "merkle", "wire"}, std: []string{"net", "net/http", "os/exec"},
		why: "what runs in production reads and writes them without the sandbox, which writes the same ones; a process that fails tells it by its exit code (wire)",
	},
	{
		name: "the load generator's connections know no protocol",
		in:   []string{"internal/bench/link"},
		only: []string{""}, third: never,
		why: "their cost is taken from the network that is measured, so what they do must be readable in one place",
	},
	{
		name: "a block of mainnet is data",
		in:   []string{"internal/bench/mainnet"},
		only: []string{""}, std: []string{"net", "net/http"},
		why: "what is compared with a header must not depend on the network that executed the block",
	},
	{
		name: "what is shown of a ledger is read from its files",
		in:   []string{"internal/disclosure"},
		none: []string{"node", "gateway", "peer", "replica", "internal/sandbox", "client"}, std: []string{"net", "net/http", "os/exec"},
		why: "it holds members' keys and the ledger in plain: there must be no way out of it but its caller's",
	},
	{
		name: "a rehearsal starts nothing",
		in:   []string{"internal/rehearsal"},
		none: []string{"node", "gateway", "peer", "replica", "internal/sandbox", "client"}, std: []string{"net/http", "os/exec"},
		why: "it reads copies and keys of a network that runs, and must not be able to touch it",
	},
	{
		name: "a genesis is files",
		in:   []string{"internal/sandbox/genesis"},
		none: []string{"node", "gateway", "internal/proxy", "internal/sandbox"}, std: []string{"net", "net/http", "os/exec"},
		why: "what a network begins with is made before anything runs, and can be made for nodes that something else starts",
	},
	{
		name: "a key file is a file, a passphrase, and nothing else",
		in:   []string{"internal/keyfile"}, std: []string{"net", "net/http", "os/exec", "log", "log/slog"},
		only: []string{""}, third: oneOf("golang.org/x/term"),
		why: "it holds keys and passphrases in plain, so there must be no way out of it: no log, no socket, no program",
	},
	{
		name: "a signer knows keys only",
		in:   []string{"internal/signer"},
		only: []string{"", "batch", "canon", "internal/atomicfile", "internal/erase", "internal/identity", "internal/keyfile", "keys", "merkle"},
		why:  "it speaks with a program or a device that holds a key, and must have nothing else to tell it",
	},
	{
		name: "a replica knows neither what members govern nor how it is reached",
		in:   []string{"replica"},
		none: []string{"gov", "gov/...", "gateway", "channel", "node", "peer", "snapshot"},
		why:  "from log to state is one subject: who may transact, and who is connected, are functions that it is given",
	},
	{
		name: "a node is no command line",
		in:   []string{"node"},
		none: []string{"client", "adapter/kv", "adapter/ethereum", "adapter/ethereum/...", "attest/...", "internal/cli", "internal/cli/...", "internal/localnet", "internal/nodeconfig", "internal/proxy", "internal/bench"},
		why:  "which adapters and platforms there are, and where settings come from, is told to it; it reads no file but through host",
	},
	{
		name:   "what runs in production takes nothing from the sandbox",
		in:     []string{"..."},
		except: []string{"cmd/...", "internal/cli/sandboxcmd", "internal/cli/benchcmd", "internal/cli/democmd", "internal/sandbox", "internal/sandbox/..."},
		none:   []string{"internal/sandbox", "internal/sandbox/..."},
		why:    "a sandbox keeps keys in plain files and has one owner for all; the one program contains it as a command, and no command for a production network and no part of a node does",
	},
	{
		name:   "nothing builds on a simulation",
		in:     []string{"..."},
		except: []string{"host/sim", "host/hosttest", "internal/nettest", "internal/sim/...", "internal/sim"},
		none:   []string{"host/sim", "host/hosttest", "internal/nettest", "internal/sim", "internal/sim/..."},
		why:    "hosts that lie and clocks that jump belong into tests; what both need has a package",
	},
	{
		name: "a witness of a simulation hears and asks nobody",
		in:   []string{"internal/sim/witness"},
		only: []string{"", "internal/logevent", "internal/sim/linear", "internal/sim/trace"}, std: []string{"net", "net/http", "os"},
		why: "what is compared are answers and events, whoever has brought them: neither nodes nor hosts nor the faults of a run",
	},
	{
		name: "what remains of a simulation is files",
		in:   []string{"internal/sim/remains"}, none: []string{"node", "host/sim", "gov/...", "internal/nettest", "internal/sim"}, std: []string{"net", "net/http", "os"},
		why: "what nodes leave on disks is compared as it is there, by no word of theirs",
	},
	{
		name: "custody reads ledgers and keys, and asks no node",
		in:   []string{"internal/sim/custody"}, none: []string{"node", "host/sim", "internal/nettest", "internal/sim", "gateway", "client"}, std: []string{"net", "net/http", "os"},
		why: "who can open a ledger is judged by what is on disks and in members' hands, as an attacker or a court would, whatever the nodes say",
	},
	{
		name:   "node is composed by the command line and the simulation only",
		in:     []string{"..."},
		except: []string{"cmd/...", "internal/cli/nodecmd", "internal/cli/recoverycmd", "internal/nettest", "internal/sim"},
		none:   []string{"node"},
		why:    "gateway and the rest declare the few methods that they need; the composer is linked by nothing that it composes",
	},
	{
		name:   "drivers are chosen by the command line",
		in:     []string{"..."},
		except: []string{"gov/govtest", "cmd/...", "attest/...", "internal/vendors", "internal/cli/collateralcmd", "internal/cli/attestcmd", "host/sim", "host/tpm", "internal/nettest", "internal/sim"},
		none:   []string{"attest/virtual", "attest/snp", "attest/tdx", "attest/sgx", "attest/vtpm", "attest/aci"},
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
