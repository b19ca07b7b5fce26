// Package sim plays a whole network in one process, breaks it in ways drawn from a seed, and looks
// for anything that Coco promises and does not keep.
//
// Nodes, gateway, adapters and clients are the real ones. Only what they stand on is simulated:
// the hosts of package host/sim, inside a bubble of testing/synctest, so that minutes of
// elections and timeouts take seconds (docs/adr/0001-virtual-time.md).
//
//	draw      (plan.go)      seed → rounds of faults; nothing that happens changes them
//	Network   (network.go)   a consortium with one node a member
//	play      (run.go)       begins and ends the faults of each round, heals, waits for progress
//	inject    (inject.go)    what each fault does to the world
//	clients   (workload.go)  kv writes, compare-and-set counters and reads with a session
//	wallet    (token.go)     ERC-20 transfers
//	witness   (witness.go)   what clients and nodes have said, checked against what they said before
//	verify    (verify.go)    what is left after the last round, on every node and every disk
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
//   - digest: nodes have equal state digests at equal seqnos, at all times.
//   - ledger: every ledger passes the audit, and all hold the same entries.
//   - receipt: the receipt of an acknowledged write verifies offline, for what was written.
//   - secret: values and keys of private tables are on no disk and on no wire in the clear.
//   - alive: no node stops without a reason, every node takes part again and writes go on
//     after all faults have ended.
//
// # What a seed fixes
//
// A seed fixes the plan (size of the network, every fault with its time and its victims), what is
// lost, delayed and torn as far as host/sim says so, the operations that each client chooses, and
// the numbers that package crypto draws, in their order. It does not fix in which order goroutines
// run that are runnable at one instant of virtual time, nor the random order in which Go walks maps
// and selects. So a seed that fails once may pass the next time; with GOMAXPROCS=1, as
// the command plays it, it varies least. A failing seed should be played several times, and its trace read.
//
// # What it does not do
//
// It has no porcupine: linearizability is checked for compare-and-set counters and unique keys
// only. It draws no one-way partitions, no duplicated or forged messages, no I/O errors other than a
// full disk, and no cloned node that runs twice. A host that lies does so with its disk and its clock.
//
// Trust: host
package sim
