package access

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/reason"
)

const (
	issuer = "https://login.example"
	now    = 1_700_000_000
)

var acme, globex = coco.ActorID{1}, coco.ActorID{2}

// A revocation replaces those that it covers, and one is forgotten when what it revokes does not count any more by itself: nothing counts again by either.
func TestWhatARevocationForgets(t *testing.T) {
	for name, c := range map[string]struct {
		then  Revocation
		at    uint64
		first []Revocation
		left  []Revocation // of first
	}{
		"a user replaces what the user was given": {Revocation{Actor: acme, User: "kim"}, now, []Revocation{{Actor: acme, User: "kim", Before: now}, {Actor: acme, User: "lee", Before: now}, {Actor: globex, User: "kim", Before: now}}, []Revocation{{Actor: acme, User: "lee", Before: now}, {Actor: globex, User: "kim", Before: now}}},
		"a later time replaces an earlier one":    {Revocation{Actor: acme, Issuer: issuer, Before: now}, now, []Revocation{{Actor: acme, Issuer: issuer, Before: now - 1}, {Actor: acme, Issuer: issuer + "/b", Before: now - 1}, {Actor: acme, User: "kim", Before: now - 1}}, []Revocation{{Actor: acme, Issuer: issuer + "/b", Before: now - 1}, {Actor: acme, User: "kim", Before: now - 1}}},
		"an organisation's replaces all of it":    {Revocation{Actor: acme, Before: now}, now, []Revocation{{Actor: acme, Issuer: issuer, Before: now}, {Actor: acme, User: "kim", Before: now - 5}, {Actor: acme, User: "lee"}}, []Revocation{{Actor: acme, User: "lee"}}},
		"a token that an issuer dates before":     {Revocation{Actor: acme, Issuer: issuer, Before: now}, now, []Revocation{{Actor: acme, Issuer: issuer, Token: "old", At: now - maxSkew - 1}, {Actor: acme, Issuer: issuer, Token: "new", At: now - maxSkew}}, []Revocation{{Actor: acme, Issuer: issuer, Token: "new", At: now - maxSkew}}},
		"a time that is a year ago":               {Revocation{Actor: globex, User: "bo"}, now + MaxTokenAge, []Revocation{{Actor: acme, Before: now}, {Actor: acme, User: "kim", Before: now + 1}, {Actor: acme, User: "lee"}, {Actor: acme, Issuer: issuer, Token: "a", At: now - maxSkew}, {Actor: acme, Issuer: issuer, Token: "b", At: now - maxSkew + 1}}, []Revocation{{Actor: acme, User: "kim", Before: now + 1}, {Actor: acme, User: "lee"}, {Actor: acme, Issuer: issuer, Token: "b", At: now - maxSkew + 1}}},
	} {
		a := Access{Revoked: slices.Clone(c.first)}
		if !a.Revoke(c.then, c.at) {
			t.Errorf("%s: it was revoked already", name)
		}
		if c.then.At = c.at; !slices.Equal(a.Revoked, append(slices.Clone(c.left), c.then)) {
			t.Errorf("%s: %+v", name, a.Revoked)
		}
		if a.Revoke(c.then, c.at) {
			t.Errorf("%s: the same is revoked twice", name)
		}
	}
	a := Access{}
	if a.Revoke(Revocation{Actor: acme, Before: now + 1000}, now); a.Revoked[0].Before != now+1 {
		t.Errorf("what is given later is revoked: %+v", a.Revoked)
	}
}

func TestRevocationsHaveOneForm(t *testing.T) {
	many := make([]Revocation, 2*MaxRevoked+1)
	for i := range many {
		many[i] = Revocation{Actor: acme, User: fmt.Sprintf("user-%d", i)}
	}
	for name, c := range map[string]struct {
		list []Revocation
		code reason.Code
	}{
		"of nobody":              {[]Revocation{{User: "kim"}}, reason.Missing},
		"of nothing":             {[]Revocation{{Actor: acme}}, reason.Missing},
		"an issuer alone":        {[]Revocation{{Actor: acme, Issuer: issuer}}, reason.BadForm},
		"a token of no issuer":   {[]Revocation{{Actor: acme, Token: "t"}}, reason.BadForm},
		"a user's token":         {[]Revocation{{Actor: acme, User: "kim", Issuer: issuer, Token: "t"}}, reason.BadForm},
		"a user of an issuer":    {[]Revocation{{Actor: acme, User: "kim", Issuer: issuer}}, reason.BadForm},
		"a token before a time":  {[]Revocation{{Actor: acme, Issuer: issuer, Token: "t", Before: 5}}, reason.BadForm},
		"two lines":              {[]Revocation{{Actor: acme, User: "k\nm"}}, reason.BadText},
		"two lines in a token":   {[]Revocation{{Actor: acme, Issuer: issuer, Token: "k\nm"}}, reason.BadText},
		"a time far away":        {[]Revocation{{Actor: acme, Before: maxDate + 1}}, reason.OutOfRange},
		"a vote far away":        {[]Revocation{{Actor: acme, User: "kim", At: maxDate + 1}}, reason.OutOfRange},
		"the same at two times":  {[]Revocation{{Actor: acme, User: "kim", At: 1}, {Actor: acme, User: "kim", At: 2}}, reason.Duplicate},
		"more than there may be": {many, reason.TooMany},
	} {
		a := Access{Revoked: c.list}
		a.Sort()
		err := a.Check(func(coco.ActorID) bool { return true })
		var told *reason.Error
		if !errors.As(err, &told) || told.Reason.Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	a := Access{Revoked: many[:MaxRevoked]}
	if a.Full() || !a.Revoke(Revocation{Actor: globex, Before: now}, now) || !a.Full() {
		t.Error("the list is full too early or too late")
	}
}
