package constitution

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/gov/reason"
)

// Since2 are the settings that exist since version 2 of the rules. In a completed constitution by earlier rules they
// have the values that say what programs did before there were any, and the canonical form and the page leave them out.
//
// Before it is completed, zero means the default and Never means zero, as in SnapshotPolicy.
type Since2 struct {
	Voting Voting `cbor:"1,keyasint"`
	Reads  Reads  `cbor:"2,keyasint"`
	Nodes  Nodes  `cbor:"3,keyasint"`
	// Revoked are certificates that an organisation issued and that stand for it no more; see Revocation. In order, and absent if
	// there are none.
	Revoked []coco.Digest `cbor:"4,keyasint,omitempty"`
	Epochs  Epochs        `cbor:"5,keyasint"`

	filled bool // no value is left to be completed
}

// Epochs says how long an epoch of the ledger may be. The secret of an epoch opens it and all epochs before it, so whoever finds one out reads
// nothing that is written after the epoch's end. An epoch that holds no transaction does not end. 0 for no bound, as before rules 2.
type Epochs struct {
	Transactions int64 `cbor:"1,keyasint"`
	// Bytes is of sealed batches, as the leader counts them: it knows of those since it runs.
	Bytes int64 `cbor:"2,keyasint"`
	// Seconds is of the ledger's time.
	Seconds int64 `cbor:"3,keyasint"`
}

// Nodes says what nodes organisations may have without a vote.
type Nodes struct {
	// Automatic is up to how many nodes of one organisation the policy add_node admits without a vote.
	Automatic int64 `cbor:"1,keyasint"`
}

// Since3 are the settings that exist since version 3 of the rules; see Since2.
type Since3 struct {
	Keys     Ceremonies `cbor:"1,keyasint"`
	Recovery Recovery   `cbor:"2,keyasint"`
	// Access is about callers without a certificate; see package access.
	Access access.Access `cbor:"3,keyasint"`

	filled bool // no value is left to be completed
}

// Ceremonies says how keys are made and shared anew by the members' nodes, together, and for how long nodes keep them.
type Ceremonies struct {
	// Window is how many transactions a phase of a ceremony lasts at least before it ends without those who have not spoken.
	Window int64 `cbor:"1,keyasint"`
	// RetentionSeconds is for how long, by the ledger's time, a node's enclave keeps an epoch's secret after the epoch has ended, and after it was opened again. 0 for
	// ever, as before rules 3.
	RetentionSeconds int64 `cbor:"2,keyasint"`
}

// Retention is RetentionSeconds.
func (c Ceremonies) Retention() time.Duration { return time.Duration(c.RetentionSeconds) * time.Second }

// Recovery says how a network goes on after all of its nodes have stopped.
type Recovery struct {
	// Unattended is Yes if nodes may keep what they need to go on, sealed to their TEE and code, so that a network starts again without its members' shares.
	Unattended Word `cbor:"1,keyasint"`
	// Owner says whether each member, alone, opens the whole ledger and recovers the network. It goes with a threshold of 1: neither is without the other once there is
	// more than one member.
	Owner Word `cbor:"2,keyasint"`
}

// The words of Recovery.Owner.
const (
	NoOwner    Word = "none"
	EachMember Word = "each_member"
)

// RecoveryOwner reports whether each of several members opens the whole ledger alone, by any rules.
func (c *Constitution) RecoveryOwner() bool { return c.Shares.Threshold == 1 && len(c.Members) > 1 }

// checkOwner checks that a recovery owner is named where there is one, and nowhere else. Before rules 3 the threshold alone says it.
func (c *Constitution) checkOwner() error {
	switch named := c.Recovery.Owner == EachMember; {
	case c.Rules < 3:
	case c.RecoveryOwner() && !named:
		return &reason.Error{Reason: reason.New(reason.OwnerUnnamed, "shares.threshold", strconv.Itoa(len(c.Members)))}
	case named && c.Shares.Threshold != 1:
		return &reason.Error{Reason: reason.New(reason.NoOwner, "recovery.owner", strconv.Itoa(c.Shares.Threshold))}
	}
	return nil
}

// Word is the value of a setting that is one of some words.
type Word = string

// The words of a setting that is on or off.
const (
	Yes Word = "yes"
	No  Word = "no"
)

// AnyNodes is the value of Nodes.Automatic that bounds nothing.
const AnyNodes = 100_000

// MinimumVoting is the path of Voting.MinimumSeconds.
const MinimumVoting = "voting.minimum_seconds"

// Voting says how long members vote.
type Voting struct {
	// MinimumSeconds is how long a proposal has been open in the ledger at the end of voting, if policies are to see
	// `closed` as true. At most 30 days, so that a statement which was signed long before can still be open for as long.
	MinimumSeconds int64 `cbor:"1,keyasint"`
}

// Reads says how old the state may be that a node shows: the time since a quorum has confirmed that the node held all that was
// committed, as the node's host counts it. A healthy node's is two to three seconds.
type Reads struct {
	// StaleSeconds is the age from which on a node says that its state is stale. 0 for never, as programs before rules 2 did.
	StaleSeconds int64 `cbor:"1,keyasint"`
	// RefuseSeconds is the age from which on it refuses reads. 0 for never.
	RefuseSeconds int64 `cbor:"2,keyasint"`
}

// setting is a setting that a version of the rules added: a whole number, or one of some words.
type setting struct {
	path  string
	since uint64 // the version of the rules

	number *int64
	word   *string

	low, high int64    // of a number; zero is possible too if it is before
	zero      string   // what zero means, for people; "none" if this is empty
	words     []string // that are possible

	// before is what programs did before the setting existed. raised is the value that a network gets when its members
	// raise the rules: it is part of the rules' text. Neither ever changes. fresh is that of new networks, which a later
	// release may change.
	before, raised, fresh any // int or string

	// fixed: it cannot change while the network exists.
	fixed bool
}

// settings returns the settings of the constitution that a version of the rules added, in the order of their paths.
// CONTRIBUTING.md says how one is added.
func (c *Constitution) settings() []setting {
	s, third := &c.Since2, &c.Since3
	return []setting{
		{path: "epochs.bytes", since: 2, number: &s.Epochs.Bytes, low: 1 << 20, high: 1 << 50, before: 0, raised: 16 << 30, fresh: 16 << 30},
		{path: "epochs.seconds", since: 2, number: &s.Epochs.Seconds, low: 10, high: 10 * 365 * 24 * 3600, before: 0, raised: 7 * 24 * 3600, fresh: 7 * 24 * 3600},
		{path: "epochs.transactions", since: 2, number: &s.Epochs.Transactions, low: 100, high: 1 << 50, before: 0, raised: 10_000_000, fresh: 10_000_000},
		{path: "keys.retention_seconds", since: 3, number: &third.Keys.RetentionSeconds, low: 60, high: 10 * 365 * 24 * 3600, before: 0, raised: 0, fresh: 24 * 3600, zero: "ever"},
		{path: "keys.window", since: 3, number: &third.Keys.Window, low: 10, high: 1 << 30, before: 1000, raised: 1000, fresh: 1000},
		{path: "nodes.automatic", since: 2, number: &s.Nodes.Automatic, low: 0, high: AnyNodes, before: AnyNodes, raised: 3, fresh: 3},
		{path: "reads.refuse_seconds", since: 2, number: &s.Reads.RefuseSeconds, low: 5, high: 30 * 24 * 3600, before: 0, raised: 60, fresh: 60},
		{path: "reads.stale_seconds", since: 2, number: &s.Reads.StaleSeconds, low: 5, high: 30 * 24 * 3600, before: 0, raised: 10, fresh: 10},
		{path: "recovery.owner", since: 3, word: &third.Recovery.Owner, words: []string{NoOwner, EachMember}, before: NoOwner, raised: NoOwner, fresh: NoOwner},
		{path: "recovery.unattended", since: 3, word: &third.Recovery.Unattended, words: []string{No, Yes}, before: No, raised: No, fresh: No},
		{path: MinimumVoting, since: 2, number: &s.Voting.MinimumSeconds, low: 0, high: 30 * 24 * 3600, before: 0, raised: 20 * 3600, fresh: 20 * 3600},
	}
}

// headings are the comments above the sections of the page that consist of such settings.
var headings = map[string]string{
	"epochs":   "After how many transactions, bytes or seconds the ledger's keys change, whichever comes first. 0 for no bound.",
	"keys":     "For how many seconds nodes keep an epoch's secret after its end, 0 for ever; how many transactions a phase of a key generation lasts at least before it ends without those who are silent.",
	"nodes":    "Up to how many nodes of one organisation are admitted without a vote, if the policy add_node wants none.",
	"reads":    "How old a node's state may be, in seconds since a majority of the nodes has confirmed it, before the node says so and before it refuses reads.",
	"recovery": "Whether each member alone opens the whole ledger (none or each_member, which goes with shares.threshold = 1), and whether nodes keep what they need to start again without the members' shares after all of them have stopped (yes or no).",
	"voting":   "How long a proposal must be open if the end of its time for voting is to count as `closed` for policies.",
}

func (s setting) put(v any) {
	switch v := v.(type) {
	case int:
		*s.number = int64(v)
	case int64:
		*s.number = v
	case string:
		*s.word = v
	}
}

// get returns an int64 or a string.
func (s setting) get() any {
	if s.word != nil {
		return *s.word
	}
	return *s.number
}

// is reports whether the setting has a value of the table.
func (s setting) is(v any) bool {
	if n, ok := v.(int); ok {
		v = int64(n)
	}
	return s.get() == v
}

// check says why the setting cannot have a value, an int64 or a string.
func (s setting) check(v any) error {
	switch v := v.(type) {
	case int64:
		if s.number == nil {
			break
		}
		if (v < s.low || v > s.high) && !(v == 0 && s.before == 0) {
			more := ""
			if s.before == 0 && s.low > 0 {
				more = ", or 0 for " + cmp.Or(s.zero, "none")
			}
			return outOfRange(s.path, s.low, s.high, v, more)
		}
		return nil
	case string:
		if s.word != nil && slices.Contains(s.words, v) {
			return nil
		}
	}
	if s.number != nil {
		return invalid(s.path, reason.NotANumber, "expected a whole number, found %v", v)
	}
	return invalid(s.path, reason.BadForm, "expected one of %s, found %q", strings.Join(s.words, ", "), v)
}

// fillSince completes the settings that versions of the rules added, for a constitution that was built in Go or read
// from a page.
func (c *Constitution) fillSince() {
	filled := map[uint64]bool{2: c.Since2.filled, 3: c.Since3.filled}
	for _, s := range c.settings() {
		if filled[s.since] {
			continue
		}
		v := s.fresh
		if c.Rules < s.since {
			v = s.before
		}
		switch {
		case s.word != nil && *s.word == "", s.word == nil && *s.number == 0:
			s.put(v)
		case s.word == nil:
			*s.number = max(*s.number, 0)
		}
	}
	c.Since2.filled, c.Since3.filled = true, true
}

// checkSince checks the settings that versions of the rules added. By earlier rules they say what programs did before.
func (c *Constitution) checkSince() error {
	if err := c.checkRevoked(); err != nil {
		return err
	}
	if err := c.checkAccess(); err != nil {
		return err
	}
	for _, s := range c.settings() {
		if c.Rules < s.since {
			if !s.is(s.before) {
				return tooNew(s.path, s.since, c.Rules)
			}
			continue
		}
		if err := s.check(s.get()); err != nil {
			return err
		}
	}
	return c.checkOwner()
}

// raise changes a draft to later rules. The settings that come with them get the values that are part of their text.
func (c *Constitution) raise(rules uint64) {
	for _, s := range c.settings() {
		if c.Rules < s.since && s.since <= rules {
			s.put(s.raised)
		}
	}
	c.Rules = rules
}

// sections returns the sections of the page that consist of such settings alone.
func (c *Constitution) sections() []string {
	var out []string
	for _, s := range c.inForce() {
		section, _, _ := strings.Cut(s.path, ".")
		if _, own := headings[section]; own && !slices.Contains(out, section) {
			out = append(out, section)
		}
	}
	return out
}

// inForce returns the settings that the rules in force have.
func (c *Constitution) inForce() []setting {
	return slices.DeleteFunc(c.settings(), func(s setting) bool { return c.Rules < s.since })
}

// Added is a setting that a version of the rules added.
type Added struct {
	Path  string // such as "voting.minimum_seconds"
	Value any    // int64 or string
	// Ends are the values, in JSON, between which all others are: a number's least and most, or all words.
	Ends []string
}

// Added returns the settings that versions of the rules added, as far as the rules in force have them.
func (c *Constitution) Added() (out []Added) {
	for _, s := range c.inForce() {
		ends := []string{strconv.FormatInt(s.low, 10), strconv.FormatInt(s.high, 10)}
		if s.word != nil {
			ends = nil
			for _, w := range s.words {
				ends = append(ends, strconv.Quote(w))
			}
		}
		out = append(out, Added{s.path, s.get(), ends})
	}
	return out
}

// SetAdded changes a setting of a draft that a version of the rules added, and returns what it was, an int64 or a string.
// The new value is JSON. It is not ok if the rules in force have no such setting. The error is a *reason.Error.
func (c *Constitution) SetAdded(path string, value []byte) (was any, ok bool, err error) {
	for _, s := range c.inForce() {
		if s.path != path {
			continue
		}
		if s.fixed {
			return nil, true, &reason.Error{Reason: reason.New(reason.FixedSetting, path, "")}
		}
		var v any
		if s.word != nil {
			var text string
			err = json.Unmarshal(value, &text)
			v = text
		} else {
			var n int64
			err = json.Unmarshal(value, &n)
			v = n
		}
		if err != nil {
			v = string(value)
		}
		if err := s.check(v); err != nil {
			return nil, true, err
		}
		was = s.get()
		s.put(v)
		return was, true, nil
	}
	return nil, false, nil
}

// writtenSince takes over the settings of a page, by section, that versions of the rules added. Unknown ones are refused.
func (c *Constitution) writtenSince(sections map[string]map[string]any) error {
	rules := cmp.Or(c.Rules, CurrentRules)
	known := map[string]setting{}
	for _, s := range c.settings() {
		known[s.path] = s
	}
	for _, section := range slices.Sorted(maps.Keys(sections)) {
		for _, name := range slices.Sorted(maps.Keys(sections[section])) {
			path, v := section+"."+name, sections[section][name]
			s, ok := known[path]
			if !ok {
				return invalid(path, reason.BadForm, "unknown field")
			}
			if rules < s.since {
				return tooNew(path, s.since, rules)
			}
			if err := s.check(v); err != nil {
				return err
			}
			if v == int64(0) {
				v = int64(Never)
			}
			s.put(v)
		}
	}
	return nil
}
