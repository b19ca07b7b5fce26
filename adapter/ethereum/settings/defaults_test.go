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

// A constitution that leaves a setting out means the default of the program that founded the network: another default,
// or another schedule of go-ethereum's behind a fork's name, would execute old networks by new rules. So
// both are part of the format. What must change gets a new name, or is set in new constitutions.
func TestDefaultsAndForksArePartOfTheFormat(t *testing.T) {
	var out strings.Builder
	s, err := Parse([]byte(`{"chain_id": 1}`))
	must(t, err)
	s.RPC = s.RPC.WithDefaults()
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
