package access

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/cocoframework/coco/gov/reason"
)

// Origin is that of pages on which members have agreed.
type Origin struct {
	Name string `cbor:"1,keyasint"` // as CheckOrigin has it
	// Since is the ledger's time of the vote, in milliseconds since 1970: no session counts that began until then. 0 if the origin is there from the beginning.
	Since uint64 `cbor:"2,keyasint,omitempty"`
}

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
func (a *Access) Admits(origin string) bool {
	_, ok := a.Since(origin)
	return ok
}

// Since returns until when sessions of an origin's pages have begun that do not count, in milliseconds since 1970. It is not ok if members have not agreed on the
// origin.
func (a *Access) Since(origin string) (ms uint64, ok bool) {
	at := a.at(origin)
	if at < 0 {
		return 0, false
	}
	return a.Origins[at].Since, true
}

func (a *Access) at(origin string) int {
	return slices.IndexFunc(a.Origins, func(o Origin) bool { return o.Name == origin })
}

// ChangeOrigin adds an origin at a time of the ledger, in milliseconds since 1970, or removes it. It reports false if it is so already. The check of the whole
// section comes afterwards.
func (a *Access) ChangeOrigin(origin string, remove bool, now uint64) bool {
	at := a.at(origin)
	if (at >= 0) != remove {
		return false
	}
	if remove {
		a.Origins = slices.Delete(a.Origins, at, at+1)
	} else {
		a.Origins = append(a.Origins, Origin{origin, now})
	}
	return true
}

func (a *Access) checkOrigins() error {
	if len(a.Origins) > MaxOrigins {
		return invalid("pages", reason.TooMany, "expected at most %d, found %d", MaxOrigins, len(a.Origins))
	}
	for i, origin := range a.Origins {
		if err := CheckOrigin("pages", origin.Name); err != nil {
			return err
		}
		if a.at(origin.Name) < i {
			return invalid("pages", reason.Duplicate, "%q is listed twice", origin.Name)
		}
		if origin.Since > 1000*maxDate {
			return outOfRange("pages", 0, 1000*maxDate, origin.Since)
		}
	}
	return nil
}
