// Package constitution is what the members of a network have agreed on: who belongs to it, which code may run, what
// decides about changes, and how nodes are set.
//
//	TOML page ── ParseNew: strict, defaults filled in ──► Constitution ── Canonical ──► CBOR ──► Digest
//	                                                      │    ▲
//	                                               Draft, Succeed: the next version
//
// A network starts from a page that its members have read. Parse fills in every default, so that what is stored is
// complete: the digest changes exactly when the meaning does, and no default of a later program enters it. Decode
// therefore fills in nothing. Adapters' settings are completed by the adapters, once, for a new network: ParseNew. They
// may be large: the canonical form names them by digest, and AddSettings adds them where they are needed.
//
// The field Rules is the version of the rules by which changes are decided; see package decide.
//
// Trust: enclave
package constitution
