package table

import (
	"net"
	"testing"
)

// FuzzAddressesAreSplitAsByTheLibrary holds that the rules agree with package net, which everything else uses.
func FuzzAddressesAreSplitAsByTheLibrary(f *testing.F) {
	for _, s := range []string{"", "a", "a:1", ":1", "a:", "a:b:1", "[::1]:7000", "[fe80::1%eth0]:1", "[::1]", "[::1]7000", "[::1]:", "[a]b:1", "a[b]:1", "a:1]", "[[a]]:1", "[a:1", "a]:1", "]:1", "[:1", "[]:1", "::", "[a]:[b]:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port, ok := splitAddress(s)
		wantHost, wantPort, err := net.SplitHostPort(s)
		if ok != (err == nil) || ok && (host != wantHost || port != wantPort) {
			t.Errorf("%q: %q, %q, %v; package net has %q, %q, %v", s, host, port, ok, wantHost, wantPort, err)
		}
	})
}
