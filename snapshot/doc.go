// Package snapshot keeps committed states in files, so that a node can begin with one instead of
// executing the network's whole history. docs/formats.md is the specification.
//
// A snapshot holds the rows of every table of package store (archives apart) as of the batch at one
// index, and its header what a node needs to go on from there: the position in the ledger, the
// frontier of the Merkle tree and the members of the consensus. Its rows are encrypted under a key
// that belongs to this one snapshot. The same state at the same index gives the same bytes on every
// node, so that the digest of a snapshot can be agreed on, and a file that breaks off from one
// node be continued from another.
//
// A file goes through three names. Write fills "snapshot_INDEX_SEQNO.part" and, once it is whole and
// durable, names it ".pending". The network then records its digest in a transaction, whose
// receipt Confirm appends; from then on the file has its final name and proves itself. Only what the
// network recorded may be loaded: the caller of Load MUST take the digest from the ledger or from a
// receipt that it has verified, never from the file or its sender.
//
// The package starts no goroutine and reads no clock, and holds a few MiB at a time, however large the
// state is.
//
// Trust: enclave
package snapshot
