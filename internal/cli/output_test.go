package cli

import (
	"bytes"
	"strings"
	"testing"
)

// What another organisation wrote must not hide or forge what stands around it.
func TestTextOfOthersIsVisible(t *testing.T) {
	for _, colour := range []bool{false, true} {
		var out bytes.Buffer
		p := &Printer{W: &out, color: colour, terminal: colour}
		p.OK("note %s", "raises the queue\x1b[8m to 5\u202e0\r")
		p.Table([][]string{{"Member", "Vote"}, {"bravo\n  charlie", p.Green("yes")}})
		p.Printf("%s\n", p.Red("a\x1b[2Jb"))
		p.Line("%s", "x\nforged")
		text := out.String()
		for _, forbidden := range []string{"\x1b[8m", "\u202e", "\n  charlie", "\x1b[2J", "\nforged"} {
			if strings.Contains(text, forbidden) {
				t.Errorf("colour %v: %q is there: %q", colour, forbidden, text)
			}
		}
		if strings.Contains(text, "\x1b[32m") != colour {
			t.Errorf("colour %v: %q", colour, text)
		}
	}
}

func TestAPageIsWrittenAsItIsUnlessPeopleReadIt(t *testing.T) {
	const page = "note = \"\u202ex\"\n"
	for _, terminal := range []bool{false, true} {
		var out bytes.Buffer
		if err := (&Printer{W: &out, terminal: terminal}).Page([]byte(page)); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); (got == page) == terminal {
			t.Errorf("terminal %v: %q", terminal, got)
		}
	}
}
