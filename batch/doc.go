// Package batch is the form of what a leader writes, seals and signs: the entries of the consensus, and
// the batches of transactions that most of them carry. It is pure: verifying a receipt needs neither a
// disk nor a server. Records are opaque bytes here. docs/formats.md is the specification.
//
//	records ── Seal ──► batch = [header, public, sealed, leaves, signature] ── Entry.Chain ──► the next header's Prev
//	                                                  │ Decode: form and digests
//	                        VerifySignature ◄─────────┼─────────► VerifyRoot: the Merkle tree
//	                                                  ▼
//	                                                Open: the records, under the epoch's keys
//
// # Entries and the chain
//
// The ledger is the log of the consensus. Its entries are counted from 1 by their index, and each
// carries the view of the leader that wrote it. Most are batches; a new leader's empty entry and
// changes of the membership stand between them. All entries, the unsigned ones too, are linked by
// a hash chain:
//
//	chain(0)     = 32 zero bytes
//	chain(index) = SHA-256("coco ledger entry" ‖ 0x00 ‖ chain(index-1) ‖
//	               kind u8 ‖ view u64 ‖ index u64 ‖ SHA-256(data))
//
// A batch's header names the chain digest of the entry before it, so its signature covers
// everything that came before. Integers outside of CBOR are big-endian.
//
// # Batches
//
// A batch is a deterministically encoded CBOR array (RFC 8949, section 4.2.1) of five byte strings:
//
//	header     a map of integer keys, see Header
//	public     an array of Count byte strings: each transaction's public writes
//	sealed     AES-256-GCM over an array of Count pairs [private writes, claims]
//	leaves     Count Merkle leaves of 32 bytes each
//	signature  ECDSA P-256, ASN.1 DER, with s not above half the group's order, over
//	           SHA-256("coco batch" ‖ 0x00 ‖ header)
//
// The header holds the SHA-256 of the public part (key 12) and of the sealed part (key 13), and the
// root of the Merkle tree over all transactions of the network up to and with this batch (key 11).
// The sealed part's associated data is the header without these three entries: the same map with
// the keys 1 to 10 only. Its nonce is view u32 ‖ index u64. A view has one leader and a leader
// seals one batch for an index, so no nonce is met twice under an epoch's key; Seal MUST NOT be
// called again for the same view and index with other contents.
//
// # Leaves
//
//	write set = SHA-256(len(public) u64 ‖ public ‖ private)
//	leaf data = seqno u64 ‖ salt ‖ write set ‖ SHA-256(claims)
//	leaf      = SHA-256(0x00 ‖ leaf data)
//	salt      = HMAC-SHA256(salt key, view u64 ‖ seqno u64)
//
// The salt keeps readers of the ledger from guessing small private values. An enclave
// gives a transaction's salt out only once the transaction is committed.
//
// # Epoch keys
//
// From an epoch's 32-byte secret, with HKDF-SHA256 and an empty salt:
//
//	seal key = HKDF(secret, info = "coco ledger seal" ‖ 0x00 ‖ epoch u64), 32 bytes
//	salt key = HKDF(secret, info = "coco ledger salt" ‖ 0x00 ‖ epoch u64), 32 bytes
//	sub key  = HKDF(secret, info = "coco ledger sub" ‖ 0x00 ‖ epoch u64), 32 bytes
//
// Other files that a node keeps beside the ledger are under keys of their own (Keys.Sub):
//
//	key = HKDF(sub key, salt = the file's, info = purpose ‖ 0x00 ‖ epoch u64), 32 bytes
//
// Trust: either
package batch
