package govcmd

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/access"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/identity"
)

// issuerFlags are those of actions about issuers of tokens.
type issuerFlags struct {
	userClaim, role, kind string
	claims, algorithms    []string
	skew, keysFor         time.Duration
	user, token, before   string
	organisation          string
}

func (f *issuerFlags) add(fl *pflag.FlagSet) {
	fl.StringVar(&f.userClaim, "user-claim", "sub", "of add-issuer: the `claim` that names the user")
	fl.StringVar(&f.role, "role", "", "of add-issuer: `CLAIM=VALUE` of users who have their organisation's role; all others are participants")
	fl.StringArrayVar(&f.claims, "claim", nil, "of add-issuer: `CLAIM=VALUE` that tokens must have; may be repeated")
	fl.StringSliceVar(&f.algorithms, "algorithms", nil, "of add-issuer: the signature `algorithms` that tokens may have (default ES256,EdDSA,PS256,RS256)")
	fl.DurationVar(&f.skew, "clock-skew", constitution.DefaultSkew*time.Second, "of add-issuer: how far the issuer's clock may differ")
	fl.DurationVar(&f.keysFor, "keys-for", time.Hour, "of add-issuer: how long keys that the issuer has published count")
	fl.StringVar(&f.kind, "token-type", "", "of add-issuer: the only `type` (typ) that tokens may have (default jwt, at+jwt or none)")
	fl.StringVar(&f.user, "user", "", "of revoke-access: the `user`, by the claim of its issuer, or as its address is linked")
	fl.StringVar(&f.token, "token", "", "of revoke-access: the `id` (jti) of a token")
	fl.StringVar(&f.before, "before", "", "of revoke-access: what was given before this `time`, such as 2026-11-30T08:00:00Z, or now: tokens of the issuer; tokens and sessions of all users of --organisation, or of --user")
	fl.StringVar(&f.organisation, "organisation", "", "of revoke-access: the `organisation` whose users are meant, instead of an issuer")
}

func pair(flag, text string) (name, value string, err error) {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" || value == "" {
		return "", "", fmt.Errorf("%w: --%s %q: expected CLAIM=VALUE", coco.ErrInvalid, flag, text)
	}
	return name, value, nil
}

// addIssuer takes name, organisation, URL, audience and the file with the certificates of the issuer's host.
func addIssuer(a *action.Args, args []string, f *actionFlags) error {
	t := &access.Terms{
		URL: args[2], Audience: args[3], UserClaim: f.issuer.userClaim, Algorithms: f.issuer.algorithms, Type: f.issuer.kind,
		SkewSeconds: uint64(max(f.issuer.skew, 0) / time.Second), KeysSeconds: uint64(max(f.issuer.keysFor, 0) / time.Second),
	}
	var err error
	if f.issuer.role != "" {
		if t.RoleClaim, t.RoleValue, err = pair("role", f.issuer.role); err != nil {
			return err
		}
	}
	for _, text := range f.issuer.claims {
		name, value, err := pair("claim", text)
		if err != nil {
			return err
		}
		if t.Claims == nil {
			t.Claims = map[string]string{}
		}
		t.Claims[name] = value
	}
	t.Complete()
	a.Name, a.Actor, a.Issuer = args[0], args[1], t
	chain, err := identity.ReadChain(args[4])
	if err != nil {
		return err
	}
	for _, cert := range chain {
		a.Certificates = append(a.Certificates, cert.Raw)
	}
	return t.Check("issuer")
}

// revokeAccess takes the issuer's name, if no flag has the organisation's; flags say what is revoked.
func revokeAccess(a *action.Args, args []string, f *actionFlags) error {
	a.Actor, a.User, a.Token, a.Remove = f.issuer.organisation, f.issuer.user, f.issuer.token, f.remove
	if len(args) > 0 {
		a.Name = args[0]
	}
	if f.issuer.before == "" {
		return nil
	}
	at := time.Now().Add(time.Second) // also what was given in this second
	if f.issuer.before != "now" {
		var err error
		if at, err = time.Parse(time.RFC3339, f.issuer.before); err != nil {
			return fmt.Errorf("%w: --before %q: expected a time such as 2026-11-30T08:00:00Z, or now", coco.ErrInvalid, f.issuer.before)
		}
	}
	a.Before = uint64(max(at.Unix(), 0))
	return nil
}
