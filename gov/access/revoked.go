package access

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/reason"
)

const (
	// MaxRevoked is how many revocations there may be. One more is refused, but for those that come with a removal, of which there may be as many.
	MaxRevoked = 4096
	// MaxTokenAge is how long after its time of issue a token counts at most, in seconds, whatever it says itself: revocations of what is older are forgotten.
	MaxTokenAge = 366 * 24 * 3600
)

// Revocation takes access from users of an organisation. It does not depend on whether the organisation or the issuer is listed, so removing one of them and
// adding it again gives nothing back. It has one of these forms:
//
//	User                 the user, by whatever credential, until members give the access back
//	Before               what was given to any user before a time: tokens of all issuers, and sessions
//	User and Before      what was given to this user before a time
//	Issuer and Before    tokens that an issuer has issued before a time
//	Issuer and Token     one token
type Revocation struct {
	Actor  coco.ActorID `cbor:"1,keyasint"`
	User   string       `cbor:"2,keyasint,omitempty"`
	Issuer string       `cbor:"3,keyasint,omitempty"` // its URL
	Token  string       `cbor:"4,keyasint,omitempty"` // its claim jti
	Before uint64       `cbor:"5,keyasint,omitempty"` // seconds since 1970
	// At is the ledger's time of the vote, in seconds since 1970.
	At uint64 `cbor:"6,keyasint"`
}

// Credential is what a revocation is about. Issuer and Token are empty for a session.
type Credential struct {
	Actor  coco.ActorID
	User   string
	Issuer string
	Token  string
	Given  uint64 // when it was issued or began, in seconds since 1970
}

// Revoked returns the first revocation by which a credential does not count; nil if there is none. The lists MUST be in canonical order.
func (a *Access) RevokedBy(c *Credential) *Revocation {
	i, _ := slices.BinarySearchFunc(a.Revoked, c.Actor, func(r Revocation, id coco.ActorID) int { return strings.Compare(string(r.Actor[:]), string(id[:])) })
	for ; i < len(a.Revoked) && a.Revoked[i].Actor == c.Actor; i++ {
		r := &a.Revoked[i]
		if (r.User == "" || r.User == c.User) && (r.Issuer == "" || r.Issuer == c.Issuer) && (r.Token == "" || r.Token == c.Token) && (r.Before == 0 || c.Given < r.Before) {
			return r
		}
	}
	return nil
}

// covers reports whether nothing counts by r that o revokes, now or later.
func (r *Revocation) covers(o *Revocation) bool {
	switch {
	case r.Actor != o.Actor || r.User != "" && r.User != o.User || r.Issuer != "" && r.Issuer != o.Issuer:
		return false
	case r.Token != "":
		return r.Token == o.Token
	case r.Before == 0:
		return true
	case o.Token != "":
		return o.At+maxSkew < r.Before // by the issuer's clock
	}
	return o.Before > 0 && o.Before <= r.Before
}

// past reports whether nothing that is revoked could count any more by itself.
func (r *Revocation) past(now uint64) bool {
	switch {
	case r.Before > 0:
		return r.Before+MaxTokenAge <= now
	case r.Token != "":
		return r.At+maxSkew+MaxTokenAge <= now
	}
	return false
}

// Revoke adds a revocation at a time of the ledger, in seconds since 1970, and forgets those that say nothing more. What is given after now cannot be revoked: Before
// becomes the end of this second if it is later. It reports false if all of it is revoked already. The check of the whole section comes afterwards.
func (a *Access) Revoke(r Revocation, now uint64) bool {
	r.At = now
	if r.Before > 0 {
		r.Before = min(r.Before, now+1)
	}
	if r.past(now) || slices.ContainsFunc(a.Revoked, func(o Revocation) bool { return o.covers(&r) }) {
		return false
	}
	a.Revoked = slices.DeleteFunc(a.Revoked, func(o Revocation) bool { return r.covers(&o) || o.past(now) })
	a.Revoked = append(a.Revoked, r)
	return true
}

// GiveBack takes back the revocation of a user or a token. The user has access by what is given from then on. It reports false if there is no such revocation.
func (a *Access) GiveBack(r Revocation, now uint64) bool {
	at := slices.IndexFunc(a.Revoked, func(o Revocation) bool {
		return o.Actor == r.Actor && o.User == r.User && o.Issuer == r.Issuer && o.Token == r.Token && o.Before == 0
	})
	if at < 0 || r.Before > 0 {
		return false
	}
	a.Revoked = slices.Delete(a.Revoked, at, at+1)
	if r.User != "" {
		r.Before = now + 1
		a.Revoke(r, now)
	}
	return true
}

// Full reports whether no vote may revoke more.
func (a *Access) Full() bool { return len(a.Revoked) > MaxRevoked }

func (a *Access) checkRevoked() error {
	if len(a.Revoked) > 2*MaxRevoked {
		return invalid("revoked_access", reason.TooMany, "expected at most %d, found %d", 2*MaxRevoked, len(a.Revoked))
	}
	seen := map[Revocation]bool{}
	for i := range a.Revoked {
		r, path := a.Revoked[i], fmt.Sprintf("revoked_access[%d]", i)
		switch {
		case r.Actor == coco.ActorID{}:
			return invalid(path+".organisation", reason.Missing, "missing")
		case coco.CheckUser(r.User) != nil:
			return invalid(path+".user", reason.BadText, "expected a name without control characters, of up to %d bytes", coco.MaxUser)
		case r.Token != "" && (r.Issuer == "" || r.User != "" || r.Before > 0):
			return invalid(path+".token", reason.BadForm, "expected an issuer beside it, and nothing else")
		case r.Issuer != "" && (r.User != "" || r.Token == "" && r.Before == 0):
			return invalid(path+".issuer", reason.BadForm, "expected a token, or before, and no user")
		case r.User == "" && r.Token == "" && r.Before == 0:
			return invalid(path+".before", reason.Missing, "missing, and neither is there a user or a token")
		case r.Before > maxDate:
			return outOfRange(path+".before", 0, maxDate, r.Before)
		case r.At > maxDate:
			return outOfRange(path+".decided", 0, maxDate, r.At)
		}
		for _, f := range []struct{ name, value string }{{".token", r.Token}, {".issuer", r.Issuer}} {
			if err := checkText(path+f.name, f.value, true); err != nil {
				return err
			}
		}
		if r.At = 0; seen[r] {
			return invalid(path, reason.Duplicate, "the same is revoked twice")
		}
		seen[r] = true
	}
	return nil
}

func compareRevocations(a, b Revocation) int {
	return cmp.Or(strings.Compare(string(a.Actor[:]), string(b.Actor[:])), strings.Compare(a.User, b.User), strings.Compare(a.Issuer, b.Issuer),
		strings.Compare(a.Token, b.Token), cmp.Compare(a.Before, b.Before))
}
