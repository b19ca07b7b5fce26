package action

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestTheDocumentsListTheKindsAndTheirArguments(t *testing.T) {
	read := func(name string) string {
		page, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(page)
	}
	_, table, ok := strings.Cut(read("formats.md"), "| kind | arguments |\n|---|---|\n")
	if !ok {
		t.Fatal("docs/formats.md has no table of kinds")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	listed := map[string][]string{} // arguments by kind, as they stand in the row
	for row := range strings.Lines(table) {
		columns := strings.Split(row, "|")
		for _, kind := range codes(columns[1]) {
			listed[kind] = codes(columns[2])
		}
	}
	for _, f := range forms() {
		want := slices.Concat(f.needs, f.accepts)
		if got := listed[string(f.kind)]; !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
			t.Errorf("docs/formats.md: %s has the arguments %v, want %v", f.kind, got, want)
		}
		delete(listed, string(f.kind))
		if name := "`" + strings.ReplaceAll(string(f.kind), "_", "-") + "`"; !strings.Contains(read("governance.md"), name) {
			t.Errorf("docs/governance.md does not explain %s", name)
		}
	}
	for kind := range listed {
		t.Errorf("docs/formats.md: there is no kind %s", kind)
	}
}

// codes returns what stands between backquotes.
func codes(text string) (out []string) {
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			out = append(out, part)
		}
	}
	return out
}
