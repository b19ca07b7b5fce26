// Package members is who belongs to a network beside its organisations: the nodes that are trusted, the epochs that
// members hold shares of, certificates and their renewal, and the snapshots that new nodes begin with.
//
//	asks to join ──► form ── owner ── evidence ── certificate ──► a vote about its place, or the policy add_node
//	                                                                   ├── yes ──► Trusted ──► Retired, for good
//	                                                                   └── not yet ──► Pending
//
// Each function checks a change and writes its rows into a transaction; package node reads the rows and acts. The
// checks depend on the transaction alone. They are exported because package audit repeats them.
//
// Trust: enclave
package members
