package main

// residentMutants take one check away of what keeps payloads with enough nodes of their audience, and from all others.
var residentMutants = []mutant{
	{
		name: "keepsforall", what: "a node keeps payloads of audiences that its organisation is not in", file: "resident/exchange/exchange.go",
		old: " || !x.Here(p.Audience) {", new: " {",
		test: "TestAnOutsiderGetsNoPayloadAndKeepsNone",
	},
	{
		name: "givestoall", what: "a node gives a payload to whoever asks", file: "resident/exchange/exchange.go",
		old: "err == nil && trusted && p.Audience.Has(owner) {", new: "err == nil && (trusted || !p.Audience.Has(owner)) {",
		test: "TestAnOutsiderGetsNoPayloadAndKeepsNone",
	},
	{
		name: "dropsforall", what: "a node removes what another organisation's node says", file: "resident/exchange/exchange.go",
		old: "ok && w.by == x.cfg.Nodes()[from] {", new: "ok && w.by != (coco.ActorID{}) {",
		test: "TestAnOutsiderGetsNoPayloadAndKeepsNone",
	},
	{
		name: "sendstoall", what: "a payload is sent to all nodes", file: "resident/plan.go",
		old: "id != self && r.Audience.Has(owner) {", new: "id != self && (r.Audience.Has(owner) || true) {",
		test: "TestOnlyNodesOfTheAudienceAreAsked",
	},
	{
		name: "halfofthem", what: "half of an audience is enough", file: "resident/resident.go",
		old: ">= there.Len()/2+1", new: ">= there.Len()/2",
		test: "TestEnoughAreMoreThanHalfOfThoseLeftAndTheWriter",
	},
	{
		name: "anywriter", what: "the writer's organisation need not have what it writes", file: "resident/resident.go",
		old: "return holders&SetOf(audience, []coco.ActorID{writer}) != 0 && ", new: "return ",
		test: "TestEnoughAreMoreThanHalfOfThoseLeftAndTheWriter",
	},
	{
		name: "promise", what: "a node says that it keeps a payload which is not durable", file: "resident/folder/folder.go",
		old: "	return file.Sync()\n", new: "	return nil\n",
		test: "TestPayloadsAreWithEnoughOfTheirPartiesAndWithNobodyElse", pkg: "resident/exchange",
	},
	{
		name: "anyfile", what: "a file is what its name says", file: "resident/folder/folder.go",
		old: "err == nil && resident.Commit(payload) != c {", new: "err == nil && false {",
		test: "TestWhatTheHostChangesIsCorrupt",
	},
	{
		name: "dropsearly", what: "a payload goes before its transaction may have come", file: "resident/plan.go",
		old: "now.Sub(since) >= Grace:", new: "now.Sub(since) >= 0:",
		test: "TestAPlanFetchesTheNewestFirstAndDropsWhatNoRowNamesAfterAnHour",
	},
	{
		name: "unshared", what: "one organisation fills the disk of another", file: "resident/exchange/exchange.go",
		old: "x.shares[by]+size > maxWaiting {", new: "x.shares[by] < 0 {",
		test: "TestAnOrganisationHasAShareOfWhatWaits",
	},
	{
		name: "neverfetches", what: "a node fetches nothing but what is read", file: "resident/exchange/fetch.go",
		old: "		if _, held := x.files[ref.Row.Commitment]; !held {\n			x.want(ref)\n", new: "		if _, held := x.files[ref.Row.Commitment]; !held && false {\n			x.want(ref)\n",
		test: "TestPayloadsAreWithEnoughOfTheirPartiesAndWithNobodyElse",
	},
}
