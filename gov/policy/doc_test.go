package policy

import (
	"os"
	"strings"
	"testing"

	"github.com/cocoframework/coco/internal/expr"
)

func TestTheDocumentListsWhatAPolicySees(t *testing.T) {
	page, err := os.ReadFile("../../docs/policies.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range recordTypes {
		for _, f := range typ.Fields {
			if !strings.Contains(string(page), "`"+f.Name+"`") {
				t.Errorf("docs/policies.md does not name the field %s of %s", f.Name, typ.CEL)
			}
		}
	}
	for _, macro := range expr.Macros() {
		if macro != "existsOne" && !strings.Contains(string(page), "`"+macro+"`") {
			t.Errorf("docs/policies.md does not name the macro %s", macro)
		}
	}
}
