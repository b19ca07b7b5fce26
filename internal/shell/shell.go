// Package shell writes words for a shell.
//
// The program tells people which command comes next, with the names of their own folders and files in it. What it
// prints can be pasted into a POSIX shell whatever those names hold: spaces, quotes, a $ or a line break.
//
// Trust: host
package shell

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Quote returns s as one word of a POSIX shell (IEEE Std 1003.1-2024, Shell Command Language, 2.2 Quoting). A word that
// needs no quotes has none. What cannot be seen is written as in $'\033', so that a terminal shows what the shell reads.
func Quote(s string) string {
	switch {
	case plain(s):
		return s
	case visible(s):
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	// A hexadecimal escape ends after two digits in the shells that have it, but the standard leaves that open; an octal
	// one ends after three everywhere.
	var b strings.Builder
	b.WriteString("$'")
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '\'' || r == '\\':
			b.WriteString(`\` + s[:n])
		case n == 1 && r == utf8.RuneError || !unicode.IsGraphic(r):
			for _, c := range []byte(s[:n]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		default:
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String() + "'"
}

// plain reports whether no shell reads anything else in s than its characters.
func plain(s string) bool {
	if s == "" {
		return false
	}
	for _, r := range s {
		if r >= 0x80 || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/._-+:@%,", r) {
			return false
		}
	}
	return true
}

func visible(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}
