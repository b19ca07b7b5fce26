package main

// prefixMutants take one check away of what the rules of prefixes keep from callers.
var prefixMutants = []mutant{
	{
		name: "openread", what: "a value is read whatever the rules of prefixes say", file: "adapter/kv/read.go",
		old: "l.rows(&at, snap).Get(", new: "at.of(l.env.State, snap).Get(",
		test: "TestRulesOfPrefixesKeepKeysFromOthers",
	},
	{
		name: "openlist", what: "lists have the keys that a caller may not read", file: "adapter/kv/list.go",
		old: "found = q.collect(l.rows(&q.place, snap))", new: "found = q.collect(q.of(l.env.State, snap))",
		test: "TestRulesOfPrefixesKeepKeysFromOthers",
	},
	{
		name: "openlistat", what: "lists as of a seqno have the keys that a caller may not read", file: "adapter/kv/list.go",
		old: "return q.collect(l.rows(&q.place, snap)), nil", new: "return q.collect(q.of(l.env.State, snap)), nil",
		test: "TestRoutesTellNothingOfRowsThatACallerMayNotSee",
	},
	{
		name: "openremembered", what: "values of the past are read from memory whatever the rules say", file: "adapter/kv/past.go",
		old: "	if stored, ok = l.rows(&in, snap).Get(", new: "	if stored, ok = in.of(l.env.State, snap).Get(",
		test: "TestRoutesTellNothingOfRowsThatACallerMayNotSee",
	},
	{
		name: "openpresent", what: "a proof or an older value begins with the newest one whatever the rules say", file: "adapter/kv/past.go",
		old: "present, exists := l.rows(&in, snap).Get(", new: "present, exists := in.of(l.env.State, snap).Get(",
		test: "TestRoutesTellNothingOfRowsThatACallerMayNotSee",
	},
	{
		name: "openpast", what: "the ledger's past is read whatever the rules say", file: "adapter/kv/past.go",
		old: "	if err := l.mayKnow(&in, key); err != nil {", new: "	if err := l.mayKnow(&in, key); err != nil && at == 0 {",
		test: "TestRoutesTellNothingOfRowsThatACallerMayNotSee",
	},
	{
		name: "oldrules", what: "a list is answered by the rules of when it was asked for", file: "adapter/kv/list.go",
		old:  "	snap, id, err := l.fresh(w, r)\n	if err != nil {\n		l.fail(w, err)\n		return\n	}\n	var found stretch\n	if q.at == 0 || q.at == id.Seqno {\n		found = q.collect(l.rows(&q.place, snap))\n",
		new:  "	rules := l.settings().rules\n	snap, id, err := l.fresh(w, r)\n	if err != nil {\n		l.fail(w, err)\n		return\n	}\n	var found stretch\n	if q.at == 0 || q.at == id.Seqno {\n		found = q.collect(rules.View(&q.caller, q.of(l.env.State, snap)))\n",
		test: "TestARowIsReadByTheRulesThatItWasWrittenUnder",
	},
	{
		name: "openwrite", what: "a node sends on writes that the rules do not admit", file: "adapter/kv/kv.go",
		old: "	if err := l.settings().admitCaller(&caller, w); err != nil {", new: "	if err := l.settings().admitCaller(&caller, w); err != nil && len(w.ops) == 0 {",
		test: "TestAWriteThatTheRulesRefuseIsNotSent",
	},
	{
		name: "openleader", what: "the leader does not judge writes by the rules of prefixes", file: "adapter/kv/kv.go",
		old: "		err = settings.admitCaller(&call.Caller, w) // members", new: "		_ = settings.admitCaller(&call.Caller, w) // members",
		test: "TestTheLeaderJudgesWritesByTheRulesInForce",
	},
	{
		name: "openreceipt", what: "receipts name keys that their reader may not read", file: "adapter/kv/kv.go",
		old: "(mayClaim(caller, read.Claims) && mayReadClaimed(", new: "(mayClaim(caller, read.Claims) || mayReadClaimed(",
		test: "TestReceiptsAreForThoseWhoMayReadWhatTheyName",
	},
	{
		name: "firstclaim", what: "of a receipt only the first key is looked at", file: "adapter/kv/prefix.go",
		old: "	for n := d.u32(); n > 0 && !d.failed; n-- {", new: "	for n := min(1, d.u32()); n > 0 && !d.failed; n-- {",
		test: "TestReceiptsAreForThoseWhoMayReadWhatTheyName",
	},
	{
		name: "opendigest", what: "digests of the whole state are for everybody", file: "adapter/kv/prefix.go",
		old: "	if s.rules.MayReadAll(caller) {", new: "	if s.rules.MayReadAll(caller) || s.rules.Hide() {",
		test: "TestDigestsAreForThoseWhoMayReadEveryKey",
	},
	{
		name: "keptrules", what: "caches may keep what others may not read", file: "adapter/kv/audience.go",
		old: "	if to.audience != nil || l.settings().rules.Hide() {", new: "	if to.audience != nil {",
		test: "TestRulesOfPrefixesKeepKeysFromOthers",
	},
	{
		name: "longest", what: "a longer prefix opens what another rule closes", file: "adapter/kv/prefixes/prefixes.go",
		old:  "		if bytes.HasPrefix(key, r.all[i].prefix) && !r.all[i].read.admits(caller) {\n			return false\n		}",
		new:  "		if bytes.HasPrefix(key, r.all[i].prefix) && !r.all[i].read.admits(caller) {\n			return i+1 < len(r.all) && bytes.HasPrefix(key, r.all[i+1].prefix)\n		}",
		test: "TestAKeyObeysEveryRuleThatItBeginsWith",
	},
	{
		name: "blindwrite", what: "whoever may not read a key may write it", file: "adapter/kv/prefixes/prefixes.go",
		old: "!(one.read.admits(caller) && one.write.admits(caller))", new: "!one.write.admits(caller)",
		test: "TestWhoMayNotReadMayNotWrite",
	},
	{
		name: "everyreader", what: "who reads a key may write it", file: "adapter/kv/prefixes/prefixes.go",
		old: "!(one.read.admits(caller) && one.write.admits(caller))", new: "!one.read.admits(caller)",
		test: "TestAListAdmitsWhomItNames",
	},
	{
		name: "namedid", what: "an organisation is admitted by its name, which is another one's id", file: "adapter/kv/prefixes/prefixes.go",
		old: "		case isID:\n			l.ids = append(l.ids, id)\n", new: "		case isID:\n			l.ids = append(l.ids, id)\n			l.names = append(l.names, entry)\n",
		test: "TestAListAdmitsWhomItNames",
	},
	{
		name: "nullrule", what: "a list that is null admits everybody", file: "adapter/kv/prefixes/prefixes.go",
		old: "|| in[name] == nil {", new: "|| in[name] == nil && len(in) > 2 {",
		test: "TestOnlyWholeRulesAreParsed",
	},
	{
		name: "behind", what: "a list looks at the first keys of a prefix that is hidden", file: "adapter/kv/prefixes/prefixes.go",
		old: "		if until(prefix); !going || behind == nil {", new: "		if until(behind); !going || behind == nil {",
		test: "TestAViewHasWhatTheCallerMayRead",
	},
}
