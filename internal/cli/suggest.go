package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// unknownWord is an error about a word that is none of those expected, such as *action.UnknownKindError.
type unknownWord interface {
	error
	// Word returns the word that was found, and those that were expected.
	Word() (found string, expected []string)
}

// didYouMean is the end of a message about a word that is none of those expected: the nearest of them, or nothing if
// none is near.
func didYouMean(found string, expected []string) string {
	if near := nearest(found, expected); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// nearest returns the word that the fewest edits, at most one for every three letters, make of what was found, or the
// only one that begins with it. Case, and underscores for dashes, do not count.
func nearest(found string, expected []string) string {
	plain := func(s string) string { return strings.ReplaceAll(strings.ToLower(s), "_", "-") }
	word := plain(found)
	best, least := "", max(1, len(word)/3)+1
	var begin []string
	for _, e := range expected {
		if len(word) > 1 && strings.HasPrefix(plain(e), word) {
			begin = append(begin, e)
		}
		if d := edits(word, plain(e)); d < least {
			best, least = e, d
		}
	}
	if best == "" && len(begin) == 1 {
		return begin[0]
	}
	return best
}

// edits counts the insertions, deletions, substitutions and swaps of neighbours that make b of a, each letter being
// touched once at most (the optimal string alignment distance).
func edits(a, b string) int {
	before, last := []int(nil), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// commandNames are the commands below a command, as help shows them.
func commandNames(cmd *cobra.Command) (names []string) {
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// flagNames are the flags of a command, as help shows them.
func flagNames(cmd *cobra.Command) (names []string) {
	add := func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	}
	cmd.Flags().VisitAll(add)
	cmd.InheritedFlags().VisitAll(add)
	slices.Sort(names)
	return slices.Compact(names)
}
