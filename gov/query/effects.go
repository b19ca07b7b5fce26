package query

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/decide"
	"github.com/cocoframework/coco/gov/policy"
)

// textOf says in words what an effect is. Nothing that is stored contains them.
func textOf(e *decide.Effect, names ...*constitution.Constitution) string {
	switch e.Kind {
	case decide.ActorAdded:
		return fmt.Sprintf("%s %q (%s) is added", e.Subject, e.Name, e.Actor.Short())
	case decide.ActorRemoved:
		return fmt.Sprintf("%s %q (%s) is removed: its sessions end, its ballots no longer count", e.Subject, e.Name, e.Actor.Short())
	case decide.ActorChanged:
		if e.Removed { // one of its own, or one that it has issued
			return fmt.Sprintf("certificate %.8s stands for %q no more", e.Value, e.Name)
		}
		return fmt.Sprintf("certificate %.8s is added to %q", e.Value, e.Name)
	case decide.PlaceAdmitted:
		if e.Unbalanced {
			return fmt.Sprintf("a node of %q is admitted at %s, and votes even if %q has half of the votes in consensus or more then", e.Name, e.Address, e.Name)
		}
		return fmt.Sprintf("a node of %q is admitted at %s", e.Name, e.Address)
	case decide.PlaceRemoved:
		return fmt.Sprintf("no node of %q is admitted at %s without another vote", e.Name, e.Address)
	case decide.PlaceForgotten:
		return fmt.Sprintf("the place %s of an actor that is removed is forgotten", e.Address)
	case decide.NodeRetired:
		return fmt.Sprintf("node %s at %s retires: its %s is removed", e.Node.Short(), e.Address, e.Cause)
	case decide.PolicySet:
		if name := policy.NameOf(e.Value, 0); name != "" {
			return fmt.Sprintf("%s is decided by: %s (%s)", e.Subject, name, e.Value)
		}
		return fmt.Sprintf("%s is decided by: %s", e.Subject, e.Value)
	case decide.PolicyRemoved:
		return fmt.Sprintf("%s is decided by the policy %s", e.Subject, e.Value)
	case decide.SettingChanged:
		if e.Subject == ownerSetting && strings.Contains(e.Value, constitution.EachMember) {
			return ownerText
		}
		return fmt.Sprintf("%s is %s instead of %s", e.Subject, naming(e.Value, names...), naming(cmp.Or(e.Before, "unset"), names...))
	case decide.EpochsGranted:
		return fmt.Sprintf("the auditor %s may read epochs %s: nodes of the members put what it reads with on the ledger", e.Name, e.Subject)
	case decide.IssuerAdded:
		return fmt.Sprintf("tokens of the issuer %s (%s) stand for users of %s", e.Subject, e.Value, e.Name)
	case decide.IssuerRemoved:
		return fmt.Sprintf("tokens of the issuer %s do not count any more; those that it has issued so far do not, also if it is added again", e.Subject)
	case decide.AccessRevoked:
		return revocationText(e)
	case decide.OriginAdded:
		return fmt.Sprintf("pages of %s may ask nodes in browsers, by sessions that their users sign in for from then on", e.Subject)
	case decide.OriginRemoved:
		return fmt.Sprintf("pages of %s do not ask nodes any more: their sessions do not count, also if the origin is added again", e.Subject)
	case decide.NetworkOpened:
		return "the network that was recovered serves clients, and nodes may join"
	case decide.EpochRotated:
		return fmt.Sprintf("a new epoch begins: %d members hold shares, and %d of them open it", e.Holders, e.Threshold)
	case decide.KeyRefreshed:
		return "the key that opens the ledger's past is shared anew: the nodes of the members begin a ceremony"
	}
	return manifestText(e)
}

func revocationText(e *decide.Effect) string {
	what, which, _ := strings.Cut(e.Value, " ")
	if e.Before != "" {
		seconds, _ := strconv.ParseInt(e.Before, 10, 64)
		return revokedBefore(which, e.Subject, e.Name, seconds) + " do not count any more"
	}
	verb := "does not have access any more"
	if e.Removed {
		verb = "has access again"
	}
	if what == "token" {
		return fmt.Sprintf("who shows the token %s of the issuer %s %s", shorten(which), e.Subject, verb)
	}
	if e.Removed {
		verb += " by what is given from now on"
	}
	return fmt.Sprintf("the user %s of %s %s, by whatever issuer or page", shorten(which), e.Name, verb)
}

// revokedBefore names what was given before a time: to a user of an organisation, by an issuer, or to all users of the organisation.
func revokedBefore(user, issuer, organisation string, seconds int64) string {
	at := time.Unix(seconds, 0).UTC().Format(time.RFC3339)
	switch {
	case user != "":
		return fmt.Sprintf("tokens and sessions of the user %s of %s from before %s", shorten(user), cmp.Or(organisation, "the organisation of the issuer "+issuer), at)
	case issuer != "":
		return fmt.Sprintf("tokens of the issuer %s from before %s", issuer, at)
	}
	return fmt.Sprintf("tokens and sessions of all users of %s from before %s", organisation, at)
}

func manifestText(e *decide.Effect) string {
	switch e.Kind {
	case decide.CodeAdded:
		text := "nodes may run " + e.Subject
		if e.Value != "" {
			text += "; once all do, remove-code " + e.Value
		}
		return text
	case decide.CodeRemoved:
		return fmt.Sprintf("nodes may not run %s any more", e.Subject)
	case decide.TEESet:
		text := fmt.Sprintf("evidence of platform %q counts", e.Subject)
		if e.Value != "" {
			text += " if it satisfies " + e.Value
		}
		if e.Debug {
			text += ", even in debug mode, which protects nothing"
		}
		return text
	case decide.TEERemoved:
		return fmt.Sprintf("evidence of platform %q does not count any more", e.Subject)
	}
	return string(e.Kind)
}

func shorten(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
