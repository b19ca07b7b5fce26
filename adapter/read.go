package adapter

import "github.com/cocoframework/coco"

// Subject is what a read is about.
type Subject uint8

// Subjects of reads.
const (
	// State is rows of the ledger's tables as they are now.
	State Subject = iota + 1
	// Past is what such rows held before, and when they changed.
	Past
	// Commits is that something was committed, and when: heights, blocks without their contents, and
	// subscriptions to these.
	Commits
	// Transaction is what became of one transaction.
	Transaction
	// Receipt is the receipt of one transaction, with what it claims.
	Receipt
	// Digest is a digest of the whole state, which confirms or refutes a guess at a part of it.
	Digest
	// Measures are what a node measures of the whole state: sizes and counts, which tell, measured twice, the size of what was written in between.
	Measures
)

func (s Subject) String() string {
	names := [...]string{State: "state", Past: "past", Commits: "commits", Transaction: "transaction", Receipt: "receipt", Digest: "digest", Measures: "measures"}
	if int(s) < len(names) && s > 0 {
		return names[s]
	}
	return "unknown"
}

// Read is what a caller asks to see. It names what was asked for, before anything was looked up.
type Read struct {
	Subject Subject
	// TxID is of the subjects Transaction and Receipt. It may be of another ledger's transaction, or of
	// none.
	TxID coco.TxID
	// Claims are what the transaction of the subject Receipt claims, which may be of another ledger: the ledger is asked twice,
	// before anything is looked up, without them, and before a receipt is shown, with them.
	Claims []byte
	// Table, Key and End are of the subjects State and Past: the row of Key or, if Range is set, all rows
	// with Key <= key < End, where a nil End has no end.
	Table string
	Key   []byte
	End   []byte
	Range bool
	// At is the seqno as of which the subject Past is asked for; 0 stands for every one.
	At uint64
}
