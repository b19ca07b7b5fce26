// Package logevent names what nodes report in their logs. A record that an operator's alarm or the
// simulation waits for carries the key "event" with one of the codes below; its message is prose for people
// and may be reworded at any time.
//
//	level=ERROR msg="this node's ledger is damaged: cutting it…" event=ledger_cut entry=4711 error=…
//	                                                             └── read by programs
//
// Codes are never renamed or used for something else; docs/operations.md lists them with their attributes.
//
// Trust: either
package logevent

import "log/slog"

// Key is the attribute that holds a record's code.
const Key = "event"

// Code names an event.
type Code string

// Attr returns the attribute that a record carries.
func (c Code) Attr() slog.Attr { return slog.String(Key, string(c)) }

// The ledger on a node's disk is not what the node wrote. Each has the attribute "entry", the first
// entry that is not as it was written; 0 if that is not known.
const (
	// LedgerSetAside: the ledger does not open. Its files are moved to the folder "aside".
	LedgerSetAside Code = "ledger_set_aside"
	// LedgerCut: the ledger is cut before the entry, and fetched again from there.
	LedgerCut Code = "ledger_cut"
	// LedgerEndReplaced: the end of a joiner's ledger, from the entry on, is not vouched for by the network.
	LedgerEndReplaced Code = "ledger_end_replaced"
	// ChunkSetAside: a complete chunk, of the entries "first" to "last", is fetched again.
	ChunkSetAside Code = "chunk_set_aside"
	// ChunkDamaged: an entry of the chunk that is being written, or of one that cannot be set aside.
	ChunkDamaged Code = "chunk_damaged"
)

// Snapshots. Each has the attribute "seqno", the last transaction in the snapshot, except SnapshotDamaged,
// which has "index", the entry that the snapshot ends with.
const (
	SnapshotWritten Code = "snapshot_written"
	SnapshotFetched Code = "snapshot_fetched" // it is being fetched from another node
	SnapshotLoaded  Code = "snapshot_loaded"  // the node's state begins with it
	SnapshotMissing Code = "snapshot_missing" // no node has it
	SnapshotDamaged Code = "snapshot_damaged" // the file is not what the ledger records; it is removed
	SnapshotRefused Code = "snapshot_refused" // a recovery or a resumption begins without it: it is damaged, or not one of the ledger
	// WholeLedgerExecuted: there is no snapshot to begin with, which takes long. It has no attributes.
	WholeLedgerExecuted Code = "whole_ledger_executed"
)

// The life of a node.
const (
	Leading         Code = "leading"           // "view"
	LeadershipLost  Code = "leadership_lost"   // "view"
	NodeAdmitted    Code = "node_admitted"     // "node", "owner", "address"
	NodeNotAdmitted Code = "node_not_admitted" // "error"
	NodeLeftBehind  Code = "node_left_behind"  // the network went on without this node, which joins again
	NodeRetired     Code = "node_retired"
	// The nodes of a network go on together after all of them have stopped. ResumeWaits has "lacks", Resuming has "nodes", "of", "last" and "view".
	ResumeWaits        Code = "resume_waits"         // too few nodes wait
	Resuming           Code = "resuming"             // enough do; the node that gathers them says so
	ResumeRefused      Code = "resume_refused"       // this node cannot go on by itself: "error"
	StateSealed        Code = "state_sealed"         // what the node needs to go on is kept: "platform"
	SealedStateRemoved Code = "sealed_state_removed" // and is not any more: "because"
	SealingFailed      Code = "sealing_failed"       // "error"
	// RecoveryBegins: members release their shares for this end of the ledger, which "last", "time", "root" and "point" name.
	RecoveryBegins     Code = "recovery_begins"
	RecoveredElsewhere Code = "recovered_elsewhere" // another node shows that members have recovered this network under a new service
	// NetworkClosed: the ledger is open and replayed, and members have yet to vote for opening the network.
	NetworkClosed Code = "network_closed"
	// ShareUnusable: a member's share of the "epoch" is missing or wrong.
	ShareUnusable Code = "share_unusable"
	ClockAhead    Code = "clock_ahead"  // of the ledger's time
	ClockBehind   Code = "clock_behind" // the ledger's time
	// BatchFromFuture: it is refused ("error"), or taken because no other leader can be had ("view", "entry", "time").
	BatchFromFuture Code = "batch_from_future"
)

// Committees, which open the past together. "committee" is the number of one, "ceremony" that of what makes it.
const (
	CeremonyBegins   Code = "ceremony_begins"    // "ceremony", "cause", "key", "seats", "threshold"
	CeremonyFailed   Code = "ceremony_failed"    // "ceremony", "faults": who did not do its part
	CommitteeInForce Code = "committee_in_force" // "committee", "key", "seats", "threshold"
	PartGiven        Code = "part_given"         // "committee", "node": this node has given its parts in opening that archive, or with "epoch" an epoch that had expired
	PartRefused      Code = "part_refused"       // "committee", "node", "reason"
	EpochOpened      Code = "epoch_opened"       // "epoch", "committee", "archive": this node holds an epoch again whose secret had expired
	EpochUnopened    Code = "epoch_unopened"     // "epoch", "missing": too few nodes give their parts in it
	EpochClosed      Code = "epoch_closed"       // "epoch", "committee", "error": it opens to no node any more
	EpochExpired     Code = "epoch_expired"      // "epochs": this node has erased their secrets
	PartUnusable     Code = "part_unusable"      // "error": whose part or share of a committee's key is of no use
	// ArchiveUnopened: a committee is put in force without what the archive of the one before holds.
	ArchiveUnopened Code = "archive_unopened"
	GrantGiven      Code = "grant_given"    // "grant", "seat", "committee": the part of this node's seat is on the ledger, for an auditor
	GrantComplete   Code = "grant_complete" // "grant", "auditor", "first", "last": it can read these epochs
	GrantUnopened   Code = "grant_unopened" // "grant", "epochs", "error": the secrets of so many epochs cannot be had now
)

// Connections and certificates, and what clients were told.
const (
	// ConnectionTampered: bytes came that the other node had not sent; the network or a host changes them.
	ConnectionTampered Code = "connection_tampered"
	// CertificateNotRenewed: the network commits no renewal; it is tried again.
	CertificateNotRenewed Code = "certificate_not_renewed"
	// CertificateSelfRenewed: a node has vouched for itself, because its certificate was about to end.
	CertificateSelfRenewed Code = "certificate_self_renewed"
	// StateRootWrong: a block's header carries a state root that is not the one of the block that it names.
	StateRootWrong Code = "state_root_wrong"
	// IssuerUnreachable: the keys of an issuer of tokens cannot be fetched. It has the attributes "issuer", "url" and "error".
	IssuerUnreachable Code = "issuer_unreachable"
	// RequestPanicked: the program has a fault, which ended one request, message or connection. It has the attributes
	// "where" and "stack".
	RequestPanicked Code = "request_panicked"
	// LimitNear: half of the way to a limit of the network is gone. It has the attributes "of", "now" and "limit".
	LimitNear Code = "limit_near"
	// ResidentMissing: no node that this one reaches has the contents of so many "rows" that reside with its organisation and others. ResidentFound: nodes
	// have them all again, or they were written again.
	ResidentMissing Code = "resident_missing"
	ResidentFound   Code = "resident_found"
	// RequestFailed: a client was answered 500. It has the attribute "route".
	RequestFailed Code = "request_failed"
)
