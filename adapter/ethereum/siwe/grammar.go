package siwe

import (
	"net/netip"
	"strings"
	"time"
)

// This file is what the grammar takes from RFC 3986 (appendix A), RFC 3339 (section 5.6) and RFC 5234.

func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlpha(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func isHex(c byte) bool   { return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' }

func isAlphanumeric(c byte) bool { return isAlpha(c) || isDigit(c) }
func isUnreserved(c byte) bool   { return isAlphanumeric(c) || strings.IndexByte("-._~", c) >= 0 }
func isSubDelim(c byte) bool     { return strings.IndexByte("!$&'()*+,;=", c) >= 0 }
func isReserved(c byte) bool     { return isSubDelim(c) || strings.IndexByte(":/?#[]@", c) >= 0 }
func isPchar(c byte) bool        { return isUnreserved(c) || isSubDelim(c) || c == ':' || c == '@' }
func isQuery(c byte) bool        { return isPchar(c) || c == '/' || c == '?' }

// escaped reports whether a text has characters of a kind only, and pct-encoded ones.
func escaped(s string, is func(byte) bool) bool {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '%':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
			i += 2
		case !is(s[i]):
			return false
		}
	}
	return true
}

func isScheme(s string) bool {
	return s != "" && isAlpha(s[0]) && all(s, func(c byte) bool { return isAlphanumeric(c) || c == '+' || c == '-' || c == '.' })
}

// isAuthority is [ userinfo "@" ] host [ ":" port ].
func isAuthority(s string) bool {
	if user, rest, found := strings.Cut(s, "@"); found {
		if !escaped(user, func(c byte) bool { return isUnreserved(c) || isSubDelim(c) || c == ':' }) {
			return false
		}
		s = rest
	}
	if literal, rest, found := strings.Cut(s, "]"); found {
		return strings.HasPrefix(literal, "[") && isLiteral(literal[1:]) && (rest == "" || rest[0] == ':' && all(rest[1:], isDigit))
	}
	host, port, _ := strings.Cut(s, ":")
	return all(port, isDigit) && escaped(host, func(c byte) bool { return isUnreserved(c) || isSubDelim(c) })
}

// isLiteral is IPv6address or IPvFuture.
func isLiteral(s string) bool {
	if s != "" && (s[0] == 'v' || s[0] == 'V') {
		version, rest, found := strings.Cut(s[1:], ".")
		return found && version != "" && all(version, isHex) && rest != "" && all(rest, func(c byte) bool { return isUnreserved(c) || isSubDelim(c) || c == ':' })
	}
	ip, err := netip.ParseAddr(s)
	return err == nil && ip.Is6() && ip.Zone() == ""
}

// isURI is scheme ":" hier-part [ "?" query ] [ "#" fragment ].
func isURI(s string) bool {
	scheme, rest, found := strings.Cut(s, ":")
	if !found || !isScheme(scheme) {
		return false
	}
	rest, fragment, _ := strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	if !escaped(fragment, isQuery) || !escaped(query, isQuery) {
		return false
	}
	if after, found := strings.CutPrefix(rest, "//"); found {
		authority, _, _ := strings.Cut(after, "/")
		rest = after[len(authority):]
		if !isAuthority(authority) {
			return false
		}
	}
	return escaped(rest, func(c byte) bool { return isPchar(c) || c == '/' })
}

// isTime is date-time. Its letters may be small (RFC 3339, section 5.6). A leap second is none that a clock of the ledger has.
func isTime(s string) bool {
	s = strings.ToUpper(s)
	if len(s) < len("2006-01-02T15:04:05Z") || strings.Contains(s, ",") || s[10] != 'T' {
		return false
	}
	_, err := time.Parse(time.RFC3339Nano, s)
	return err == nil
}
