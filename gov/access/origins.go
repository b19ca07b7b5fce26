package access

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/reason"
)

// MaxOrigins is how many origins members may agree on.
const MaxOrigins = 64

// CheckOrigin checks the origin of a page as browsers write it (RFC 6454, section 6.2): https, a host in lower case, and the port unless it is 443. The
// user's own machine may be asked by http, too: what its browser loads from there nobody else has changed.
func CheckOrigin(path, origin string) error {
	if err := checkText(path, origin, false); err != nil {
		return err
	}
	bad := invalid(path, reason.BadForm, "expected an origin such as https://app.example, in lower case, without a path and without the scheme's own port; http for localhost only; found %q", origin)
	u, err := url.Parse(origin)
	if err != nil || u.Scheme+"://"+u.Host != origin || u.Hostname() == "" || origin != strings.ToLower(origin) || strings.HasSuffix(u.Host, ":") || strings.ContainsAny(origin, "@*,; ") {
		return bad
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if err == nil && (ip.Zone() != "" || ip.String() != u.Hostname()) || err != nil && strings.ContainsFunc(u.Hostname(), notOfHosts) {
		return bad
	}
	local := u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
	switch {
	case u.Scheme == "https" && u.Port() != "443":
		return nil
	case u.Scheme == "http" && u.Port() != "80" && local:
		return nil
	}
	return bad
}

func notOfHosts(c rune) bool {
	return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.'
}

// Admits reports whether pages of an origin may ask nodes, by sessions that their users have signed.
func (a *Access) Admits(origin string) bool { return slices.Contains(a.Origins, origin) }

// UserRevoked reports whether members have taken access from a user of an organisation: then it has none by a session either.
func (a *Access) UserRevoked(actor coco.ActorID, user string) bool {
	return slices.ContainsFunc(a.Issuers, func(x Issuer) bool { return x.Actor == actor && slices.Contains(x.Users, user) })
}

// ChangeOrigin adds an origin, or removes it. It reports false if it is so already. The check of the whole section comes afterwards.
func (a *Access) ChangeOrigin(origin string, remove bool) bool {
	at := slices.Index(a.Origins, origin)
	if (at >= 0) != remove {
		return false
	}
	if remove {
		a.Origins = slices.Delete(a.Origins, at, at+1)
	} else {
		a.Origins = append(a.Origins, origin)
	}
	return true
}

func (a *Access) checkOrigins() error {
	if len(a.Origins) > MaxOrigins {
		return invalid("origins", reason.TooMany, "expected at most %d, found %d", MaxOrigins, len(a.Origins))
	}
	for i, origin := range a.Origins {
		if err := CheckOrigin("origins", origin); err != nil {
			return err
		}
		if slices.Contains(a.Origins[:i], origin) {
			return invalid("origins", reason.Duplicate, "%q is listed twice", origin)
		}
	}
	return nil
}
