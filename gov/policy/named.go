package policy

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// named are the policies that people know by a name.
var named = []struct{ name, expr string }{
	{"majority", Majority},
	{"unanimous", Unanimous},
	{"weighted majority", Weighted},
	{"veto", Veto},
	{"seconded", Seconded},
}

var mOfN = regexp.MustCompile(`^([1-9][0-9]{0,5}) of ([1-9][0-9]{0,5})$`)

var mVotes = regexp.MustCompile(`^votes\.yes >= ([1-9][0-9]{0,5})$`)

// Names are the names that Named knows, as people write them.
func Names() []string {
	var out []string
	for _, n := range named {
		out = append(out, n.name)
	}
	return append(out, "M of N")
}

// Named returns the expression of a policy that has a name: majority, unanimous, weighted majority, veto, seconded, or
// M of N, as "2 of 3". members is N, how many members the network must have for the name to be true, and 0 for the others.
// It is not ok if the text is no such name.
func Named(name string) (expr string, members int, ok bool) {
	name = strings.TrimSpace(name)
	for _, n := range named {
		if n.name == name {
			return n.expr, 0, true
		}
	}
	found := mOfN.FindStringSubmatch(name)
	if found == nil {
		return "", 0, false
	}
	m, _ := strconv.Atoi(found[1])
	n, _ := strconv.Atoi(found[2])
	return MofN(m), n, m <= n
}

// NameOf returns the name of a policy in a network of so many members, empty if it has none. Only the very text that Named
// returns has one: the program does not try to prove that two expressions mean the same.
func NameOf(expr string, members int) string {
	for _, n := range named {
		if n.expr == expr {
			return n.name
		}
	}
	found := mVotes.FindStringSubmatch(expr)
	if found == nil {
		return ""
	}
	if m, _ := strconv.Atoi(found[1]); m > members {
		return ""
	}
	return fmt.Sprintf("%s of %d", found[1], members)
}
