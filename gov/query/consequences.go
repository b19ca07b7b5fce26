package query

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/consequence"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/wire"
)

// deeds say in words what a member who could have an action of a kind accepted could do.
var deeds = map[action.Kind]string{
	action.AddMember:         "add any member",
	action.RemoveMember:      "remove any member",
	action.AddParticipant:    "add any participant",
	action.RemoveParticipant: "remove any participant",
	action.AddCertificate:    "give any organisation another certificate",
	action.RemoveCertificate: "take a certificate from any organisation",
	action.AddNode:           "admit nodes",
	action.RemoveNode:        "remove any node",
	action.AddCode:           "let nodes run other code",
	action.RemoveCode:        "remove code",
	action.SetTEE:            "change which TEEs count",
	action.SetPolicy:         "replace policies that accept it",
	action.RemovePolicy:      "remove policies that accept it",
	action.Set:               "change settings",
	action.Upgrade:           "upgrade the code",
	action.Rotate:            "change the keys of the ledger",
	action.Refresh:           "have the key of the past shared anew",
	action.OpenNetwork:       "open a network that was recovered",
	action.GrantEpochs:       "let auditors read epochs",
	action.AddIssuer:         "let any issuer's tokens stand for users of any organisation",
	action.RemoveIssuer:      "remove issuers of tokens",
	action.RevokeAccess:      "take access from users",
	action.AddOrigin:         "let pages of any origin ask nodes by their users' sessions",
	action.RemoveOrigin:      "let pages of an origin ask nodes no more",
}

// Powers says what single members could do by a constitution without the others, and what nobody could, beside what is so if all must agree. That
// members run nodes without a vote, as the default of the policy add_node has it, is not among it. That each member is a recovery owner is the first.
func Powers(c *constitution.Constitution) (out []wire.Consequence) {
	out = owners(nil, c)
	all := c.Draft()
	const unanimous = "votes.yes == members.size()"
	all.Policies = map[string]string{constitution.PolicyDefault: unanimous, constitution.PolicyAddNode: unanimous}
	if c.Policies[constitution.PolicyAddNode] == constitution.AutomaticAddNode {
		all.Policies[constitution.PolicyAddNode] = constitution.AutomaticAddNode
	}
	if err := all.Complete(); err != nil {
		return out
	}
	for _, x := range consequence.New(all, c) {
		out = append(out, consequenceOf(x, c))
	}
	if x, exposed := consequence.Exposed(c); exposed && x.Lacking == 0 {
		out = append(out, consequenceOf(x, c))
	}
	if x, few := consequence.Few(c); few {
		out = append(out, consequenceOf(x, c))
	}
	if x, all := consequence.All(c); all {
		out = append(out, consequenceOf(x, c))
	}
	return out
}

// What is said of the setting that makes each member a recovery owner, wherever members meet it.
const (
	ownerSetting = "recovery.owner"
	ownerText    = "RECOVERY OWNER: each single member opens the whole ledger, and recovers the network, alone"
)

// formOwner is the form of a consequence of the threshold, and not of policies.
const formOwner = "recovery_owner"

// Owner says that each member is a recovery owner, if a threshold of them lets each open a ledger alone; nothing otherwise.
func Owner(threshold, members int) string {
	if threshold != 1 || members < 2 {
		return ""
	}
	return fmt.Sprintf("RECOVERY OWNER: each of %d members can open the whole ledger, and recover the network, alone", members)
}

// owners says that each member is a recovery owner, if one of them was none before; nothing otherwise. before may be nil.
func owners(before, c *constitution.Constitution) []wire.Consequence {
	added := func(m constitution.Member) bool { _, was := before.Member(m.Actor()); return !was }
	if !c.RecoveryOwner() || before != nil && before.RecoveryOwner() && !slices.ContainsFunc(c.Members, added) {
		return nil
	}
	out := wire.Consequence{Form: formOwner, Kinds: []string{}, Text: Owner(c.Shares.Threshold, len(c.Members))}
	for _, m := range c.Members {
		out.Members = append(out.Members, m.Name)
	}
	return []wire.Consequence{out}
}

func consequenceOf(x consequence.Consequence, c *constitution.Constitution) wire.Consequence {
	out := wire.Consequence{Form: string(x.Form)}
	out.Kinds = []string{}
	var what []string
	for _, kind := range x.Kinds {
		out.Kinds = append(out.Kinds, string(kind))
		what = append(what, deeds[kind])
	}
	for _, id := range x.Members {
		out.Members = append(out.Members, c.Name(id))
	}
	do := enumerate(what, "and")
	if x.All {
		do = "do anything"
	}
	who := enumerate(out.Members, "or")
	if x.Everybody {
		who = "any member"
		if x.Form == consequence.Unvoted {
			who = "anybody"
		}
	}
	switch x.Form {
	case consequence.Recorded:
		out.Text = recorded(out.Members, x.Lacking, c.Shares.Threshold)
	case consequence.Minority:
		n := len(c.Members)
		out.Text = fmt.Sprintf("%d of %d members together open the whole ledger, fewer than a majority: set shares.threshold %d, in the same proposal or in another one, takes a majority for that", c.Shares.Threshold, n, consequence.Majority(n))
	case consequence.Everyone:
		n := len(c.Members)
		out.Text = fmt.Sprintf("all %d members are needed to open the ledger: one lost key keeps the network from being recovered, and one lost machine keeps what has expired from the nodes; set shares.threshold %d, in the same proposal or in another one, takes a majority for that", n, consequence.Majority(n))
	case consequence.Never:
		out.Text = "nobody could ever " + do
	case consequence.Unvoted:
		out.Text = who + " could " + do + ", without a vote"
	case consequence.Silent:
		out.Text = who + " alone could " + do + " if no other member votes in time"
	default:
		out.Text = who + " alone could " + do
	}
	return out
}

// recorded says what members' keys for X25519 mean.
func recorded(members []string, lacking, threshold int) string {
	keys := "the encryption key of " + enumerate(members, "and") + " is for X25519"
	if len(members) > 1 {
		keys = "the encryption keys of " + enumerate(members, "and") + " are for X25519"
	}
	if lacking > 0 {
		return fmt.Sprintf("%s: with %d more such member%s a quantum computer could open what is recorded of the ledger", keys, lacking, map[bool]string{true: "", false: "s"}[lacking == 1])
	}
	return fmt.Sprintf("a quantum computer could open what is recorded of the ledger: %s, and %d members open it (X-Wing keys keep it closed)", keys, threshold)
}

// enumerate writes "a, b and c".
func enumerate(list []string, last string) string {
	if n := len(list); n > 1 {
		return strings.Join(list[:n-1], ", ") + " " + last + " " + list[n-1]
	}
	return strings.Join(list, "")
}
