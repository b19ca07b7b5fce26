package callertest

import (
	"strings"
	"testing"
)

func TestUsersLogIn(t *testing.T) {
	is, err := Start("coco")
	if err != nil {
		t.Fatal(err)
	}
	defer is.Stop()
	token, err := is.Login(t.Context(), "kim", "coco")
	if err != nil || strings.Count(token, ".") != 2 {
		t.Errorf("token %q, %v", token, err)
	}
}
