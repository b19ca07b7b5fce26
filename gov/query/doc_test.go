package query_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestTheDocumentListsTheKindsOfEffects(t *testing.T) {
	page, err := os.ReadFile("../../docs/http.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../decide/effects.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := regexp.MustCompile(`EffectKind = "([a-z_]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(kinds) < 10 {
		t.Errorf("the test found %d kinds", len(kinds))
	}
	for _, kind := range kinds {
		if !strings.Contains(string(page), "`"+kind[1]+"`") {
			t.Errorf("docs/http.md does not name the effect %s", kind[1])
		}
	}
}
