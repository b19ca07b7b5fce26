package main

// grantMutants let what an auditor reads with onto the ledger that must not be there, or keep off what must.
var grantMutants = []mutant{
	{
		name: "strange", what: "any trusted node gives the part of a seat for an auditor", file: "gov/granting/granting.go",
		old: "	if seat.Node != from || node.Owner != seat.Actor ||", new: "	if node.Owner == seat.Actor &&",
		test: "TestWhatIsNotDueIsNotGranted", pkg: "gov/ceremony",
	},
	{
		name: "untrusted", what: "a node that is trusted no more gives its part for an auditor", file: "gov/granting/granting.go",
		old: "	if seat.Node != from || node.Owner != seat.Actor || node.State != table.Trusted {", new: "	if seat.Node != from || node.Owner != seat.Actor {",
		test: "TestWhatIsNotDueIsNotGranted", pkg: "gov/ceremony",
	},
	{
		name: "parts", what: "a seat gives its part for an auditor as often as it likes", file: "gov/granting/granting.go",
		old: "	if g.Parts[p.Seat] != nil {", new: "	if false {",
		test: "TestWhatIsNotDueIsNotGranted", pkg: "gov/ceremony",
	},
	{
		name: "voted", what: "an epoch is given to an auditor that members have not voted for", file: "gov/granting/granting.go",
		old: "		if !slices.Contains(g.Missing, epoch) {", new: "		if epoch == 0 {",
		test: "TestWhatIsNotDueIsNotGranted", pkg: "gov/ceremony",
	},
	{
		name: "ended", what: "a vote of years ago is carried out", file: "gov/granting/granting.go",
		old: "	if now := tx.Time(); now > g.Ends() {", new: "	if now := tx.Time(); now > g.Ends() && now == 0 {",
		test: "TestWhatIsNotDueIsNotGranted", pkg: "gov/ceremony",
	},
	{
		name: "sealing", what: "an audit believes that a grant's key is sealed to the committee", file: "gov/granting/granting.go",
		old: "		return slices.Clone(sealing), s.Check(made, of)", new: "		_ = s.Check(made, of)\n		return slices.Clone(sealing), nil",
		test: "TestAnAuditRefusesWhatNoGrantWouldWrite", pkg: "gov/ceremony",
	},
	{
		name: "mixed", what: "parts for a key of a grant that was sealed anew count for the new one", file: "gov/granting/granting.go",
		old: "	for _, key := range before {", new: "	for _, key := range before[:0] {",
		test: "TestAGrantOutlivesItsCommittee", pkg: "gov/ceremony",
	},
	{
		name: "stuck", what: "a grant stays with a committee that is gone", file: "gov/granting/granting.go",
		old: "(g.Sealing == nil || g.Sealing.Committee < newest && !g.Enough())", new: "g.Sealing == nil",
		test: "TestAGrantComesToItsEndWhateverFails", pkg: "grants",
	},
	{
		name: "auditor", what: "a part for one auditor opens for a grant to another one", file: "keys/grant/grant.go",
		old: "	to := sha256.Sum256(o.To)", new: "	to := sha256.Sum256(nil)",
		test: "TestASealingIsOfOneGrant",
	},
	{
		name: "number", what: "what is sealed for a grant does not say for which", file: "keys/grant/grant.go",
		old: "	b = binary.BigEndian.AppendUint64(b, o.Grant)", new: "	b = binary.BigEndian.AppendUint64(b, 0)",
		test: "TestASealingIsOfOneGrant",
	},
}
