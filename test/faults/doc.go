// Package faults breaks a network of real processes and looks for anything that Coco promises and
// does not keep.
//
// Package internal/sim finds what can be found in virtual time. This one is about what a simulation
// believes of the world and cannot check: real sockets that hang for as long as TCP likes, processes
// that are killed or stopped, disks that fill up, and a supervisor that starts nodes anew. It has tests
// only; `make test-faults` runs them, as docs/testing.md explains.
//
//	room      (room_test.go)     namespaces of our own, so that whatever happens nothing is left behind
//	space     (space_test.go)    a network for each node, a bridge between them
//	links     (proxy_test.go)    slow, lossy and one-way links, by a proxy before each node
//	cluster   (cluster_test.go)  three members, started and restarted as `coco up` does
//	load      (load_test.go)     clients that write, retry and remember what they were told
//	watch     (watch_test.go)    which node leads, and which are well
//	faults    (faults_test.go)   what is broken, and how it is mended
//	verify    (verify_test.go)   what must hold afterwards
//	report    (report_test.go)   the figures
//
// # What is checked
//
//   - acked: what was acknowledged is on every node, with its value and version; what was refused is nowhere.
//   - once: a key that may be written once is never found written by a request that was refused, and
//     counters changed by compare-and-set have counted every acknowledged change once, and no more
//     than the unknown ones besides.
//   - digest: nodes at the same transaction have the same digest of their state.
//   - ledger: `coco ledger verify` finds nothing wrong with any ledger, and that they agree.
//   - receipt: receipts of acknowledged writes verify offline.
//   - alive: no node stops but the victims, a leader is found, and all take part again.
//
// Trust: host
package faults
