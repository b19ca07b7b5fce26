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
	Name          string            `toml:"name"`
	Organisation  string            `toml:"organisation"` // its name, or its id in hexadecimal
	URL           string            `toml:"url"`
	Audience      string            `toml:"audience"`
	UserClaim     string            `toml:"user_claim"`
	RoleClaim     string            `toml:"role_claim"`
	RoleValue     string            `toml:"role_value"`
	Claims        map[string]string `toml:"claims"`
	Algorithms    []string          `toml:"algorithms"`
	Skew          *uint64           `toml:"clock_skew_seconds"`
	Keys          uint64            `toml:"keys_seconds"`
	Type          string            `toml:"type"`
	Since         uint64            `toml:"since"`
	RevokedUsers  []string          `toml:"revoked_users"`
	RevokedTokens []string          `toml:"revoked_tokens"`
	Certificates  []string          `toml:"certificates"`
}

// DefaultSkew is the clock skew of an issuer about which a page says nothing, in seconds.
const DefaultSkew = 60

// issuer reads an issuer of a page whose organisations are read.
func (c *Constitution) issuer(path string, p *issuerPage) (access.Issuer, error) {
	x := access.Issuer{Name: p.Name, Since: p.Since, Users: p.RevokedUsers, Tokens: p.RevokedTokens, Terms: access.Terms{
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
	var id coco.ActorID
	byID := id.UnmarshalText([]byte(p.Organisation)) == nil
	for actor, name := range c.organisations() {
		if byID && actor == id || !byID && name == p.Organisation {
			x.Actor = actor
			return x, nil
		}
	}
	return x, invalid(path+".organisation", reason.UnknownActor, "expected the name or id of a member or participant, found %q", p.Organisation)
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
		return tooNew("origins", 3, c.Rules)
	}
	all := c.organisations()
	return c.Access.Check(func(id coco.ActorID) bool { _, ok := all[id]; return ok })
}

func (w *tomlWriter) issuers(c *Constitution) {
	if len(c.Access.Origins) > 0 {
		w.heading("Whose pages may ask nodes in browsers, by sessions that their users sign in for.")
		w.table("pages")
		w.field("origins", texts(c.Access.Origins))
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
		if x.Since > 0 {
			w.comment("Tokens that were issued before this time, in seconds since 1970, do not count.")
			w.field("since", x.Since)
		}
		if len(x.Users) > 0 {
			w.field("revoked_users", texts(x.Users))
		}
		if len(x.Tokens) > 0 {
			w.field("revoked_tokens", texts(x.Tokens))
		}
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
}

func texts(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}
