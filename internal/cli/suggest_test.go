package cli

import "testing"

func TestTheNearestWordIsSuggestedAndNoFarOne(t *testing.T) {
	commands := []string{"up", "down", "status", "restart", "node", "demo", "gov", "member", "ledger", "receipt", "bench", "doctor", "version"}
	kinds := []string{"add-member", "remove-member", "add-participant", "add-code", "remove-code", "set", "set-policy"}
	for _, c := range []struct {
		found, want string
		from        []string
	}{
		{"stauts", "status", commands},
		{"Status", "status", commands},
		{"pu", "up", commands},
		{"recipt", "receipt", commands},
		{"sideways", "", commands},
		{"x", "", commands},
		{"start", "", []string{"status", "down"}},
		{"add_particpant", "add-participant", kinds},
		{"ad-member", "add-member", kinds},
		{"remove-m", "remove-member", kinds},
		{"remove", "", kinds},
	} {
		if got := nearest(c.found, c.from); got != c.want {
			t.Errorf("for %q, %q is suggested, want %q", c.found, got, c.want)
		}
	}
}
