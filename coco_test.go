package coco

import (
	"errors"
	"strings"
	"testing"
)

func TestNamesOfUsersAreBounded(t *testing.T) {
	for _, user := range []string{"", "kim", "auth0|5f7c8ec7c33c6c004bbafe82", "김 아무개", strings.Repeat("k", MaxUser)} {
		if err := CheckUser(user); err != nil {
			t.Errorf("%q: %v", user, err)
		}
	}
	for _, user := range []string{strings.Repeat("k", MaxUser+1), "kim\n", "\x7f", "\u0085", "\xff"} {
		if err := CheckUser(user); !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), user) {
			t.Errorf("%q: %v: expected a refusal that does not repeat the name", user, err)
		}
	}
}
