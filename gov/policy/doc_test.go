package policy

import (
	"os"
	"strings"
	"testing"
)

func TestTheDocumentListsWhatAPolicySees(t *testing.T) {
	page, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range recordTypes {
		for _, f := range typ.fields {
			if !strings.Contains(string(page), "`"+f.name+"`") {
				t.Errorf("docs/policies.md does not name the field %s of %s", f.name, typ.cel)
			}
		}
	}
	for _, macro := range macros {
		if macro != "existsOne" && !strings.Contains(string(page), "`"+macro+"`") {
			t.Errorf("docs/policies.md does not name the macro %s", macro)
		}
	}
}
