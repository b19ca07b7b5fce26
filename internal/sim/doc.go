// Package sim plays a whole network in one process, breaks it in ways drawn from a seed, and looks
// for anything that Coco promises and does not keep.
//
// Nodes, gateway, adapters and clients are the real ones. Only what they stand on is simulated:
// the hosts of package host/sim, inside a bubble of testing/synctest, so that minutes of
// elections and timeouts take seconds (docs/adr/0001-virtual-time.md).
//
//	draw      (draw.go)      seed → rounds of faults (plan.go); nothing that happens changes them
//	network   (network.go)   a consortium with one node a member, from internal/nettest
//	play      (run.go)       begins and ends the faults of each round, waits for progress
//	inject    (inject.go)    what each fault does to the world; lies.go: what a host does to its disk (package forge);
//	          (ceremony.go)  crashes while a committee comes to be; powercut.go: all machines at once, and the one that recovers the network
//	          (copies.go)    older copies of all disks at once, and how members recover the network; flood.go: one client sends too much; govern.go: members decide
//	heal      (heal.go)      ends the faults, and does what operators would
//	clients   (workload.go)  kv writes, compare-and-set counters and reads with a session
//	          (register.go)  kv keys that all clients write, and read linearizably
//	wallet    (token.go)     ERC-20 transfers
//	verify    (verify.go)    what is left after the last round, on every node and every disk (package remains)
//	keys      (keys.go)      who can open the ledger: its committees, members' keys and what nodes keep (package custody)
//	past      (past.go)      what nodes say of the past, from their ledgers
//	replace   (replace.go)   an empty machine in the place of one, at the end
//	witness   (witness)      what clients and nodes have said, checked against what they said before
//	judge     (linear)       whether the history is linearizable, by porcupine
//	recorder  (trace)        the digest of all that happened
//
// # What is checked
//
// Invariants have names, under which docs/testing.md lists the mutants that they caught:
//
//   - acked: an acknowledged write is there, with its value and version, on every node. One that was
//     refused as certainly not committed is nowhere.
//   - once: a counter that is only changed by compare-and-set has counted every acknowledged
//     increment, and no more than those whose outcome the client did not learn. The same for tokens.
//   - txid: a transaction id that was once given is committed for ever, in one view, and has one meaning.
//   - session: a client that sends the highest id that it was given never sees an older state.
//   - rollback: no node shows an older state than it has shown before, to any client, restarted or not. A node is known by the machine that
//     answers: a clone at its address is another one. Members who remember a transaction recover no ledger without it.
//   - snapshot: a read of a key as of a state gets the last version of it up to that state, now and
//     from the past; a version has one value. A recorded snapshot is of the state that its entry leaves.
//   - age: a state is not older than its node says, unless its host's clock counts too little.
//   - governed: a policy decides from its acceptance on, and what members were told of a proposal holds on every node.
//   - linear: writes, compare-and-sets, their refusals and linearizable reads of each key have an
//     order that explains their answers and agrees with their times.
//   - refused: a refusal names a version that was committed.
//   - past: a node at rest says what a key had at any seqno, if need be after it has fetched the ledger. It refuses only where the answer may be in an epoch that the archive of the
//     committee in force does not give, by the ledger and the members' keys.
//   - digest: nodes have equal state digests at equal seqnos, at all times.
//   - root: no node that computes a state root of the Ethereum chain again gets another one than the header carries.
//   - time: the ledger's time is the true one, within what one host is believed, after all faults have ended; whatever one host's
//     clock said, and however long all were off or asleep. It is at most what all clocks had reached, if they were ahead together.
//   - ledger: every ledger passes the audit, and all hold the same entries.
//   - receipt: the receipt of an acknowledged write verifies offline, for what was written.
//   - committee: a committee has one number, and is the same on all nodes. A network at rest comes to have one whose seats are held by all members that run a node: no
//     ceremony hangs.
//   - opened: any threshold of members opens, with their keys and a ledger, all epochs and every batch, and one member fewer opens nothing. A member that lost its seat has a share
//     of another key, and shares from before a refresh do not combine with those from after it.
//   - kept: what nodes keep sealed is of this network, and the packages of enough of them open the archive; where the constitution forbids it, they keep nothing.
//   - nonce: no two batches that were ever on a disk, committed or not, are sealed with one key and nonce.
//   - secret: values and keys of private tables are on no disk and on no wire in the clear.
//   - told: a node that stops says why, and one that was lied to about its ledger, or on the wire, says so and
//     names the entry, though nobody asks for it.
//   - alive: no node stops without a reason, every node takes part again, commits a write, and writes go on
//     after all faults have ended. A client that sends too much keeps no other one waiting.
//
// # What a seed fixes
//
// A seed fixes the plan (size of the network, every fault with its time and its victims), what is
// lost, delayed and torn as far as host/sim says so, the operations that each client chooses, and
// the numbers that package crypto draws, in their order. Built with the overlay of package replay and
// with GOMAXPROCS=1, as the command plays it, a seed fixes everything that happens (package trace digests it): the order in
// which goroutines run, what select picks, how maps are walked. So a seed that fails once fails each time, whatever was
// played before it.
//
// It does so for one version of the code and of Go. A line more in a log may give the seed another course: what a seed
// found is kept as a plan in regression_test.go, whose fault must not hang on one order. The last round of a plan is drawn from numbers of its
// own, so that faults which are added to it leave the rounds before it as they are. As the search of judge is
// bounded in real time, a slow machine may end it without a verdict, which proves nothing and fails nothing.
//
// Without the overlay, as in `go test`, it does not fix in which order goroutines run that are runnable at one
// instant of virtual time, nor the random order in which Go walks maps and selects.
//
// # What it does not do
//
// Streams are not reordered or duplicated as packets are: beneath TLS that shows as bytes that were not
// sent, which the fault "lies on the wire" brings. A host changes its files while its node is down, and
// not under a node that runs. Counters are read by sessions, so their reads are no part of the history that judge sees.
//
// Trust: host
package sim
