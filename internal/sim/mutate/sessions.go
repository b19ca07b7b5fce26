package main

const (
	sessionsFile   = "adapter/ethereum/sessions/sessions.go"
	sessionsRefuse = "TestMessagesThatDoNotCountAreRefused"
	sessionsEnd    = "TestASessionEndsInEachWay"
)

// sessionMutants take one check away of those that stand between a page in a browser and what its user may see.
var sessionMutants = []mutant{
	// The message and its signature.
	{
		name: "anysigner", what: "a message that another account has signed signs in", file: sessionsFile,
		old: "	if signer != m.Address {", new: "	if signer != m.Address && false {", test: sessionsRefuse,
	},
	{
		name: "anychain", what: "a message for another chain signs in", file: sessionsFile,
		old: "	case m.ChainID != n.ChainID.String():", new: "	case m.ChainID == \"\":", test: sessionsRefuse,
	},
	{
		name: "othersnetwork", what: "a message for another network signs in", file: sessionsFile,
		old: "list[0] != ofNetwork+network.String() {", new: "list[0] == network.String() {", test: sessionsRefuse,
	},
	{
		name: "anyuri", what: "a message may name one page to its user and another one to the node", file: sessionsFile,
		old: " || rest != m.Domain && !strings.HasPrefix(rest, m.Domain+\"/\") ||", new: " || rest == \"\" ||", test: sessionsRefuse,
	},
	{
		name: "longerdomain", what: "a page whose name begins like the message's is the same page", file: sessionsFile,
		old: "m.Domain+\"/\")", new: "m.Domain)", test: sessionsRefuse,
	},
	{
		name: "anyscheme", what: "a message may name another scheme than its page has", file: sessionsFile,
		old: "m.Scheme != \"\" && m.Scheme != scheme ||", new: "m.Scheme == \"-\" ||", test: sessionsRefuse,
	},
	{
		name: "noend", what: "a session may have no end by its message", file: sessionsFile,
		old: "	case m.Expires == \"\":\n		return", new: "	case m.Expires == \"\":\n		s.Until = s.Issued + 1000\n	case m.Expires == \"-\":\n		return", test: sessionsRefuse,
	},
	{
		name: "longlife", what: "a session lives as long as one likes", file: sessionsFile,
		old: "	case s.Until > s.Issued+MaxLife:", new: "	case s.Until < s.Issued:", test: sessionsRefuse,
	},
	{
		name: "oldsignin", what: "a message signs in long after it was signed", file: sessionsFile,
		old: "	case s.Issued+MaxAge <= now:", new: "	case s.Issued+MaxAge <= now && now == 0:", test: sessionsRefuse,
	},
	{
		name: "latersignin", what: "a message of the future signs in", file: sessionsFile,
		old: "	case s.Issued > now+MaxAhead || s.Begins > now+MaxAhead:", new: "	case s.Begins > now+MaxAhead:", test: sessionsRefuse,
	},
	{
		name: "notyet", what: "the time Not Before is not looked at", file: sessionsFile,
		old: "	case s.Issued > now+MaxAhead || s.Begins > now+MaxAhead:", new: "	case s.Issued > now+MaxAhead:", test: sessionsRefuse,
	},
	{
		name: "openscope", what: "a session may have a scope that is none", file: "adapter/ethereum/sessions/scope.go",
		old: "may != ScopeSend && !isMethod(may) {", new: "may != ScopeSend && may == \"\" {", test: sessionsRefuse,
	},
	{
		name: "capitalnonce", what: "one token has messages with several nonces", file: sessionsFile,
		old: " || hex.EncodeToString(id) != m.Nonce:", new: ":", test: sessionsRefuse,
	},

	// Whose it is, and where.
	{
		name: "anyorigin", what: "a message signs in for pages that members have not agreed on", file: sessionsFile,
		old: "	if err := j.agreed(origin, from); err != nil {", new: "	if err := j.agreed(origin, from); err != nil && origin == \"-\" {", test: sessionsRefuse,
	},
	{
		name: "otherspage", what: "a page signs in with a message that was signed for another one", file: sessionsFile,
		old: "	if s.Origin != origin {", new: "	if s.Origin == \"\" {", test: sessionsRefuse,
	},
	{
		name: "wholeorganisation", what: "a page acts for an organisation itself", file: sessionsFile,
		old: "	case h.User == \"\":", new: "	case h.User == \"-\":", test: sessionsRefuse,
	},
	{
		name: "usedagain", what: "a message begins its session again", file: "adapter/ethereum/sessions/call.go",
		old: "	if found {\n		return refuse(", new: "	if found && old.Until == 0 {\n		return refuse(", test: sessionsEnd,
	},
	{
		name: "forgottenearly", what: "a session that was ended is forgotten while its message can be sent again", file: "adapter/ethereum/sessions/rows.go",
		old: "return r.Issued+MaxAge <= now && !r.Live", new: "return !r.Live", test: "TestAUserHasSoManySessions",
	},
	{
		name: "manysessions", what: "a user may have any number of sessions", file: "adapter/ethereum/sessions/call.go",
		old: "	if n >= MaxSessions {", new: "	if n < 0 {", test: "TestAUserHasSoManySessions",
	},
	{
		name: "flooded", what: "a node checks as many signatures of messages as anybody sends", file: sessionsFile,
		old: "	if err := j.checks.take(j.Elapsed()); err != nil {", new: "	if err := j.checks.take(j.Elapsed()); err != nil && origin == \"-\" {", test: "TestMessagesOfNobodyTakeABoundedTime",
	},
	{
		name: "keptname", what: "a sign-in does not replace the session of its name", file: "adapter/ethereum/sessions/call.go",
		old: "		if !found || same || is.gone(tx, now) {", new: "		if !found || is.gone(tx, now) {", test: "TestASignInReplacesTheSessionOfItsName",
	},
	{
		name: "olderback", what: "an older message takes the place of the session of its name", file: "adapter/ethereum/sessions/call.go",
		old: " && is.Issued >= r.Issued {", new: " && is.Issued == r.Issued {", test: "TestASignInReplacesTheSessionOfItsName",
	},
	{
		name: "latecheck", what: "the leader executes a sign-in whose time is over", file: "adapter/ethereum/sessions/call.go",
		old: "	if err := s.timely(now); err != nil {", new: "	if err := s.timely(s.Issued); err != nil {", test: "TestAnExecutedSignInIsJudgedAgain",
	},
	{
		name: "othersaddress", what: "the leader executes a sign-in of an address that is another's by now", file: "adapter/ethereum/sessions/call.go",
		old: "	if h.Actor != caller.Actor || h.User != caller.User {", new: "	if h.Actor != caller.Actor {", test: "TestAnExecutedSignInIsJudgedAgain",
	},

	// Its end.
	{
		name: "outlived", what: "a session outlives its time", file: sessionsFile,
		old: "	case r.Until <= now:", new: "	case r.Until == now+1:", test: sessionsEnd,
	},
	{
		name: "unended", what: "a session that was ended goes on", file: sessionsFile,
		old: "	case r.Ended:", new: "	case r.Ended && r.Until <= now:", test: sessionsEnd,
	},
	{
		name: "pagegone", what: "a session goes on though members have removed its page", file: sessionsFile,
		old: "		err = j.agreed(origin, from)", new: "		_ = j.agreed(origin, from)", test: sessionsEnd,
	},
	{
		name: "pageback", what: "a session counts again when members add its page again", file: sessionsFile,
		old: "	case from <= since:", new: "	case from == 0:", test: "TestNoSessionComesBackWithItsPage",
	},
	{
		name: "signedbefore", what: "a message that was signed before members removed its page signs in after they have added it again", file: sessionsFile,
		old: "return min(began, issued+MaxAhead)", new: "return began", test: "TestNoSessionComesBackWithItsPage",
	},
	{
		name: "anothersorigin", what: "a session counts for each page that members have agreed on", file: sessionsFile,
		old: "	case r.Origin != origin:", new: "	case r.Origin == \"\":", test: sessionsEnd,
	},
	{
		name: "linkgone", what: "a session goes on when its address is linked to another user", file: "adapter/ethereum/sessions/rows.go",
		old: "	return linked && h.Actor == r.Actor && h.User == r.User && h.Since == r.Linked", new: "	return linked && h != (links.Holder{})", test: sessionsEnd,
	},
	{
		name: "relinked", what: "a session comes back with another link of its address to the same user", file: "adapter/ethereum/sessions/rows.go",
		old: " && h.Since == r.Linked", new: "", test: sessionsEnd,
	},
	{
		name: "anybodyends", what: "a user ends another user's sessions", file: "adapter/ethereum/sessions/call.go",
		old: " || caller.User != \"\" && old.User != caller.User {", new: " {", test: sessionsEnd,
	},
	{
		name: "foreignend", what: "an organisation ends another one's sessions", file: "adapter/ethereum/sessions/call.go",
		old: "		if !found || old.Actor != caller.Actor || caller", new: "		if !found || caller", test: sessionsEnd,
	},
	{
		name: "deafsocket", what: "a WebSocket outlives its session", file: "adapter/ethereum/rpc/websocket.go",
		old: "	if c.of.grant == nil {\n		return true", new: "	if c.of.grant != nil {\n		return true", test: "TestAWebSocketEndsWithItsSession",
	},

	// What it may do.
	{
		name: "readsends", what: "a session for reading sends transactions", file: "adapter/ethereum/sessions/scope.go",
		old: "		return slices.Contains(s, ScopeSend)\n	}", new: "		return slices.Contains(s, ScopeSend) || slices.Contains(s, ScopeRead)\n	}", test: "TestASessionIsTheUsersOfTheAddressThatSignsIn",
	},
	{
		name: "sessionlinks", what: "a session changes whose an address is", file: "adapter/ethereum/sessions/scope.go",
		old: "	case slices.Contains(never, method):", new: "	case method == \"\":", test: "TestASessionIsTheUsersOfTheAddressThatSignsIn",
	},
	{
		name: "messagecalls", what: "a signed message calls what it likes", file: sessionsFile,
		old: "		return method == methodSignIn\n", new: "		return method != \"\"\n", test: "TestASessionIsTheUsersOfTheAddressThatSignsIn",
	},
	{
		name: "twonames", what: "of a call with two names one is judged and the other one called", file: "adapter/ethereum/sessions/filter.go",
		old: "	if enc.Encode(&m) != nil {", new: "	if enc.Encode(json.RawMessage(call)) != nil {", test: "TestWhatASessionIsNotForIsCalledByNoName",
	},
	{
		name: "unfiltered", what: "JSON-RPC does not ask what a session is for", file: "adapter/ethereum/rpc/server.go",
		old: "	if x.grant != nil {\n", new: "	if x.grant != nil && len(b.in) == 0 {\n", test: "TestASessionsCallsAreFilteredOnEachWay",
	},

	// At the gateway.
	{
		name: "everyendpoint", what: "a session counts at each endpoint", file: "caller/session/session.go",
		old: "	if of == nil {\n", new: "	if of == nil && credential == \"\" {\n", test: "TestASessionIsAUserOfAnOrganisationThatIsThere",
	},
	{
		name: "goneorganisation", what: "a session outlives its organisation", file: "caller/session/session.go",
		old: "	case !ok:\n", new: "	case !ok && name == \"\":\n", test: "TestASessionIsAUserOfAnOrganisationThatIsThere",
	},
	{
		name: "takenaccess", what: "a session outlives its user's access", file: "caller/session/session.go",
		old: "	case s.Revoked(is.Actor, is.User, is.From):", new: "	case s.Revoked(is.Actor, \"\", is.Until):", test: "TestASessionIsAUserOfAnOrganisationThatIsThere",
	},
	{
		name: "keptsession", what: "a connection's session is not asked for again", file: "gateway/caller.go",
		old: " && !found.Session || certified", new: " || certified", test: "TestASessionIsAskedForAtEveryRequestOfAConnection",
	},
	{
		name: "crossorigin", what: "a session counts for a page of any origin", file: "gateway/routes.go",
		old: "	if w.identity.Session && g.cfg.Pages.Admits(r) {", new: "	if w.identity.Session {", test: "TestSessionsCountAtTheirEndpointForPagesThatMayAsk",
	},
	{
		name: "readable", what: "a page of any origin reads answers", file: "gateway/cors/cors.go",
		old: "	return p != nil && len(origins) == 1 && p(origins[0])", new: "	return p != nil && len(origins) == 1", test: "TestSessionsCountAtTheirEndpointForPagesThatMayAsk", pkg: "gateway",
	},
}
