// Package history is the index of the past. The store holds a key's newest versions; what a key held
// before, and where a transaction stands in the ledger, is found here. The ledger stays the only place
// where the past is kept: an index answers where to look, and the batch found there is read and
// compared. So a collision of hashes, or an index that is old, costs time and never gives a wrong value.
//
// # Segments
//
// The index consists of segments. Each covers a run of batches and stands on its own:
//
//   - a directory of its batches: first seqno, entry index, view, and a digest of the header;
//   - the Merkle frontier before every 64th batch and after the last one, from which receipts are made;
//   - for every key that a batch wrote, of every table, a record of the key's hash and the batch.
//
// When the chunk that a segment's batches stand in is complete, the segment becomes a file, sealed in
// blocks under a key of its own (package segment). docs/formats.md is the specification. The segment of the chunk that is
// being written is in memory. A chunk with very many writes has several segments, so that memory stays
// bounded whatever the size of chunks.
//
// # Where it comes from
//
// There is one way into the index: batches are read back from the ledger's files, behind their commit,
// by the one goroutine of Run. The executor only announces, with Committed, where a batch ended. From
// that announcement alone, in memory, Find and Batch answer for everything since the start until a
// segment's file has taken over.
//
// # What it believes
//
// The disk may lie. What is read back is held against what the executor has announced, by its Merkle
// root; where the node began with a snapshot and has not executed what is before it, against the chain
// of digests: the sealed part of each batch authenticates the digest of all entries before it. A segment's
// file is used only once its last root is found in one of these ways, or the ledger's batch at its end is
// the one that it was made of. So an index of entries that the network has cut off does not survive, and
// what is damaged is removed, logged and made again. Every batch that a look-up reads is held against the
// header's digest in the directory.
//
// Trust: enclave
package history
