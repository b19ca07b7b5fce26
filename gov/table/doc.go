// Package table is the tables of governance: their names, the form of their rows, and how they are read and written.
//
//	coco.constitution   the canonical form, and each adapter's settings
//	coco.versions       every version of it
//	coco.proposals      proposals, for ever, and the index of open ones
//	coco.ballots        each member's last ballot about each proposal
//	coco.places         where a vote lets nodes run
//	coco.nodes          the node list, retired ones too
//	coco.service        the service's certificate
//	coco.epochs         the epochs, sealed to the members or to a committee
//	coco.ceremonies     how committees came to be, and what is said in the ceremony that runs
//	coco.committees     the committees, their seats and archives
//	coco.grants         which epochs members let which auditor read
//	coco.recoveries     when members recovered the network, and when they opened it
//	coco.snapshots      the newest snapshots
//	coco.secrets        the service's key; private, all others are public
//
// A row is CBOR in the form of package canon, with limits. The functions here check the form. Whether a row may be
// written is decided by packages decide and members, and checked again by package audit.
//
// Trust: enclave
package table
