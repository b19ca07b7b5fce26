// Package query turns what the tables of governance hold into what people and programs are shown: codes
// get their sentences, ids their names, and records become the types of package wire.
//
//	tables ── gov's records ──┬── proposals, versions, nodes ── events ── wire ── gateway
//	constitution (for names) ─┘
//
// It reads one state of the store and changes nothing.
//
// Trust: enclave
package query
