package visible

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"unicode"
)

func TestWhatCannotBeSeenIsWritten(t *testing.T) {
	for in, want := range map[string]string{
		"raises the queue":            "raises the queue",
		"Bank für Außenhandel — 銀行 🏦": "Bank für Außenhandel — 銀行 🏦",
		"to 50000\x1b[8m":             `to 50000\x1b[8m`,
		"a\nb\tc\rd\x00":              `a\nb\tc\x0dd\x00`,
		"\u202egnirts":                `\u202egnirts`,
		"\u2066x\u2069\u200b\ufeff":   `\u2066x\u2069\u200b\ufeff`,
		"\u009b31m":                   `\u009b31m`, // a control sequence in one character
		"\u2028":                      `\u2028`,
		"\xff\xfe":                    `\xff\xfe`,
		"\U000e0041":                  `\U000e0041`,
		"\ufffd":                      "\ufffd",
	} {
		if got := Text(in); got != want {
			t.Errorf("%q: found %q, expected %q", in, got, want)
		}
	}
	if got := Lines("a\nb\tc\r"); got != "a\nb\tc\\x0d" {
		t.Errorf("lines: %q", got)
	}
}

func TestLogsAreVisible(t *testing.T) {
	for name, h := range map[string]func(*bytes.Buffer) slog.Handler{
		"json": func(b *bytes.Buffer) slog.Handler {
			return slog.NewJSONHandler(b, &slog.HandlerOptions{ReplaceAttr: Attr})
		},
		"text": func(b *bytes.Buffer) slog.Handler {
			return slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: Attr})
		},
	} {
		var b bytes.Buffer
		slog.New(h(&b)).Info("said \u202e", "node", "n\u202e1", "error", errors.New("no\u2066"), "count", 3)
		if text := b.String(); strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Cf, r) }) || !strings.Contains(text, "202e") {
			t.Errorf("%s: %q", name, text)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add("a\x1b[8m\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Text(s)
		for _, r := range got {
			if !unicode.IsGraphic(r) {
				t.Fatalf("%q leaves %q", s, r)
			}
		}
		if Text(got) != got {
			t.Fatalf("%q is changed again", got)
		}
	})
}
