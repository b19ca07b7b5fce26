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
		old: "err == nil && trusted && p.Audience.Has(owner):", new: "err == nil && (trusted || !p.Audience.Has(owner)):",
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
		name: "fewholders", what: "the leader commits what too few nodes have", file: "adapter/kv/resident.go",
		old: "		if !enough {", new: "		if !enough && false {",
		test: "TestTheLeaderWantsEnoughNodesThatHaveThePayload",
	},
	{
		name: "anywhere", what: "a node outside the audience takes the value", file: "adapter/kv/resident.go",
		old: "	case l.keeper.Here(t.audience):", new: "	case l.keeper.Here(t.audience) || t.resident:",
		test: "TestANodeOutsideTheAudienceRefusesByTheHeaderAlone",
	},
	{
		name: "twosecrets", what: "an audience has the secret that was made last", file: "adapter/kv/resident.go",
		old: "condition: precondition.Condition{Kind: precondition.Absent}}", new: "condition: precondition.Condition{Kind: precondition.Always}}",
		test: "TestOneSecretNamesAnAudiencesRows",
	},
	{
		name: "leavesrefused", what: "the payload of a write that was refused stays", file: "adapter/kv/resident.go",
		old: "	if p != nil && notExecuted(err) {", new: "	if p != nil && notExecuted(err) && false {",
		test: "TestARowResidesWithItsParties",
	},
	{
		name: "goeswithitsepoch", what: "a payload stays sealed under an epoch whose keys expire", file: "resident/exchange/fetch.go",
		old: "		if !x.folder.Old(c, keep/2) {", new: "		if x.folder.Old(c, 0) || true {",
		test: "TestWhatRowsNameOutlivesTheKeysOfItsEpoch",
	},
	{
		name: "closedisgone", what: "a payload whose epoch must be opened counts as lost", file: "resident/exchange/fetch.go",
		old: "	if delete(x.plan.unheld, c); !w.later {", new: "	if delete(x.plan.unheld, c); true {",
		test: "TestWhatRowsNameOutlivesTheKeysOfItsEpoch",
	},
	{
		name: "neverfetches", what: "a node fetches nothing but what is read", file: "resident/exchange/fetch.go",
		old: "		if _, held := x.files[ref.Row.Commitment]; !held {\n			x.want(ref)\n", new: "		if _, held := x.files[ref.Row.Commitment]; !held && false {\n			x.want(ref)\n",
		test: "TestPayloadsAreWithEnoughOfTheirPartiesAndWithNobodyElse",
	},
	{
		name: "anyofthem", what: "the proxy sends a resident row to each node that it knows", file: "internal/fleet/elsewhere.go",
		old: "			if slices.Contains(named, n.address) {", new: "			if slices.Contains(named, n.address) || true {",
		test: "TestARowThatHomeMustNotHaveIsAskedForWhereItIs",
	},
	{
		name: "unasked", what: "the proxy sends a resident value before a node asks for it", file: "internal/fleet/again.go",
		old: "	if a.resident() != \"\" && out.Body != nil {", new: "	if a.resident() == \"?\" && out.Body != nil {",
		test: "TestARowThatHomeMustNotHaveIsAskedForWhereItIs",
	},
	{
		name: "anynamed", what: "a client that knows no service asks a node of any network that a node names", file: "client/elsewhere.go",
		old: "t.sealed == nil && t.cfg.Policy.Service != nil", new: "t.sealed == nil",
		test: "TestAResidentRowIsAskedForAtNodesThatAreNamedAndVerified",
	},
	{
		name: "earlierseal", what: "a backup replaces a payload by one that was not sealed later", file: "resident/folder/copy.go",
		old: "bytes.Compare(sealedAt(data), sealedAt(held)) <= 0 {", new: "bytes.Compare(sealedAt(data), sealedAt(held)) < 0 {",
		test: "TestACopyHasWhatWasSealedLastAndLosesNothing",
	},
	{
		name: "anyvalue", what: "any value is what a commitment is to", file: "adapter/kv/residents/residents.go",
		old: "!bytes.Equal(commitment, c[:]) {", new: "!bytes.Equal(commitment, c[:]) && false {",
		test: "TestARowResidesWithItsParties", pkg: "adapter/kv",
	},
	{
		name: "anypage", what: "a command believes the constitution that a balancer shows", file: "internal/cli/network/sealed.go",
		old: "found := con.Digest(); found != digest {", new: "found := con.Digest(); found != digest && false {",
		test: "TestBehindABalancerTheConstitutionIsTheOneThatWasApproved",
	},
}
