// Package sandbox runs a whole consortium on one machine: for every member an organisation with
// its certificate and keys, and one validating node as a process of its own, behind a loopback
// proxy that speaks plain JSON-RPC.
//
// The supervisor ([Start]) owns a folder, whose contents [Layout] names. It starts the nodes,
// verifies each node's evidence before its proxy opens, restarts a node that dies, and, when no
// quorum of nodes is left, goes on from the longest ledger. A node's process ends when its
// standard input does, so that a supervisor that is killed leaves nothing behind.
//
// A sandbox holds the keys of every member in one place and runs on a simulated TEE. It is for
// development, tests and load measurements, and says so.
//
// Trust: host
package sandbox
