package constitution_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cocoframework/coco/gov/govtest"
)

// Whoever writes a second reader learns from docs/tables.md what the settings were before, and what they become.
func TestTheDocumentListsEverySettingThatWasAdded(t *testing.T) {
	text, err := os.ReadFile("../../docs/tables.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range govtest.New(t).C.AllAdded() {
		found := false
		for line := range strings.Lines(string(text)) {
			cells := strings.Split(strings.TrimSpace(line), "|")
			found = found || len(cells) == 7 && strings.TrimSpace(cells[1]) == "`"+s.Path+"`" &&
				strings.TrimSpace(cells[4]) == fmt.Sprint(s.BeforeValue) && strings.TrimSpace(cells[5]) == fmt.Sprint(s.RaisedValue)
		}
		if !found {
			t.Errorf("docs/tables.md has no row %s with %v before rules 2, and %v by `set rules 2`", s.Path, s.BeforeValue, s.RaisedValue)
		}
	}
}
