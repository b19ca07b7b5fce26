package main

// audienceMutants take one check away of what keeps rows with an audience from others.
var audienceMutants = []mutant{
	{
		name: "onlookers", what: "every actor reads the rows of an audience", file: "store/audience.go",
		old: "	if audience.Has(actor) {", new: "	if audience.Has(actor) || len(audience) > 0 {",
		test: "TestOnlyActorsOfAnAudienceReadItsRows",
	},
	{
		name: "intruders", what: "every actor writes the rows of an audience", file: "store/audience.go",
		old: "	if !audience.Has(actor) {", new: "	if !audience.Has(actor) && len(audience) == 0 {",
		test: "TestAnOutsiderWritesNothing",
	},
	{
		name: "neighbours", what: "a list of an audience goes on with the rows of others", file: "store/audience.go",
		old: "	return first, Behind(audience)", new: "	return first, nil",
		test: "TestOnlyActorsOfAnAudienceReadItsRows",
	},
	{
		name: "unsalted", what: "rows with an audience have the same salt", file: "store/audience.go",
		old: "io.ReadFull(p.tx.Rand(), salted)", new: "io.ReadFull(p.tx.Rand(), salted[:0])",
		test: "TestDigestsConfirmNoGuessAtARowWithAnAudience",
	},
	{
		name: "sidedoor", what: "a scope names tables with audiences without an actor", file: "store/scope.go",
		old: "			c.parties[t.Name] = s.tables[t.Name]\n", new: "			c.parties[t.Name] = s.tables[t.Name]\n			c.tables[t.Name] = s.tables[t.Name]\n",
		test: "TestAScopeReachesRowsWithAnAudienceForAnActorOnly",
	},
	{
		name: "memories", what: "every actor reads the past of an audience", file: "adapter/past.go",
		old: "		if !audience.Has(actor) {", new: "		if !audience.Has(actor) && len(audience) == 0 {",
		test: "TestThePastOfRowsWithAnAudienceIsReadForItsActorsOnly",
	},
	{
		name: "forwarded", what: "a leader writes to an audience for everybody", file: "adapter/kv/audience.go",
		old: "tx.For(l.env.State, caller.Actor, w.audience())", new: "tx.For(l.env.State, w.audience()[0], w.audience())",
		test: "TestTheLeaderWritesToAnAudienceForItsActorsOnly",
	},
	{
		name: "anyreceipt", what: "receipts of an audience are shown to all", file: "adapter/kv/audience.go",
		old: "(t.audience == nil || t.audience.Has(caller.Actor))", new: "(t.audience == nil || t.audience.Has(caller.Actor) || len(t.audience) > 0)",
		test: "TestReceiptsOfAnAudienceAreForItsActorsOnly",
	},
	{
		name: "openrows", what: "a write to an audience is stored for all", file: "adapter/kv/audience.go",
		old: "	return t, l.settings().checkAudience(t)\n", new: "	return to{}, l.settings().checkAudience(t)\n",
		test: "TestAnAudienceSharesRowsThatOthersDoNotSee",
	},
	{
		name: "nextopen", what: "the next page of an audience's list is of the rows that all callers see", file: "adapter/kv/list.go",
		old: "	if q.audience != nil {\n		v.Set(", new: "	if q.audience != nil && q.limit == 0 {\n		v.Set(",
		test: "TestTheNextPageIsOfTheSameAudience",
	},
	{
		name: "twoaudiences", what: "of a header and a query that name two audiences the query counts", file: "adapter/kv/audience.go",
		old: "named != nil && !slices.Equal(named, to.audience) {", new: "named != nil && !slices.Equal(named, to.audience) && len(named) == 0 {",
		test: "TestTheNextPageIsOfTheSameAudience",
	},
	{
		name: "nameless", what: "a client leaves the audience out", file: "client/kv.go",
		old: "		req.Header.Set(wire.HeaderAudience, k.audience)\n", new: "",
		test: "TestEveryRequestOfAnAudienceNamesIt",
	},
	{
		name: "anynext", what: "a client asks for a next page wherever a node says", file: "client/kv.go",
		old: "	if !strings.HasPrefix(path, root) {", new: "	if !strings.HasPrefix(path, root) && path == \"\" {",
		test: "TestANextPageElsewhereIsNotAskedFor",
	},
	{
		name: "credulous", what: "a client takes a value whose receipt does not verify", file: "client/verified.go",
		old: "	if err := r.Verify(service, receipt.Options{}); err != nil {", new: "	if err := r.Verify(service, receipt.Options{}); err != nil && a.Version == 0 {",
		test: "TestAClientVerifiesTheValueThatItReads", pkg: "node",
	},
	{
		name: "elsewhose", what: "a client takes the value of another audience", file: "client/verified.go",
		old: "	if !slices.Equal(found, want) {", new: "	if !slices.Equal(found, want) && len(claims) == 0 {",
		test: "TestClaimsProveWhatATransactionLeft",
	},
	{
		name: "overwritten", what: "a client takes a value that its transaction has overwritten", file: "client/verified.go",
		old: "			put = kind != 2", new: "			put = put || kind != 2",
		test: "TestClaimsProveWhatATransactionLeft",
	},
}
