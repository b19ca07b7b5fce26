package decide

import (
	"slices"
	"strconv"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/reason"
)

// changeAccess adds or removes an issuer of tokens, or revokes what it has given. An issuer that replaces another one comes without
// the other's revocations: these name users and tokens as the other one did.
func changeAccess(to *access.Access, a *action.Action, x actors) (Effect, error) {
	name := a.Args.Name
	found := to.Find(name)
	if a.Kind == action.AddIssuer {
		if found != nil {
			return Effect{}, impossible(reason.IssuerExists, name, "")
		}
		id, organisation, _, err := x.find(a.Args.Actor)
		if err != nil {
			return Effect{}, err
		}
		to.Issuers = append(to.Issuers, access.Issuer{Name: name, Actor: id, Roots: slices.Clone(a.Args.Certificates), Terms: *a.Args.Issuer})
		return Effect{Kind: IssuerAdded, Actor: id, Name: organisation, Subject: name, Value: a.Args.Issuer.URL}, nil
	}
	if found == nil {
		return Effect{}, impossible(reason.UnknownIssuer, name, "")
	}
	actor := found.Actor
	if a.Kind == action.RemoveIssuer {
		to.Issuers = slices.DeleteFunc(to.Issuers, func(i access.Issuer) bool { return i.Name == name })
		return Effect{Kind: IssuerRemoved, Actor: actor, Subject: name}, nil
	}
	if !found.Revoke(a.Args.Revocation(), a.Args.Remove) {
		return Effect{}, impossible(reason.Unchanged, name, "")
	}
	return Effect{Kind: AccessRevoked, Actor: actor, Subject: name, Value: revoked(&a.Args), Removed: a.Args.Remove}, nil
}

// changeOrigins lets pages of an origin ask nodes, or no more.
func changeOrigins(to *access.Access, a *action.Action) (Effect, error) {
	remove, kind := a.Kind == action.RemoveOrigin, OriginAdded
	if remove {
		kind = OriginRemoved
	}
	if !to.ChangeOrigin(a.Args.Name, remove) {
		return Effect{}, impossible(reason.Unchanged, a.Args.Name, "")
	}
	return Effect{Kind: kind, Subject: a.Args.Name}, nil
}

func revoked(x *action.Args) string {
	switch {
	case x.User != "":
		return "user " + x.User
	case x.Token != "":
		return "token " + x.Token
	}
	return "before " + strconv.FormatUint(x.Before, 10)
}

// dropIssuers removes the issuers of organisations that are there no more.
func dropIssuers(from *access.Access, ids map[coco.ActorID]bool) (out []Effect) {
	from.Issuers = slices.DeleteFunc(from.Issuers, func(i access.Issuer) bool {
		gone := !ids[i.Actor]
		if gone {
			out = append(out, Effect{Kind: IssuerRemoved, Actor: i.Actor, Subject: i.Name})
		}
		return gone
	})
	return out
}
