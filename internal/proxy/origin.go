package proxy

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// loopbackHost reports whether a Host header names this machine.
func loopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") { // RFC 6761, section 6.3
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}

// extensions are the schemes of pages that the user has installed into the browser, such as a
// wallet.
var extensions = []string{"chrome-extension", "moz-extension", "safari-web-extension"}

// allowed reports whether pages of an origin may use the proxy.
func (p *Proxy) allowed(origin string) bool {
	if slices.Contains(p.cfg.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	if slices.Contains(extensions, u.Scheme) {
		return true
	}
	return (u.Scheme == "http" || u.Scheme == "https") && loopbackHost(u.Host)
}

// IsOrigin reports whether a text is a web origin as browsers send it (RFC 6454, section 6.2): a page would never be allowed by another text.
func IsOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Scheme != "" && u.Host != "" && text == u.Scheme+"://"+u.Host && strings.ToLower(text) == text
}
