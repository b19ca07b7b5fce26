package cli

import (
	"bytes"
	"strings"
	"testing"
)

func TestOnlyAYesIsAYes(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "Yes\n": true, " yes ": true, "": false, "\n": false, "n\n": false, "yesterday\n": false} {
		var shown bytes.Buffer
		a := &App{In: strings.NewReader(answer), Err: NewPrinter(&shown)}
		if got, err := a.Ask("Go on?"); err != nil || got != want || !strings.Contains(shown.String(), "Go on? [y/N]") {
			t.Errorf("%q: %v, %v; shown %q", answer, got, err, shown.String())
		}
		if a.Asks() {
			t.Error("a text is a terminal")
		}
	}
}
