package main

// expiryMutants take one check away of what gives up the secrets of old epochs, and has them again: what a seat's node gives parts in, what an asker makes of them, and how long secrets are kept.
var expiryMutants = []mutant{
	{
		name: "keptforever", what: "seats give parts in epochs where secrets are kept for ever", file: "keys/seats/giving.go",
		old: "	if !s.Expires || s.Newest == nil || l.Committee", new: "	if s.Newest == nil || l.Committee",
		test: "TestScripts",
	},
	{
		name: "wholearchive", what: "a node that reads gets parts in the archive for an epoch that its own sealing opens", file: "keys/seats/giving.go",
		old: "	case l.Archive && sealing == nil:", new: "	case l.Archive:",
		test: "TestScripts",
	},
	{
		name: "anyreplaces", what: "any node gets parts in the archive that is replaced, and not the leader alone", file: "keys/seats/giving.go",
		old: "(Lock{Committee: old.Number}) && from == s.Leader {", new: "(Lock{Committee: old.Number}) {",
		test: "TestScripts",
	},
	{
		name: "flood", what: "a node gets parts in as many epochs as it likes", file: "keys/seats/giving.go",
		old: "!recent && !m.room(from, &s) {", new: "!recent && false {",
		test: "TestScripts",
	},
	{
		name: "share", what: "one node gets what all together may have within a window", file: "keys/seats/giving.go",
		old: "perWindow/max(1, len(s.Nodes))", new: "perWindow",
		test: "TestScripts",
	},
	{
		name: "oftener", what: "a node gets parts in one epoch as often as it likes", file: "keys/seats/giving.go",
		old: "	if recent && m.ticks-first > again || ", new: "	if ",
		test: "TestScripts",
	},
	{
		name: "neverforgets", what: "what a node was given long ago counts for ever", file: "keys/seats/giving.go",
		old: "		case m.ticks-first >= Window:", new: "		case m.ticks-first < 0:",
		test: "TestScripts",
	},
	{
		name: "wrongstays", what: "a part that was found wrong counts again", file: "keys/seats/asking.go",
		old: "			a.parts = slices.DeleteFunc(a.parts, func(p committee.Part) bool { return p.Partial.Holder == wrong.Seat })\n", new: "",
		test: "TestScripts",
	},
	{
		name: "otherseat", what: "a node gives parts of another node's seat", file: "keys/seats/asking.go",
		old: "	if err := s.Newest.own(from, g.Parts); err != nil {", new: "	if err := error(nil); err != nil {",
		test: "TestScripts",
	},
	{
		name: "oldcommittee", what: "an opening goes on though its committee is replaced", file: "keys/seats/asking.go",
		old: "s.Newest == nil || a.lock.Committee != s.Newest.Number || m.ticks-a.since > lapse", new: "s.Newest == nil || m.ticks-a.since > lapse",
		test: "TestScripts",
	},
	{
		name: "takesalong", what: "an archive opens epochs along that are sealed to the committee in force", file: "keys/seats/asking.go",
		old: "err == nil && other == nil && len(a.epochs)", new: "err == nil && (other == nil || true) && len(a.epochs)",
		test: "TestScripts",
	},
	{
		name: "asksagain", what: "a node asks again for an epoch that no node opens", file: "keys/seats/asking.go",
		old: "	if fault := m.closed.of(&s, w.Epoch); fault != nil && sealing == nil {", new: "	if fault := m.closed.of(&s, w.Epoch); fault != nil && false {",
		test: "TestScripts",
	},
	{
		name: "starves", what: "an epoch that no node opens keeps the rest of the ledger from the index", file: "history/build.go",
		old: "		if errors.Is(err, errClosed) {\n			if len(b.refs)", new: "		if false {\n			if len(b.refs)",
		test: "TestAnEpochThatNoNodeOpensKeepsNothingElseFromTheIndex",
	},
	{
		name: "forsaken", what: "what was passed over is not looked at again", file: "history/closed.go",
		old: "		did = did || !errors.Is(err, errClosed)\n		return !errors.Is(err, errClosed)", new: "		return false && !errors.Is(err, errClosed)",
		test: "TestAnEpochThatNoNodeOpensKeepsNothingElseFromTheIndex",
	},
	{
		name: "passedby", what: "an entry that was passed over is believed, and the one after it is not", file: "history/build.go",
		old: "	if i >= 0 { // which nothing had authenticated", new: "	if i >= 0 && false {",
		test: "TestAnEntryThatNothingAuthenticatesIsHeldAgainstTheNextBatch",
	},
	{
		name: "blamesone", what: "of two entries that do not follow each other, and that nothing authenticates, the first is believed", file: "history/build.go",
		old: "			x.quarantine(next-1, errors.New(\"it does not lead to the batch after it\"))\n", new: "",
		test: "TestAnEntryThatNothingAuthenticatesIsHeldAgainstTheNextBatch",
	},
	{
		name: "believedfile", what: "the epoch of a snapshot is what its file says, whatever the digest", file: "retention/retention.go",
		old: "err == nil && digest != r.Digest {", new: "err == nil && false {",
		test: "TestAForgedSnapshotOpensNoEpoch",
	},
	{
		name: "firstread", what: "the epoch of a snapshot comes from another read than its digest", file: "retention/retention.go",
		old: "	h, digest, err := f.Read(ctx)\n", new: "	h := f.Header()\n	digest, err := f.Digest(ctx)\n",
		test: "TestAHostThatAnswersEachReadInAnotherWayHasNoOldEpochOpened",
	},
	{
		name: "passeson", what: "a node passes on secrets that were opened again for it", file: "retention/retention.go",
		old: "k.cfg.Ring.Kept(epoch), nil", new: "k.cfg.Ring.All(), nil",
		test: "TestANodeThatJoinsIsGivenTheEpochsOfRecordedSnapshots",
	},
	{
		name: "tooearly", what: "a snapshot is written for each epoch at once", file: "retention/expire.go",
		old: "return !over || since.After(before)", new: "return !over || since.Before(time.Time{})",
		test: "TestTheLeaderHasASnapshotWrittenInTime",
	},
	{
		name: "reopened", what: "an epoch that was opened again goes at once", file: "keys/ring.go",
		old: "			if over && !h.opened.IsZero() {", new: "			if false {",
		test: "TestAnEpochThatIsOpenedAgainStaysAsLongAsOneThatHasEnded", pkg: "retention",
	},
	{
		name: "neverexpires", what: "nothing expires", file: "keys/ring.go",
		old: "			if over && now.Sub(since) >= keep {", new: "			if over && now.Sub(since) < 0 {",
		test: "TestSecretsGoOnceTheirEpochHasEndedLongAgo", pkg: "retention",
	},
	{
		name: "oldseal", what: "the key of an index stays sealed under the epoch that it was made in", file: "history/own/own.go",
		old: "	if k.known && k.epoch == epoch {", new: "	if k.known {",
		test: "TestTheKeyGoesFromEpochToEpoch",
	},
	{
		name: "neighbour", what: "the secret of an earlier epoch stands for one that is not carried", file: "ceremonies/past.go",
		old: "			if n >= number && (next == 0 || n < next) {", new: "			if next == 0 || n < next {",
		test: "TestEpochsOfFormat1ComeBackThroughThoseThatAreCarried",
	},
	{
		name: "beginswithout", what: "a node goes on with others though it lacks a snapshot to begin with", file: "resume/process.go",
		old: "Waits: p.begun == nil && !p.away && !p.lacking,", new: "Waits: p.begun == nil && !p.away,",
		test: "TestANodeThatLacksASnapshotDoesNotWaitYet",
	},
}
