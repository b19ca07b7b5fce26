package settings

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden file anew: only before a format is released")

// A page that leaves a setting out means this default in version 1 of the rules. What is stored names each setting, but
// another schedule of go-ethereum's behind a fork's name would execute old networks by new rules. So both are part of
// the format. What must change gets a new name, or is set on the pages of new networks.
func TestDefaultsAndForksArePartOfTheFormat(t *testing.T) {
	var out strings.Builder
	s, err := parsePage([]byte(`{"chain_id": 1}`))
	must(t, err)
	show := func(name string, v any) {
		text, err := json.MarshalIndent(v, "", "  ")
		must(t, err)
		fmt.Fprintf(&out, "%s %s\n", name, text)
	}
	show("settings", s)
	for _, f := range Forks {
		show(f.Name, (&Settings{ChainID: 1, Fork: f.Name}).ChainConfig())
	}
	const file = "testdata/defaults.golden"
	if *update {
		must(t, os.WriteFile(file, []byte(out.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if out.String() != string(want) {
		t.Errorf("the defaults or forks have changed: a network founded before would go on by other rules\n%s", out.String())
	}
}
