package policy

import "testing"

func TestANamedPolicyIsShownByItsName(t *testing.T) {
	for _, name := range []string{"majority", "unanimous", "weighted majority", "veto", "seconded", "2 of 3", "3 of 3", "1 of 3"} {
		expr, members, ok := Named(name)
		if !ok || members != 0 && members != 3 {
			t.Errorf("%s: %q for %d members, %v", name, expr, members, ok)
			continue
		}
		if _, err := Compile(expr); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := NameOf(expr, 3); got != name {
			t.Errorf("%s is shown as %q", name, got)
		}
	}
	for _, text := range []string{"", "most", "4 of 3", "0 of 3", "2 of", "votes.yes >= 2"} {
		if expr, _, ok := Named(text); ok {
			t.Errorf("%q is the name of %q", text, expr)
		}
	}
	// What only begins like a named policy has no name.
	for _, expr := range []string{Majority + " || true", "votes.yes >= 4", "votes.yes >= 2 || true", "votes.yes >= 02"} {
		if got := NameOf(expr, 3); got != "" {
			t.Errorf("%q is shown as %q", expr, got)
		}
	}
}
