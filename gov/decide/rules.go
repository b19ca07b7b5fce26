package decide

import (
	"fmt"

	"github.com/cocoframework/coco"
)

// rules are the numbers of a version of the rules. They never change: another number is another version.
type rules struct {
	// The times that a statement may have, in milliseconds.
	maxAhead  uint64 // of the ledger's time, for clocks that differ
	maxAge    uint64 // since signing, for ceremonies without a network
	maxVoting uint64 // from signing to the end of voting
	// Bounds of what is open at a time, so that a member cannot fill the table.
	maxOpen, maxOpenByMember int
	// strict: a policy that is replaced, or that a change of members leaves without any way to accept, decides about it
	// unless it can accept nothing at all; else the members do, if they all vote yes. By rules 1 it decides only where it
	// could accept the proposal in question.
	strict bool
	// opened: the record of a proposal says when it was opened.
	opened bool
	// balanced: no change gives one organisation too many votes in consensus, unless members vote for that by name.
	balanced bool
	// dated: the dates and keys of certificates are checked where they enter, and a lock-out is judged with the members that can
	// sign.
	dated bool
	// apart: a certificate for nodes signs no statement, whatever other units it has.
	apart bool
	// rotates: members may have a new epoch begin.
	rotates bool
	// closes: a network that was recovered is closed until members open it.
	closes bool
	// committees: those who open the ledger's past are a committee, and members may have it share its key anew.
	committees bool
	// issuers: tokens of issuers stand for users of organisations, and pages of origins ask nodes.
	issuers bool
}

const (
	minute = 60 * 1000
	day    = 24 * 60 * minute
)

var first = rules{maxAhead: 10 * minute, maxAge: 30 * day, maxVoting: 90 * day, maxOpen: 256, maxOpenByMember: 32}

// rulesOf returns the rules of a version. A later program keeps those of every earlier one.
func rulesOf(version uint64) (rules, error) {
	second := first
	second.strict, second.opened, second.balanced, second.dated, second.apart, second.rotates = true, true, true, true, true, true
	third := second
	third.committees, third.closes, third.issuers = true, true, true
	switch version {
	case 1:
		return first, nil
	case 2:
		return second, nil
	case 3:
		return third, nil
	}
	return rules{}, fmt.Errorf("%w: rules of version %d are not known to this program: use a later release", coco.ErrInvalid, version)
}
