package decide

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/reason"
)

// changeIssuers adds or removes an issuer of tokens. What it has issued until it is removed does not count, also if it is added again.
func (c *change) changeIssuers(a *action.Action) (Effect, error) {
	to, name := &c.draft.Access, a.Args.Name
	found := to.Find(name)
	if a.Kind == action.RemoveIssuer {
		if found == nil {
			return Effect{}, impossible(reason.UnknownIssuer, name, "")
		}
		actor, url := found.Actor, found.Terms.URL
		to.Issuers = slices.DeleteFunc(to.Issuers, func(i access.Issuer) bool { return i.Name == name })
		to.Revoke(access.Revocation{Actor: actor, Issuer: url, Before: c.seconds() + 1}, c.seconds())
		return Effect{Kind: IssuerRemoved, Actor: actor, Subject: name}, nil
	}
	if found != nil {
		return Effect{}, impossible(reason.IssuerExists, name, "")
	}
	id, organisation, _, err := c.actors.find(a.Args.Actor)
	if err != nil {
		return Effect{}, err
	}
	to.Issuers = append(to.Issuers, access.Issuer{Name: name, Actor: id, Roots: slices.Clone(a.Args.Certificates), Terms: *a.Args.Issuer})
	return Effect{Kind: IssuerAdded, Actor: id, Name: organisation, Subject: name, Value: a.Args.Issuer.URL}, nil
}

// revokeAccess takes access from users of an organisation, or gives it back. The issuer that it names says which organisation, if it names none itself.
func (c *change) revokeAccess(x *action.Args) (Effect, error) {
	to, r := &c.draft.Access, access.Revocation{User: x.User, Token: x.Token, Before: x.Before}
	e := Effect{Kind: AccessRevoked, Subject: x.Name, Value: revoked(x), Removed: x.Remove}
	if x.Actor != "" {
		id, name, _, err := c.actors.find(x.Actor)
		if byID := id.UnmarshalText([]byte(x.Actor)); err != nil && x.Remove && byID == nil {
			err = nil // of an organisation that is not there there can be revocations
		}
		if err != nil {
			return Effect{}, err
		}
		e.Actor, e.Name = id, cmp.Or(name, x.Actor)
	} else {
		of := to.Find(x.Name)
		if of == nil {
			return Effect{}, impossible(reason.UnknownIssuer, x.Name, "")
		}
		e.Actor = of.Actor
		_, e.Name, _, _ = c.actors.find(of.Actor.String())
		if x.User == "" {
			r.Issuer = of.Terms.URL
		}
	}
	r.Actor = e.Actor
	if x.Before > 0 {
		e.Before = strconv.FormatUint(min(x.Before, c.seconds()+1), 10)
	}
	change := to.Revoke
	if x.Remove {
		change = to.GiveBack
	}
	if !change(r, c.seconds()) {
		return Effect{}, impossible(reason.Unchanged, cmp.Or(x.Name, x.Actor), "")
	}
	if !x.Remove && to.Full() {
		return Effect{}, &reason.Error{Reason: reason.New(reason.TooMany, "revoked_access", ""), Detail: fmt.Sprintf(
			"revoked_access: there are %d, as many as there may be: revoke what was given before a time, which replaces what it covers, or give access back to users who have none elsewhere", access.MaxRevoked)}
	}
	return e, nil
}

// changeOrigins lets pages of an origin ask nodes, or no more.
func (c *change) changeOrigins(a *action.Action) (Effect, error) {
	remove, kind := a.Kind == action.RemoveOrigin, OriginAdded
	if remove {
		kind = OriginRemoved
	}
	if !c.draft.Access.ChangeOrigin(a.Args.Name, remove, c.now) {
		return Effect{}, impossible(reason.Unchanged, a.Args.Name, "")
	}
	return Effect{Kind: kind, Subject: a.Args.Name}, nil
}

// leave has nothing count that users of an organisation were given, also if it is added again.
func (c *change) leave(id coco.ActorID) {
	to := &c.draft.Access
	if len(to.Origins) > 0 || slices.ContainsFunc(to.Issuers, func(i access.Issuer) bool { return i.Actor == id }) {
		to.Revoke(access.Revocation{Actor: id, Before: c.seconds() + 1}, c.seconds())
	}
}

// seconds is the time of the change, in seconds since 1970.
func (c *change) seconds() uint64 { return c.now / 1000 }

func revoked(x *action.Args) string {
	switch {
	case x.User != "":
		return "user " + x.User
	case x.Token != "":
		return "token " + x.Token
	}
	return ""
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
