// Package ledger keeps the entries of the consensus, which are mostly batches (package batch), in files: it
// appends them, reads them, fills gaps from other places, backs them up, and audits a whole directory.
// docs/formats.md is the specification.
//
//	Append ──► ledger_1-90  ledger_91-204  ledger_205 (being written) ◄── Sync
//	                │              │
//	              Read   moved away and back, fetched: Missing, Insert, Quarantine
//
// # Files
//
// A Log keeps the entries in chunk files: "ledger_FIRST-LAST" when complete, "ledger_FIRST" while
// it is being written, FIRST and LAST being indexes in decimal. A chunk is a sequence of frames:
//
//	len u32 ‖ crc u32 ‖ kind u8 ‖ view u64 ‖ index u64 ‖ data
//
// where len counts the bytes after crc, and crc is CRC-32C over len and the bytes after crc. A chunk
// is complete with the frame that takes it to ChunkBytes or more, so the files of all nodes with the
// same setting are identical. The file being written is filled with zeros ahead of its frames, so
// that making frames durable changes no file's size; len = 0 ends the frames.
//
// Complete chunks may be moved to other folders and brought back, fetched from other nodes, and
// backed up while the log is written: see Options.Extra, Log.Insert and Backup. A log may therefore
// have gaps between complete chunks; consensus goes on from the last run without one (Log.First).
//
// The checksum tells a disk's faults, not an attacker's changes: those are found by the chain
// digests, the Merkle roots and the signatures, which Audit checks.
//
// Trust: enclave
package ledger
