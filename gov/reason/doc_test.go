package reason

import (
	"os"
	"strings"
	"testing"
)

func TestTheDocumentListsTheCodes(t *testing.T) {
	page, err := os.ReadFile("../../docs/tables.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range codes(t) {
		if !strings.Contains(string(page), "`"+string(code)+"`") {
			t.Errorf("docs/tables.md does not list the code %s", code)
		}
	}
}
