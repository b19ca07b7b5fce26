// Package visible shows text of others as what it is.
//
// A proposal's note, a node's name or an error that another process reports may hold escape sequences that hide what
// follows on a terminal, controls that reverse the direction of a line (Unicode Standard Annex 9; CVE-2021-42574), or characters that
// cannot be seen. Whatever people read to decide, on a terminal or in a log, passes by here.
//
// Trust: either
package visible

import (
	"fmt"
	"log/slog"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text returns a text in which every character can be seen: what is no letter, mark, number, punctuation, symbol or space is
// written as \n, \x1b or \u202e, as in Go; so is what is no UTF-8. Such texts hold no line break.
func Text(s string) string { return escape(s, false) }

// Lines is Text, but it keeps line breaks and tabs.
func Lines(s string) string { return escape(s, true) }

// seen reports whether a character can stay.
func seen(r rune, lines bool) bool {
	if r == '\n' || r == '\t' {
		return lines
	}
	return unicode.IsGraphic(r)
}

func escape(s string, lines bool) string {
	clean := true
	for _, r := range s {
		if r == utf8.RuneError || !seen(r, lines) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case seen(r, lines):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		s = s[n:]
	}
	return b.String()
}

// Attr makes the texts of a log record visible. It is a slog.HandlerOptions.ReplaceAttr.
func Attr(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value; v.Kind() {
	case slog.KindString:
		if t := Lines(v.String()); t != v.String() {
			a.Value = slog.StringValue(t)
		}
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			a.Value = slog.StringValue(Lines(err.Error()))
		}
	}
	return a
}
