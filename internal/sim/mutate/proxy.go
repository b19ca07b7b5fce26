package main

// proxyMutants take one check away of what stands between a user and the nodes: the proxy on the user's machine, and sealed requests through a balancer.
var proxyMutants = []mutant{
	{
		name: "host", what: "the proxy answers to any name (DNS rebinding)", file: "internal/proxy/proxy.go",
		old: "	if !loopbackHost(r.Host) {", new: "	if false {",
		test: "TestPagesOfOtherSitesReachNothing",
	},
	{
		name: "origin", what: "pages of all sites may use the proxy", file: "internal/proxy/proxy.go",
		old: "		if !p.allowed(origin) {", new: "		if false {",
		test: "TestPagesOfOtherSitesReachNothing",
	},
	{
		name: "embed", what: "pages of other sites may embed answers of the proxy", file: "internal/proxy/proxy.go",
		old: "r.Header.Get(\"Sec-Fetch-Site\") == \"cross-site\"", new: "r.Header.Get(\"Sec-Fetch-Site\") == \"\"",
		test: "TestPagesOfOtherSitesReachNothing",
	},
	{
		name: "smuggle", what: "a local program names its own caller to the node", file: "internal/proxy/proxy.go",
		old: "	case \"Origin\", \"Referer\", \"Authorization\",", new: "	case \"Origin\", \"Referer\",",
		test: "TestHeadersAreNotSmuggled",
	},
	{
		name: "forward", what: "a local program names its own way to the node", file: "internal/proxy/proxy.go",
		old: " || strings.HasPrefix(name, \"X-Forwarded-\")", new: "",
		test: "TestHeadersAreNotSmuggled",
	},
	{
		name: "halfframe", what: "a close frame is written into the middle of another one", file: "internal/proxy/tunnel.go",
		old: "			if len(head) > 0 {", new: "			if len(head) > 14 {",
		test: "TestALostNodeClosesWebSocketsByAStatus",
	},
	{
		name: "repeat", what: "a transaction is sent again by the method that answers once", file: "internal/fleet/again.go",
		old: "		members[\"method\"] = json.RawMessage(`\"` + sendAgain + `\"`)\n", new: "",
		test: "TestTheLossOfANodeIsNotFeltWhereThatIsSafe",
	},
	{
		name: "polls", what: "a poll that may have used its news up is made again", file: "internal/fleet/again.go",
		old: "slices.Contains(notAgain, method) || ", new: "",
		test: "TestTheLossOfANodeIsNotFeltWhereThatIsSafe",
	},
	{
		name: "certain", what: "a transaction that a node may have is called lost", file: "internal/fleet/again.go",
		old: "	if a.maybe && !errors.Is", new: "	if a.maybe && !a.maybe && !errors.Is",
		test: "TestATransactionThatMayHaveBeenReceivedIsNeverCalledLost",
	},
	{
		name: "older", what: "another node answers with an older state than the one before", file: "internal/fleet/node.go",
		old: "		n.current.Store(false)", new: "		n.current.Store(true)",
		test: "TestRequestsGoToTheLeaderAndFollowIt",
	},
	{
		name: "pinback", what: "the proxy goes back to an earlier constitution", file: "internal/fleet/follow.go",
		old: "	case to.Version < f.terms.Version:", new: "	case to.Version < f.terms.Version && false:",
		test: "TestTermsFollowVotes",
	},
	{
		name: "fork", what: "the proxy takes another constitution of the same version", file: "internal/fleet/follow.go",
		old: "	case to.Version == f.terms.Version:", new: "	case to.Version == f.terms.Version && false:",
		test: "TestTermsFollowVotes",
	},
	{
		name: "page", what: "the page of a constitution need not have the digest that is said", file: "internal/fleet/follow.go",
		old: "	case to.Digest != digest:", new: "	case to.Digest != digest && false:",
		test: "TestTermsFollowVotes",
	},
	{
		name: "goon", what: "the proxy goes on after a vote that its user has to approve", file: "internal/fleet/follow.go",
		old: "		return f.halt(err)", new: "		return err",
		test: "TestTermsFollowVotes",
	},
	{
		name: "believed", what: "a node is believed by the constitution before", file: "client/policy.go",
		old: "	clear(t.known)\n	t.mu.Unlock()", new: "	t.mu.Unlock()",
		test: "TestTermsFollowVotes", pkg: "internal/fleet",
	},
	{
		name: "stale", what: "evidence counts for ever", file: "client/transport.go",
		old: " && !t.outdated(c, now)", new: "",
		test: "TestEvidenceIsAskedForAgain", pkg: "internal/fleet",
	},
	{
		name: "twotokens", what: "a page adds a token of its own to that of the caller", file: "client/transport.go",
		old: "	out.Header.Set(\"Authorization\"", new: "	out.Header.Add(\"Authorization\"",
		test: "TestTheTokenIsSentAndNeverLogged", pkg: "internal/fleet",
	},
	{
		name: "epoch", what: "a message of one epoch is opened by the key of another", file: "sealed/sealed.go",
		old: "	if err != nil || m.Epoch != k.Epoch {", new: "	if err != nil {",
		test: "TestTheEpochIsBound",
	},
	{
		name: "padding", what: "a sealed text has several forms: another length", file: "sealed/sealed.go",
		old: " || len(b) != max(leastPlain, padded(4+n))", new: "",
		test: "TestPaddingHasOneForm",
	},
	{
		name: "zeros", what: "a sealed text has several forms: other padding", file: "sealed/sealed.go",
		old: "		if pad != 0 {", new: "		if pad != 0 && n < 0 {",
		test: "TestPaddingHasOneForm",
	},
	{
		name: "inside", what: "what a sealed request has inside is not looked at", file: "sealed/sealed.go",
		old: " || o.validate() != nil {", new: " {",
		test: "TestWhatNoRequestMayHave",
	},
	{
		name: "late", what: "an old sealed request is done", file: "gateway/unseal/unseal.go",
		old: "made.Before(now.Add(-window)) || ", new: "",
		test: "TestOldAndEarlyRequestsAreNotDone",
	},
	{
		name: "hasty", what: "a sealed request is done before its time, and again after it was forgotten", file: "gateway/unseal/unseal.go",
		old: " || made.After(now.Add(window))", new: "",
		test: "TestOldAndEarlyRequestsAreNotDone",
	},
	{
		name: "anynode", what: "a write counts on any node that a copy of it reaches", file: "gateway/unseal/unseal.go",
		old: "bound := named || !safe", new: "bound := !named && !safe",
		test: "TestAWriteCountsOnOneNodeOnce",
	},
	{
		name: "doubled", what: "a write counts each time that it comes", file: "gateway/unseal/unseal.go",
		old: "	if _, ok := o.seen[id]; ok {", new: "	if _, ok := o.seen[id]; ok && id == [sealed.IDSize]byte{} {",
		test: "TestAWriteCountsOnOneNodeOnce",
	},
	{
		name: "nobodys", what: "messages of nobody fill the memory of what was done", file: "gateway/unseal/unseal.go",
		old: "		s.once.forget(id)", new: "		_ = id",
		test: "TestRefusalsAreAlike",
	},
	{
		name: "greedy", what: "one organisation fills the memory of what was done for all others", file: "gateway/unseal/unseal.go",
		old: "	if o.held[of] >= maxOnce {", new: "	if len(o.seen) > maxOnce {",
		test: "TestOneOrganisationFillsNobodyElsesMemoryOfMessages",
	},
	{
		name: "onecaller", what: "all sealed requests that are answered count as one caller's", file: "gateway/sealed.go",
		old: "{ return w.(*response).place.pass(of) }", new: "{ return nil }", test: "TestSealedRequestsOfOneOrganisationLeaveRoomForOthers",
	},
	{
		name: "oracle", what: "a message of nobody is told from one that does not decrypt", file: "gateway/unseal/unseal.go",
		old: "	if !known && (rec.status", new: "	if false && (rec.status",
		test: "TestRefusalsAreAlike",
	},
	{
		name: "timing", what: "how long a refusal takes tells why", file: "gateway/unseal/unseal.go",
		old: "max(came+s.cfg.RefuseAfter-s.cfg.Clock.Elapsed(), 0)", new: "came-came",
		test: "TestRefusalsAreAlike",
	},
	{
		name: "hop", what: "what is inside of a message speaks of the connection", file: "gateway/unseal/unseal.go",
		old: "CanonicalHeaderKey(f.Name); !hop[name] {", new: "CanonicalHeaderKey(f.Name); name != \"\" {",
		test: "TestNothingIsSmuggledInside",
	},
	{
		name: "grace", what: "messages to old keys are opened for ever", file: "sealed/keyring/keyring.go",
		old: "epoch+1 == k.current && now-k.since >= grace", new: "epoch+1 == k.current && now < k.since",
		test: "TestKeysFollowTheEpochs",
	},
	{
		name: "nest", what: "a sealed request is opened within another one", file: "gateway/sealed.go",
		old: "	if r.Context().Value(openedKey{}) != nil {", new: "	if r.Context().Value(openedKey{}) != nil && r.Body == nil {",
		test: "TestSealedRequestsReachTheRoutes",
	},
	{
		name: "othernode", what: "a key is announced with the certificate of another node", file: "client/sealed.go",
		old: "	if a.Node != nodeID(leaf) {", new: "	if a.Node != nodeID(leaf) && false {",
		test: "TestAnotherKeyThanTheNetworksIsNotUsed", pkg: "gateway/unseal",
	},
	{
		name: "unendorsed", what: "a node of any service announces the key", file: "client/sealed.go",
		old: "	if err := policy.endorsed(chain, now); err != nil {", new: "	if err := policy.endorsed(chain, now); err != nil && now.IsZero() {",
		test: "TestAnotherKeyThanTheNetworksIsNotUsed", pkg: "gateway/unseal",
	},
	{
		name: "oldevidence", what: "evidence for another nonce vouches for the key", file: "client/sealed.go",
		old: "sealed.EvidenceNonce(shown.Announcement, nonce)", new: "sealed.EvidenceNonce(shown.Announcement, make([]byte, len(nonce)))",
		test: "TestABalancerSeesCiphertextOnly", pkg: "gateway/unseal",
	},
	{
		name: "balancersays", what: "what a balancer says of a write is believed", file: "client/sealed.go",
		old: "	if effect != Never {\n		kind", new: "	if effect == Never {\n		kind",
		test: "TestWhatABalancerDoesToRepliesIsFound", pkg: "gateway/unseal",
	},
	{
		name: "cutreply", what: "a reply that does not open leaves no doubt about a write", file: "client/sealed.go",
		old: "	if err != nil && effect != Never {", new: "	if err != nil && effect == Never {",
		test: "TestWhatABalancerDoesToRepliesIsFound", pkg: "gateway/unseal",
	},
	{
		name: "secondnode", what: "a write is made out to a second node", file: "client/sealed.go",
		old: "		if tries++; tries > maxMisdirected {", new: "		if tries, in.For = tries+1, reply.Node; tries > maxMisdirected {",
		test: "TestWhatABalancerDoesToRequestsHasNoEffect", pkg: "gateway/unseal",
	},
	{
		name: "othersmessage", what: "a signature counts for each sealed message", file: "caller/message/sealed.go",
		old: "		if m.Body != o.Message {", new: "		if m.Body == o.Message && false {",
		test: "TestASignatureCountsForItsMessageOnce", pkg: "gateway/unseal",
	},
	{
		name: "resigner", what: "whoever signs a sealed message is its sender", file: "caller/message/sealed.go",
		old: "		if CertificateID(leaf.Raw) != credential {", new: "		if CertificateID(leaf.Raw) == \"\" {",
		test: "TestASignatureCountsForItsMessageOnce", pkg: "gateway/unseal",
	},
	{
		name: "twosignatures", what: "a sealed message may have several signatures", file: "caller/message/sealed.go",
		old: "len(o.Authorization) != 1 {", new: "len(o.Authorization) == 0 {",
		test: "TestASignatureCountsForItsMessageOnce", pkg: "gateway/unseal",
	},
}
