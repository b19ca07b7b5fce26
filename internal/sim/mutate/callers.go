package main

// callerMutants take one check away of what makes callers of credentials, and of what callers of a closed network see of each other.
var callerMutants = []mutant{
	// Tokens.
	{
		name: "signature", what: "a token's signature is not verified", file: "caller/token/token.go",
		old: "t.signed.Verify(keys[i].Key); err == nil {", new: "t.signed.Verify(keys[i].Key); err == nil || err != nil {",
		test: "TestTokensThatDoNotCountAreRefused",
	},
	{
		name: "keyuse", what: "a key verifies whatever its use and algorithm", file: "caller/token/token.go",
		old: "		if !fits(&keys[i], t.header.Algorithm) {", new: "		if !fits(&keys[i], t.header.Algorithm) && false {",
		test: "TestAKeyVerifiesWhatItIsMeantFor",
	},
	{
		name: "usage", what: "a key for encryption verifies tokens", file: "caller/token/token.go",
		old: "key.Use != \"\" && key.Use != \"sig\" || key.Algorithm", new: "key.Algorithm",
		test: "TestAKeyVerifiesWhatItIsMeantFor",
	},
	{
		name: "keyalg", what: "a key that is published for one algorithm verifies another", file: "caller/token/token.go",
		old: " || key.Algorithm != \"\" && key.Algorithm != algorithm {", new: " {",
		test: "TestAKeyVerifiesWhatItIsMeantFor",
	},
	{
		name: "weakrsa", what: "an RSA key of any size verifies tokens", file: "caller/token/token.go",
		old: " && public.N.BitLen() >= 2048", new: "",
		test: "TestAKeyVerifiesWhatItIsMeantFor",
	},
	{
		name: "agreed", what: "a token may have an algorithm that members have not agreed on", file: "caller/token/token.go",
		old: "	if !slices.Contains(terms.Algorithms, t.header.Algorithm) {", new: "	if t.header.Algorithm == \"\" {",
		test: "TestTokensThatDoNotCountAreRefused",
	},
	{
		name: "audience", what: "a token for any audience counts", file: "caller/token/token.go",
		old: "		if !contains(t.claims[\"aud\"], x.Terms.Audience) {", new: "		if false {",
		test: "TestTokensThatDoNotCountAreRefused",
	},
	{
		name: "anyissuer", what: "a token of any issuer counts", file: "caller/token/token.go",
		old: "		if x.Terms.URL != iss {", new: "		if x.Terms.URL != iss && false {",
		test: "TestTokensThatDoNotCountAreRefused",
	},
	{
		name: "claims", what: "a token counts without the claims of its organisation", file: "caller/token/token.go",
		old: "		if t.has(x.Terms.Claims) {", new: "		if t.has(x.Terms.Claims) || true {",
		test: "TestClaimsGiveOrganisationRoleAndUser",
	},
	{
		name: "roleclaim", what: "every user has the role of its organisation", file: "caller/token/token.go",
		old: "	if of.Terms.RoleClaim == \"\" || !contains(", new: "	if of.Terms.RoleClaim == \"\" && !contains(",
		test: "TestClaimsGiveOrganisationRoleAndUser",
	},
	{
		name: "expired", what: "a token counts after its end", file: "caller/token/token.go",
		old: "	case at >= expires+skew:", new: "	case at >= expires+skew && at < 0:",
		test: "TestTokensThatDoNotCountAreRefused",
	},
	{
		name: "skew", what: "a token counts a second longer than its end and the skew", file: "caller/token/token.go",
		old: "	case at >= expires+skew:", new: "	case at > expires+skew:",
		test: "TestTokensThatDoNotCountAreRefused",
	},
	{
		name: "beforehand", what: "a token counts before its time", file: "caller/token/token.go",
		old: "	case at < begins-skew:", new: "	case at < begins-skew && at < 0:",
		test: "TestTokensThatDoNotCountAreRefused",
	},
	{
		name: "notbefore", what: "the claim nbf is not looked at", file: "caller/token/token.go",
		old: "		begins = max(begins, from)", new: "		_ = from",
		test: "TestTokensThatDoNotCountAreRefused",
	},
	{
		name: "since", what: "a token counts that was issued before all were revoked", file: "gov/access/revoked.go",
		old: "(r.Before == 0 || c.Given < r.Before)", new: "r.Before == 0",
		test: "TestMembersRevokeAccess", pkg: "caller/token",
	},
	{
		name: "revokeduser", what: "a user whose access was revoked has it", file: "gov/access/revoked.go",
		old: "(r.User == \"\" || r.User == c.User)", new: "r.User == \"\"",
		test: "TestMembersRevokeAccess", pkg: "caller/token",
	},
	{
		name: "revokedtoken", what: "a token that was revoked by its id counts", file: "gov/access/revoked.go",
		old: "(r.Token == \"\" || r.Token == c.Token)", new: "r.Token == \"\"",
		test: "TestMembersRevokeAccess", pkg: "caller/token",
	},
	{
		name: "anyuser", what: "any text is a user", file: "caller/token/token.go",
		old: "user == \"\" || coco.CheckUser(user) != nil", new: "user == \"\"",
		test: "TestTokensThatDoNotCountAreRefused",
	},
	{
		name: "nouser", what: "a token without a user is the organisation's own", file: "caller/token/token.go",
		old: "user == \"\" || coco.CheckUser(user) != nil", new: "coco.CheckUser(user) != nil",
		test: "TestTokensThatDoNotCountAreRefused",
	},
	{
		name: "noactor", what: "a token counts for an organisation that is gone", file: "caller/token/token.go",
		old: "	name, role, ok := rules.Organisation(of.Actor)\n	if !ok {", new: "	name, role, ok := rules.Organisation(of.Actor)\n	if !ok && name != \"\" {",
		test: "TestATokenOfAnOrganisationThatIsGoneIsRefused",
	},
	{
		name: "type", what: "a token of another type counts, such as one for a logout", file: "caller/token/token.go",
		old: "	case terms.Type == \"\" && is != \"\" && is", new: "	case terms.Type == \"\" && is == \"\" && is",
		test: "TestTokensThatDoNotCountAreRefused",
	},
	{
		name: "agreedtype", what: "a token has another type than the one agreed on", file: "caller/token/token.go",
		old: "	case terms.Type != \"\" && is != terms.Type:", new: "	case terms.Type != \"\" && is == \"\":",
		test: "TestTokensThatDoNotCountAreRefused",
	},
	{
		name: "critical", what: "extensions that must be understood are not looked at", file: "caller/token/token.go",
		old: "	if t.header.Critical != nil {", new: "	if false {",
		test: "TestTokensThatDoNotCountAreRefused",
	},

	// Signed requests.
	{
		name: "othernetwork", what: "a signed request counts in another network", file: "caller/message/scheme.go",
		old: "	case m.Network != s.cfg.Network:", new: "	case m.Network != s.cfg.Network && false:",
		test: "TestSignedRequestsThatDoNotCountAreRefused",
	},
	{
		name: "othersnode", what: "a signed request counts at each node", file: "caller/message/scheme.go",
		old: "	case m.Node != s.cfg.Node:", new: "	case m.Node != s.cfg.Node && false:",
		test: "TestSignedRequestCountsOnceAtOneNode",
	},
	{
		name: "othermethod", what: "a signed request counts for another method", file: "caller/message/scheme.go",
		old: "m.Method != r.Method || ", new: "",
		test: "TestSignedRequestsThatDoNotCountAreRefused",
	},
	{
		name: "otheraudience", what: "a signed request counts with headers that its signer has not signed", file: "caller/message/scheme.go",
		old: "	case differing(m.Headers, covered(r.Header)) != \"\":", new: "	case len(m.Headers) > 1<<20:",
		test: "TestHeadersThatChangeARequestAreSigned",
	},
	{
		name: "othertarget", what: "a signed request counts for another target", file: "caller/message/scheme.go",
		old: " || m.Target != r.RequestURI:", new: ":",
		test: "TestSignedRequestsThatDoNotCountAreRefused",
	},
	{
		name: "oldmessage", what: "a signed request counts as long as one likes", file: "caller/message/scheme.go",
		old: "m.Time+uint64(Window.Milliseconds()) <= at || ", new: "",
		test: "TestSignedRequestCountsOnceAtOneNode",
	},
	{
		name: "laterequest", what: "a signed request counts once more when it was forgotten", file: "caller/message/scheme.go",
		old: "m.Time+uint64(Window.Milliseconds()) <= at || ", new: "m.Time+uint64(Window.Milliseconds()) < at || ",
		test: "TestSignedRequestCountsOnceAtOneNode",
	},
	{
		name: "future", what: "a signed request of the future counts", file: "caller/message/scheme.go",
		old: " || m.Time > at+uint64(Window.Milliseconds()):", new: ":",
		test: "TestSignedRequestsThatDoNotCountAreRefused",
	},
	{
		name: "shortnonce", what: "a nonce may be short", file: "caller/message/scheme.go",
		old: "	case len(m.Nonce) != nonceBytes:", new: "	case len(m.Nonce) > nonceBytes:",
		test: "TestSignedRequestsThatDoNotCountAreRefused",
	},
	{
		name: "unit", what: "certificates of nodes and of governance sign requests", file: "caller/message/scheme.go",
		old: "		if slices.Contains(chain[0].Subject.OrganizationalUnit, unit) {", new: "		if unit == \"\" {",
		test: "TestSignedRequestsThatDoNotCountAreRefused",
	},
	{
		name: "resent", what: "a signed request counts as often as it is sent", file: "caller/message/scheme.go",
		old: "	if _, again := x.ids[id]; again {", new: "	if _, again := x.ids[id]; again && false {",
		test: "TestSignedRequestCountsOnceAtOneNode",
	},
	{
		name: "resigned", what: "a message that is signed again counts again", file: "caller/message/scheme.go",
		old: "append(slices.Clone(chain[0].Raw), payload...)", new: "append(slices.Clone(chain[0].Raw), raw...)",
		test: "TestSignedRequestCountsOnceAtOneNode",
	},
	{
		name: "crowded", what: "one signer's message is taken for another's", file: "caller/message/scheme.go",
		old: "append(slices.Clone(chain[0].Raw), payload...)", new: "append([]byte(nil), payload...)",
		test: "TestTwoSignersMayChooseOneNonce",
	},
	{
		name: "unbounded", what: "an organisation fills a node's memory with signed requests", file: "caller/message/scheme.go",
		old: "	if len(x.ids) >= maxSeen {", new: "	if len(x.ids) > maxSeen {",
		test: "TestAnOrganisationSendsSoManyMessages",
	},

	// What members agree on.
	{
		name: "silentoutage", what: "an issuer's outage is told to nobody", file: "caller/keyset/keyset.go",
		old: "				x.failing = now\n", new: "				x.failing = time.Time{}\n",
		test: "TestAnIssuersOutageIsToldBeforeItsUsersAreLockedOut",
	},
	{
		name: "unwatched", what: "an issuer's outage is known when a user meets it", file: "caller/keyset/outage.go",
		old: "			s.begin(of, x, now)\n", new: "			_ = s.begin\n",
		test: "TestAnIssuersOutageIsToldBeforeItsUsersAreLockedOut",
	},
	{
		name: "plainhttp", what: "an issuer's URL may be one without TLS", file: "gov/access/access.go",
		old: "u.Scheme != \"https\" || ", new: "",
		test: "TestTermsThatCannotBeAreRefused",
	},
	{
		name: "mac", what: "members may agree on an algorithm whose key is shared", file: "gov/access/access.go",
		old: "		if !slices.Contains(algorithms, a) {", new: "		if a == \"\" {",
		test: "TestTermsThatCannotBeAreRefused",
	},
	{
		name: "longskew", what: "members may agree on any skew", file: "gov/access/access.go",
		old: "	if t.SkewSeconds > maxSkew {", new: "	if false {",
		test: "TestTermsThatCannotBeAreRefused",
	},
	{
		name: "foreverkeys", what: "members may agree that keys count for ever", file: "gov/access/access.go",
		old: " || t.KeysSeconds > maxKeys {", new: " {",
		test: "TestTermsThatCannotBeAreRefused",
	},
	{
		name: "norole", what: "a role may be that of whoever has an empty claim", file: "gov/access/access.go",
		old: "{\"role_value\", t.RoleValue, t.RoleClaim == \"\"}", new: "{\"role_value\", t.RoleValue, true}",
		test: "TestTermsThatCannotBeAreRefused",
	},
	{
		name: "noroots", what: "an issuer may have no certificates that its host is checked by", file: "gov/access/access.go",
		old: "	if len(roots) == 0 {", new: "	if false {",
		test: "TestTermsThatCannotBeAreRefused",
	},
	{
		name: "stranger", what: "an issuer may be of an organisation that there is not", file: "gov/access/access.go",
		old: "		if !is(x.Actor) {", new: "		if false {",
		test: "TestTermsThatCannotBeAreRefused",
	},
	{
		name: "backwards", what: "a vote makes revoked tokens count again", file: "gov/access/revoked.go",
		old: "	return o.Before > 0 && o.Before <= r.Before", new: "	return o.Before > 0",
		test: "TestWhatARevocationForgets", pkg: "gov/access",
	},
	{
		name: "issuerback", what: "an issuer that is added again has its tokens count again", file: "gov/decide/access.go",
		old: "		to.Revoke(access.Revocation{Actor: actor, Issuer: url, Before: c.seconds() + 1}, c.seconds())", new: "		_, _ = actor, url",
		test: "TestWhatIsRemovedAndAddedAgainBeginsAnew", pkg: "gov/decide",
	},
	{
		name: "organisationback", what: "an organisation that is added again has its users' sessions count again", file: "gov/decide/apply.go",
		old: "			c.leave(e.Actor)", new: "			_ = c.leave",
		test: "TestWhatIsRemovedAndAddedAgainBeginsAnew", pkg: "gov/decide",
	},
	{
		name: "userback", what: "a user who has access again has it by what was revoked", file: "gov/access/revoked.go",
		old: "		r.Before = now + 1\n", new: "		r.Before = 1\n",
		test: "TestWhatIsRemovedAndAddedAgainBeginsAnew", pkg: "gov/decide",
	},
	{
		name: "forgottensoon", what: "a revocation is forgotten while what it revokes could count", file: "gov/access/revoked.go",
		old: "		return r.Before+MaxTokenAge <= now", new: "		return r.Before <= now",
		test: "TestWhatARevocationForgets", pkg: "gov/access",
	},
	{
		name: "eternaltoken", what: "a token counts for as long as it says", file: "caller/token/token.go",
		old: "	case at >= issued+access.MaxTokenAge:", new: "	case at < 0:",
		test: "TestTokensThatDoNotCountAreRefused",
	},

	// Links of addresses.
	{
		name: "otheractor", what: "an address is linked for another organisation", file: "adapter/ethereum/linking/linking.go",
		old: "	if caller.Actor != s.Actor || caller.Name", new: "	if caller.Name",
		test: "TestStatementsThatDoNotCountAreRefused",
	},
	{
		name: "othername", what: "a wallet shows another organisation than the one that gets the address", file: "adapter/ethereum/linking/linking.go",
		old: " || caller.Name != s.Organisation {", new: " {",
		test: "TestStatementsThatDoNotCountAreRefused",
	},
	{
		name: "otheruser", what: "a user links for another one", file: "adapter/ethereum/linking/linking.go",
		old: "	if caller.User != \"\" && caller.User != s.User {", new: "	if false {",
		test: "TestStatementsThatDoNotCountAreRefused",
	},
	{
		name: "unsigned", what: "an address is linked that has not signed", file: "adapter/ethereum/linking/linking.go",
		old: "if err != nil || signer != s.Address {", new: "if err != nil || signer == (common.Address{}) {",
		test: "TestStatementsThatDoNotCountAreRefused",
	},
	{
		name: "recovery", what: "a statement has several signatures", file: "adapter/ethereum/signature/signature.go",
		old: "signature[64] != 27 && signature[64] != 28", new: "signature[64] > 28",
		test: "TestStatementsThatDoNotCountAreRefused", pkg: "adapter/ethereum/linking",
	},
	{
		name: "domain", what: "a statement counts in another network of the same chain id", file: "adapter/ethereum/linking/linking.go",
		old: "common.LeftPadBytes(of.ChainID.Bytes(), 32), of.ID[:])", new: "common.LeftPadBytes(of.ChainID.Bytes(), 32), make([]byte, len(of.ID)))",
		test: "TestStatementIsTypedData",
	},
	{
		name: "ahead", what: "a statement of the future counts, and none after it", file: "adapter/ethereum/linking/linking.go",
		old: "	case s.Issued > now+MaxAhead:", new: "	case s.Issued > now+MaxAhead && now == 0:",
		test: "TestStatementsThatDoNotCountAreRefused",
	},
	{
		name: "overdue", what: "a statement counts after it has expired", file: "adapter/ethereum/linking/linking.go",
		old: "	case s.Expires <= now:", new: "	case s.Expires <= now && now == 0:",
		test: "TestStatementsThatDoNotCountAreRefused",
	},
	{
		name: "underway", what: "a statement counts that has expired on its way to the leader", file: "adapter/ethereum/linking/linking.go",
		old: "	if err := s.timely(now); err != nil {", new: "	if err := s.timely(now); err != nil && now == 0 {",
		test: "TestLinksFollowTheNewestStatement",
	},
	{
		name: "lifelong", what: "a statement is good for ever", file: "adapter/ethereum/linking/linking.go",
		old: "	case s.Expires > s.Issued+MaxLife:", new: "	case s.Expires > s.Issued+MaxLife && now == 0:",
		test: "TestStatementsThatDoNotCountAreRefused",
	},
	{
		name: "newest", what: "an older statement counts after a newer one", file: "adapter/ethereum/linking/linking.go",
		old: "	if s.Issued <= row.Issued {", new: "	if s.Issued == row.Issued {",
		test: "TestLinksFollowTheNewestStatement",
	},
	{
		name: "relink", what: "a statement counts as often as it is sent", file: "adapter/ethereum/linking/linking.go",
		old: "	if s.Issued <= row.Issued {", new: "	if s.Issued < row.Issued {",
		test: "TestLinksFollowTheNewestStatement",
	},
	{
		name: "unlinks", what: "everybody unlinks an address", file: "adapter/ethereum/linking/linking.go",
		old: "		if !row.Linked || !row.Is(caller.Actor, caller.User) {", new: "		if !row.Linked {",
		test: "TestLinksFollowTheNewestStatement",
	},
	{
		name: "comesback", what: "a statement from before an unlinking links again", file: "adapter/ethereum/linking/linking.go",
		old: "max(now, row.Issued))", new: "row.Issued)",
		test: "TestLinksFollowTheNewestStatement",
	},
	{
		name: "holdings", what: "users have the addresses of their organisation", file: "adapter/ethereum/links/links.go",
		old: "(user == \"\" || h.User == user)", new: "(user == \"\" || h.User == user || h.User == \"\")",
		test: "TestAddressBelongsToOneHolder",
	},
	{
		name: "colleagues", what: "users have the addresses of each other", file: "adapter/ethereum/links/links.go",
		old: " && (user == \"\" || h.User == user)", new: "",
		test: "TestAddressBelongsToOneHolder",
	},

	// What callers of a closed network see.
	{
		name: "parties", what: "every caller sees every transaction", file: "adapter/ethereum/sight/eyes.go",
		old: "	if access.Names(tx, from, e.owns) {", new: "	if access.Names(tx, from, e.owns) || true {",
		test: "TestAStrangerLearnsNothing", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "accounts", what: "every caller sees every account without code", file: "adapter/ethereum/sight/eyes.go",
		old: "		return e.owns(q.Contract)\n", new: "		return true\n",
		test: "TestAStrangerLearnsNothing", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "codes", what: "every caller sees every contract", file: "adapter/ethereum/sight/eyes.go",
		old: "	return stateless[code] || e.rules", new: "	return stateless[code] || true || e.rules",
		test: "TestAStrangerLearnsNothing", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "refusedevent", what: "an event is shown with its transaction though its contract's rule refuses", file: "adapter/ethereum/sight/eyes.go",
		old: "		case access.Refused:\n			hidden[i] = true", new: "		case access.Refused:\n			hidden[i] = !transaction",
		test: "TestARuleDecidesAloneForItsEvents", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "clerk", what: "users of an auditor see everything", file: "adapter/ethereum/sight/sight.go",
		old: "caller.User == \"\" && slices.Contains(", new: "slices.Contains(",
		test: "TestBruteForceOfAHeader", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "anyfrom", what: "a call is from an address of another", file: "adapter/ethereum/sight/sight.go",
		old: "given != nil && v.eyes.owns(*given):", new: "given != nil:",
		test: "TestABalanceIsNotFoundByHalving", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "wholly", what: "what needs the whole state is answered to all", file: "adapter/ethereum/sight/sight.go",
		old: "	if v.eyes != nil {\n		return ErrWhole", new: "	if v.eyes != nil && v.raw == nil {\n		return ErrWhole",
		test: "TestAStrangerLearnsNothing", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "whyrefused", what: "why a transaction is refused tells nonce and balance of another", file: "adapter/ethereum/sight/sight.go",
		old: "	if v.Owns(from) {\n		return err", new: "	if v.Owns(from) || true {\n		return err",
		test: "TestABalanceIsNotFoundByHalving", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "header", what: "a header tells of what is in its block", file: "adapter/ethereum/sight/blocks.go",
		old: "	return &blocks.Block{Header: blank(b.Header), Hash: b.Hash}\n", new: "	return &blocks.Block{Header: b.Header, Hash: b.Hash}\n",
		test: "TestNewsOfBlocksTellNothingOfOthers", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "fullblock", what: "a block has its true header", file: "adapter/ethereum/sight/blocks.go",
		old: "	out := &blocks.Block{Header: blank(b.Header), Hash", new: "	out := &blocks.Block{Header: b.Header, Hash",
		test: "TestBruteForceOfAHeader", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "byhash", what: "a transaction is found by its hash, whoever asks", file: "adapter/ethereum/sight/blocks.go",
		old: "err == nil && !v.eyes.transaction(ctx, t.Tx, t.From, t.Receipt.GasUsed):", new: "err == nil && false:",
		test: "TestAStrangerLearnsNothing", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "places", what: "a transaction's index counts what its caller does not see", file: "adapter/ethereum/sight/blocks.go",
		old: "out.Receipt, out.Index, out.FirstLog = &receipt, p.index, p.firstLog", new: "out.Receipt, out.FirstLog = &receipt, p.firstLog",
		test: "TestABlockOfSeveralCallers", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "cumulative", what: "a receipt's cumulative gas counts what its caller does not see", file: "adapter/ethereum/sight/blocks.go",
		old: "	receipt.CumulativeGasUsed, receipt.TransactionIndex = p.cumulative, uint(p.index)", new: "	receipt.TransactionIndex = uint(p.index)",
		test: "TestABlockOfSeveralCallers", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "logplaces", what: "a log's index counts what its caller does not see", file: "adapter/ethereum/sight/blocks.go",
		old: "l.TxHash, l.TxIndex, l.Index = b.Txs[i], uint(p.index), uint(next)", new: "l.TxHash, l.TxIndex, l.Index = b.Txs[i], uint(i), uint(next)",
		test: "TestABlockOfSeveralCallers", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "receiptlogs", what: "a receipt has the logs that its caller does not see", file: "adapter/ethereum/sight/blocks.go",
		old: "	if p.hidden == nil {", new: "	if p.visible {",
		test: "TestARuleDecidesAloneForItsEvents", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "alllogs", what: "logs of blocks are shown to all", file: "adapter/ethereum/sight/blocks.go",
		old: "			if p.hidden != nil && p.hidden[at] {\n				return nil", new: "			if false {\n				return nil",
		test: "TestAContractOfTENRunsUnchanged", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "ledgers", what: "what other routes tell of a transaction is told to all", file: "adapter/ethereum/sight/blocks.go",
		old: "	if !v.eyes.transaction(ctx, tx, r.Sender, r.GasUsed) {\n		return errUnknownTx", new: "	if !v.eyes.transaction(ctx, tx, r.Sender, r.GasUsed) && v.eyes == nil {\n		return errUnknownTx",
		test: "TestTransactionsOfTheLedgerAreTheirPartiesAlone", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "partly", what: "a receipt proves logs that its caller does not see", file: "adapter/ethereum/sight/blocks.go",
		old: "	if err == nil && slices.Contains(hidden, true) {", new: "	if err == nil && hidden == nil && slices.Contains(hidden, true) {",
		test: "TestAReceiptWithALogThatIsNotShownIsRefused", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "yes", what: "a contract that says yes to everything has a rule", file: "adapter/ethereum/access/coco.go",
		old: "		{call([4]byte{0xff, 0xff, 0xff, 0xff}), False},\n", new: "",
		test: "TestABadRuleAdmitsNobody", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "truth", what: "anything but false is a yes", file: "adapter/ethereum/access/coco.go",
		old: "	if len(b) != common.HashLength || !allZero(b[:common.HashLength-1]) || b[common.HashLength-1] > 1 {\n		return Neither\n	}", new: "	if len(b) < common.HashLength {\n		return Neither\n	}\n	if !allZero(b) {\n		return True\n	}",
		test: "TestOnlyTrueIsAYes",
	},
	{
		name: "failing", what: "a contract that fails admits", file: "adapter/ethereum/sight/rules.go",
		old: "access.Admit(ok && access.ParseBool(returned) == access.True)", new: "access.Admit(!ok || access.ParseBool(returned) == access.True)",
		test: "TestABadRuleAdmitsNobody", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "ruleoracle", what: "a contract's rule sees every account", file: "adapter/ethereum/sight/rules.go",
		old: "may = contract && (stateless[code] || level", new: "may = contract && (stateless[code] || true || level",
		test: "TestARuleTellsNothingOfWhatItsContractIsNotShown", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "purses", what: "a rule that costs much closes the events of other contracts", file: "adapter/ethereum/sight/eyes.go",
		old: "			purses[l.Address] = p\n", new: "			for addr := range purses {\n				purses[addr] = p\n			}\n",
		test: "TestARuleThatCostsMuchClosesItsOwnEventsAlone", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "questions", what: "a contract is asked about another call than is made", file: "adapter/ethereum/sight/eyes.go",
		old: "				ask.Input = input\n", new: "				ask.Input = nil\n",
		test: "TestAContractDecidesByItsState", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "viewers", what: "a contract is told all addresses of a user's organisation", file: "adapter/ethereum/sight/rules.go",
		old: "viewer.Actor, viewer.User, maxViewers", new: "viewer.Actor, \"\", maxViewers",
		test: "TestAContractIsToldTheUsersOwnAddresses", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "staleanswers", what: "what a rule has said counts after the block that it was asked on", file: "adapter/ethereum/sight/cache.go",
		old: "if c.at != at || c.settings", new: "if c.settings",
		test: "TestSubscriptionsEndWithTheRuleThatAdmittedThem", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "usersblocks", what: "a block is shown to a user as it was to another of the organisation", file: "adapter/ethereum/sight/cache.go",
		old: "user: e.viewer.User, ", new: "",
		test: "TestBatchesThatMixCallersAreAnsweredOneByOne", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "actorsblocks", what: "a block is shown to a caller as it was to one of another organisation", file: "adapter/ethereum/sight/cache.go",
		old: "actor: e.viewer.Actor, user: e.viewer.User, name: e.viewer.Name, ", new: "user: e.viewer.User, ",
		test: "TestBatchesThatMixCallersAreAnsweredOneByOne", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "linkedblocks", what: "a block is shown as it was before a link", file: "adapter/ethereum/sight/grounds.go",
		old: "		if e.owns(addr) != owned {\n			return false", new: "		if e.owns(addr) != owned && g == nil {\n			return false",
		test: "TestWhatWasDecidedAboutABlockHoldsWithItsGrounds", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "createdblocks", what: "a block is shown as it was before a contract was created that it names", file: "adapter/ethereum/sight/grounds.go",
		old: "contract != (was != nil) {\n			return false", new: "!contract && was != nil {\n			return false\n		} else if was == nil {\n			continue",
		test: "TestWhatWasDecidedAboutABlockHoldsWithItsGrounds", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "ruledblocks", what: "a block is shown as it was before a contract stated another rule", file: "adapter/ethereum/sight/grounds.go",
		old: "is.none != was.none || is.ten != was.ten && !sameTEN(is.ten, was.ten)", new: "false",
		test: "TestWhatWasDecidedAboutABlockHoldsWithItsGrounds", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "constantrule", what: "a rule that a contract makes of its state is remembered with its code", file: "adapter/ethereum/sight/rules.go",
		old: "	if !varying {\n", new: "	if true {\n",
		test: "TestWhatWasDecidedAboutABlockHoldsWithItsGrounds", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "askedblocks", what: "a block is shown as it was when its contracts decided otherwise", file: "adapter/ethereum/sight/grounds.go",
		old: "return g.asked == g.stood", new: "return true",
		test: "TestSubscriptionsEndWithTheRuleThatAdmittedThem", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "stateasked", what: "simulations and traces execute on accounts whose state is not the caller's", file: "adapter/ethereum/sight/sight.go",
		old: "	return v.raw.Through(v.eyes.shown(ctx, access.State, common.Address{}, nil)).State(ctx)", new: "	return v.raw.State(ctx)",
		test: "TestAStrangerLearnsNothing", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "dumper", what: "a call whose caller replaces code executes on all accounts", file: "adapter/ethereum/sight/sight.go",
		old: "		return v.raw.Through(v.eyes.shown(ctx, access.State, common.Address{}, nil))\n	case msg.To", new: "		return v.raw\n	case msg.To",
		test: "TestAHelperThatPaysReadsAndReverts", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "overridden", what: "an account whose code is replaced shows its storage", file: "adapter/ethereum/sight/sight.go",
		old: "		if o.Code != nil && o.State == nil {", new: "		if false && o.Code != nil && o.State == nil {",
		test: "TestReplacedCodeReadsNoStorage", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "creator", what: "code that a call creates executes on all accounts", file: "adapter/ethereum/sight/sight.go",
		old: "		return v.raw.Through(v.eyes.shown(ctx, access.Call, common.Address{}, nil))", new: "		return v.raw",
		test: "TestAHelperThatPaysReadsAndReverts", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "pendingnonce", what: "every caller is told the next nonce of every account", file: "adapter/ethereum/sight/sight.go",
		old: "	if !v.may(ctx, access.State, addr) {\n		return 0, nil\n	}\n	nonce, err", new: "	nonce, err",
		test: "TestAStrangerLearnsNothing", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "nonces", what: "every caller is told the nonce of every account", file: "adapter/ethereum/sight/sight.go",
		old: "	if !v.may(ctx, access.State, addr) {\n		return 0, nil\n	}\n	return v.raw.Nonce", new: "	return v.raw.Nonce",
		test: "TestAStrangerLearnsNothing", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "codeasked", what: "every caller is told the code of every contract", file: "adapter/ethereum/sight/sight.go",
		old: "	if !v.may(ctx, access.Code, addr) {\n		return nil, nil\n	}\n", new: "",
		test: "TestAStrangerLearnsNothing", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "storages", what: "every caller is told the storage of every contract", file: "adapter/ethereum/sight/sight.go",
		old: "	if !v.may(ctx, access.State, addr) {\n		return common.Hash{}, nil\n	}\n", new: "",
		test: "TestAStrangerLearnsNothing", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "claimedlink", what: "the receipt of a link is every caller's", file: "adapter/ethereum/sight/blocks.go",
		old: "others := link != nil", new: "others := false && link != nil",
		test: "TestReceiptsAreShownByWhatTheyClaim", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "claimedblock", what: "the receipt of a transaction that no block of the view has is every caller's", file: "adapter/ethereum/sight/blocks.go",
		old: "link == nil && rows.IsClaims(claims)", new: "link == nil && false",
		test: "TestReceiptsAreShownByWhatTheyClaim", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "anothersfilter", what: "a polled filter is also another user's of the organisation", file: "adapter/ethereum/rpc/filter/table.go",
		old: "return Owner{c.Actor, c.User}", new: "return Owner{c.Actor, \"\"}",
		test: "TestAFilterIsItsMakersAlone", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "unaskedblock", what: "how many transactions a block hides is told without a vote", file: "adapter/ethereum/sight/blocks.go",
		old: "	if v.eyes.rules.settings.Counts {", new: "	if v.eyes.rules.settings != nil {",
		test: "TestBlocksTellHowManyTransactionsTheyHideWhereTheConstitutionSaysSo", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "quicker", what: "that a transaction does not exist is answered sooner than that it is another's", file: "adapter/ethereum/sight/blocks.go",
		old: "		_ = v.unseen(ctx, hash, nil)\n", new: "",
		test: "TestNotYoursTakesTheWorkOfNotThere", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "sooner", what: "that a transaction is another's is answered sooner than that it does not exist", file: "adapter/ethereum/sight/blocks.go",
		old: "		err = v.unseen(ctx, hash, b)\n", new: "		err = coco.ErrNotFound\n",
		test: "TestNotYoursTakesTheWorkOfNotThere", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "username", what: "whoever sees a transaction learns which user sent it", file: "adapter/ethereum/sight/by.go",
		old: "	if !auditor(s, caller) && !own {", new: "	if false && !auditor(s, caller) && !own {",
		test: "TestWhoseUserSentATransactionIsForItsOrganisation", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "colleague", what: "a user learns which other user of the organisation sent a transaction", file: "adapter/ethereum/sight/by.go",
		old: "(caller.User == \"\" || caller.User == t.By.User)", new: "true",
		test: "TestWhoseUserSentATransactionIsForItsOrganisation", pkg: "adapter/ethereum/rpc",
	},
	{
		name: "unnamed", what: "an event that a rule of TEN does not name is public", file: "adapter/ethereum/access/ten.go",
		old: "	if !named {\n		return Silent", new: "	if !named {\n		return Admitted",
		test: "TestARuleOfTENAnswersEachQuestion",
	},
	{
		name: "privatestate", what: "storage of a private contract of TEN is for all", file: "adapter/ethereum/access/ten.go",
		old: "		return Admit(t.Transparent)", new: "		return Admit(true)",
		test: "TestARuleOfTENAnswersEachQuestion",
	},
	{
		name: "topics", what: "an event is for whoever any of its topics names", file: "adapter/ethereum/access/ten.go",
		old: "		if fields&f == 0 || i+1", new: "		if fields&f == 0 && f == 0 || i+1",
		test: "TestARuleOfTENAnswersEachQuestion",
	},
	{
		name: "lookalike", what: "a topic that is no address stands for the one at its end", file: "adapter/ethereum/access/ten.go",
		old: "	if !allZero(topic[:common.HashLength-common.AddressLength]) {", new: "	if !allZero(topic[:0]) {",
		test: "TestARuleOfTENAnswersEachQuestion",
	},
	{
		name: "transparent", what: "the number 2 makes a contract of TEN private", file: "adapter/ethereum/access/ten.go",
		old: "	if c.ContractCfg > 1 || len", new: "	if len",
		test: "TestARuleOfTENAnswersEachQuestion",
	},
	{
		name: "nobody", what: "a rule of TEN that names nobody for an event leaves it to the default", file: "adapter/ethereum/access/ten.go",
		old: "		t.Events[signature] |= 0 // an", new: "		_ = 0 // an",
		test: "TestARuleOfTENAnswersEachQuestion",
	},
}
