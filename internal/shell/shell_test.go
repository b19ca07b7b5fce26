package shell

import (
	"os/exec"
	"testing"
)

var words = []string{
	"", "net", "/tmp/net", "-x", "a b", `it's`, `"q"`, "$HOME", "`id`", "a\\b", "~", "~root", "*", "#x", "!1", "a;b", "a=b", "{a,b}", "é", "a\nb", "\t", "\x1b[31m",
	"\xff1", "\u202eabc", "'\n\\'7",
}

func TestAQuotedWordIsReadBackByAShell(t *testing.T) {
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	for _, w := range words {
		got, err := exec.Command(shell, "-c", "printf '%s|' "+Quote(w)).Output()
		if err != nil || string(got) != w+"|" {
			t.Errorf("%q is quoted as %s, which the shell reads as %q, %v", w, Quote(w), got, err)
		}
	}
}

func TestAQuotedWordHoldsNothingThatCannotBeSeen(t *testing.T) {
	for _, w := range words {
		if q := Quote(w); !visible(q) {
			t.Errorf("%q is quoted as %q", w, q)
		}
	}
	if Quote("/tmp/net") != "/tmp/net" {
		t.Error("a plain word is quoted")
	}
}
