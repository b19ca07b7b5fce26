package constitution

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/gov/reason"
)

// issuerPage is an issuer of tokens as people write it.
//
// Fields: one for each field of the page.
type issuerPage struct {
	Name         string            `toml:"name"`
	Organisation string            `toml:"organisation"` // its name, or its id in hexadecimal
	URL          string            `toml:"url"`
	Audience     string            `toml:"audience"`
	UserClaim    string            `toml:"user_claim"`
	RoleClaim    string            `toml:"role_claim"`
	RoleValue    string            `toml:"role_value"`
	Claims       map[string]string `toml:"claims"`
	Algorithms   []string          `toml:"algorithms"`
	Skew         *uint64           `toml:"clock_skew_seconds"`
	Keys         uint64            `toml:"keys_seconds"`
	Type         string            `toml:"type"`
	Certificates []string          `toml:"certificates"`
}

// originPage is an origin as people write it.
type originPage struct {
	Origin string `toml:"origin"`
	Since  uint64 `toml:"since"`
}

// revocationPage is a revocation as people write it.
type revocationPage struct {
	Organisation string `toml:"organisation"` // its name, or its id in hexadecimal
	User         string `toml:"user"`
	Issuer       string `toml:"issuer"`
	Token        string `toml:"token"`
	Before       uint64 `toml:"before"`
	Decided      uint64 `toml:"decided"`
}

// DefaultSkew is the clock skew of an issuer about which a page says nothing, in seconds.
const DefaultSkew = 60

// issuer reads an issuer of a page whose organisations are read.
func (c *Constitution) issuer(path string, p *issuerPage) (access.Issuer, error) {
	x := access.Issuer{Name: p.Name, Terms: access.Terms{
		URL: p.URL, Audience: p.Audience, UserClaim: p.UserClaim, RoleClaim: p.RoleClaim, RoleValue: p.RoleValue, Claims: p.Claims,
		Algorithms: p.Algorithms, SkewSeconds: DefaultSkew, KeysSeconds: p.Keys, Type: p.Type,
	}}
	if p.Skew != nil {
		x.Terms.SkewSeconds = *p.Skew
	}
	x.Terms.Complete()
	for i, text := range p.Certificates {
		der, err := certificate(fmt.Sprintf("%s.certificates[%d]", path, i), text)
		if err != nil {
			return x, err
		}
		x.Roots = append(x.Roots, der)
	}
	var err error
	x.Actor, err = c.organisation(path, p.Organisation)
	return x, err
}

// organisation returns the id of a member or participant by its name or id.
func (c *Constitution) organisation(path, text string) (id coco.ActorID, err error) {
	byID := id.UnmarshalText([]byte(text)) == nil
	for actor, name := range c.organisations() {
		if byID && actor == id || !byID && name == text {
			return actor, nil
		}
	}
	return id, invalid(path+".organisation", reason.UnknownActor, "expected the name or id of a member or participant, found %q", text)
}

// access reads the section of a page whose organisations are read.
func (c *Constitution) access(p *page) error {
	for _, o := range p.Pages {
		c.Access.Origins = append(c.Access.Origins, access.Origin{Name: o.Origin, Since: o.Since})
	}
	for i := range p.Issuers {
		x, err := c.issuer(fmt.Sprintf("issuers[%d]", i), &p.Issuers[i])
		if err != nil {
			return err
		}
		c.Access.Issuers = append(c.Access.Issuers, x)
	}
	for i, r := range p.RevokedAccess {
		id, err := c.organisation(fmt.Sprintf("revoked_access[%d]", i), r.Organisation)
		if err != nil && id.UnmarshalText([]byte(r.Organisation)) != nil { // it need not be there any more
			return err
		}
		c.Access.Revoked = append(c.Access.Revoked, access.Revocation{Actor: id, User: r.User, Issuer: r.Issuer, Token: r.Token, Before: r.Before, At: r.Decided})
	}
	return nil
}

// organisations are the names of members and participants by their ids. It needs no completed constitution.
func (c *Constitution) organisations() map[coco.ActorID]string {
	out := map[coco.ActorID]string{}
	for _, m := range c.Members {
		out[m.Actor()] = m.Name
	}
	for _, p := range c.Participants {
		out[p.Actor()] = p.Name
	}
	return out
}

func (c *Constitution) checkAccess() error {
	if len(c.Access.Issuers) > 0 && c.Rules < 3 {
		return tooNew("issuers", 3, c.Rules)
	}
	if len(c.Access.Origins) > 0 && c.Rules < 3 {
		return tooNew("pages", 3, c.Rules)
	}
	if len(c.Access.Revoked) > 0 && c.Rules < 3 {
		return tooNew("revoked_access", 3, c.Rules)
	}
	all := c.organisations()
	return c.Access.Check(func(id coco.ActorID) bool { _, ok := all[id]; return ok })
}

func (w *tomlWriter) issuers(c *Constitution) {
	if len(c.Access.Origins) > 0 {
		w.heading("Whose pages may ask nodes in browsers, by sessions that their users sign in for. None counts that began until `since`, in milliseconds since 1970.")
	}
	for _, o := range c.Access.Origins {
		w.element("pages")
		w.field("origin", o.Name)
		if o.Since > 0 {
			w.field("since", o.Since)
		}
	}
	if len(c.Access.Issuers) > 0 {
		w.heading("Whose tokens (OpenID Connect) stand for users of an organisation. The host is checked by these certificates.")
	}
	for i := range c.Access.Issuers {
		x := &c.Access.Issuers[i]
		t := &x.Terms
		w.element("issuers")
		w.field("name", x.Name)
		w.field("organisation", cmp.Or(c.Name(x.Actor), x.Actor.String()))
		w.field("url", t.URL)
		w.field("audience", t.Audience)
		w.field("user_claim", t.UserClaim)
		for _, f := range []struct{ name, value string }{{"role_claim", t.RoleClaim}, {"role_value", t.RoleValue}, {"type", t.Type}} {
			if f.value != "" {
				w.field(f.name, f.value)
			}
		}
		w.field("algorithms", texts(t.Algorithms))
		w.field("clock_skew_seconds", t.SkewSeconds)
		w.field("keys_seconds", t.KeysSeconds)
		if len(t.Claims) > 0 {
			claims := map[string]any{}
			for _, name := range slices.Sorted(maps.Keys(t.Claims)) {
				claims[name] = t.Claims[name]
			}
			w.field("claims", claims)
		}
		w.b.WriteString("certificates = [\n")
		for _, der := range x.Roots {
			w.b.WriteString("'''\n" + string(certificatePEM(der)) + "''',\n")
		}
		w.b.WriteString("]\n")
	}
	if len(c.Access.Revoked) > 0 {
		w.heading("What members have taken from users of an organisation: a user, a token (its jti), or what was given before a time. Times are in seconds since 1970.")
	}
	for i := range c.Access.Revoked {
		r := &c.Access.Revoked[i]
		w.element("revoked_access")
		w.field("organisation", cmp.Or(c.Name(r.Actor), r.Actor.String()))
		for _, f := range []struct{ name, value string }{{"user", r.User}, {"issuer", r.Issuer}, {"token", r.Token}} {
			if f.value != "" {
				w.field(f.name, f.value)
			}
		}
		if r.Before > 0 {
			w.field("before", r.Before)
		}
		w.field("decided", r.At)
	}
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
