package store

import "testing"

// A prefix of greatest bytes has no key behind it.
func TestPrefixesEndWhereTheyShould(t *testing.T) {
	for prefix, end := range map[string]string{"a": "b", "a\xff": "b", "\xff": "", "a\xfe\xff\xff": "a\xff"} {
		if got := string(Behind([]byte(prefix))); got != end {
			t.Errorf("behind %q comes %q, expected %q", prefix, got, end)
		}
	}
}
