// Package setting describes what an adapter's section of the constitution holds: for each setting its values, its
// default, and whether members may change it by a vote. An adapter lists its settings in one Table; the core
// checks votes by it, and the documentation is made of it.
//
// # What a vote may change
//
// A vote may change a setting on which neither the state so far nor its re-execution depends: a limit, or what the blocks and
// calls after the vote go by. Settings are checked one by one and when they are proposed only, so those of a
// Table MUST be independent: if each has one of its values, the adapter opens, whatever the others have.
//
// Trust: either
package setting

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Setting is one setting.
type Setting struct {
	// Name is its name in the adapter's section. A setting in a table has the table's name and a dot before its own.
	Name string
	// Values are those that a new network may have, and that a vote may set. Those of a network that exists may be others: an
	// earlier release may have taken more. It is nil if Fixed is set and the values are not for people.
	Values Values
	// Default is what the page of a new network is completed with, in JSON; empty if there is none.
	Default string
	// Absent is what a stored section means that lacks the setting, because the release that founded its network did not know
	// it, in JSON: what that release did. It is empty if no section lacks it.
	Absent string
	// Meaning says for documentation what the setting is.
	Meaning string
	// Takes says for documentation from when on a vote counts, such as "the next block".
	Takes string
	// Fixed says why no vote changes the setting; empty if one may.
	Fixed string
	// Rises says that a vote may raise the setting, a number, and not lower it.
	Rises bool
	// Rules are the first rules of the constitution by which a vote may change the setting; 0 is the first that let votes
	// change adapters' settings at all.
	Rules uint64
}

// votes are the first rules by which votes may change adapters' settings. Programs that know only earlier ones read their
// adapters' settings when they start.
const votes = 2

// since returns the first rules by which a vote may change the setting.
func (s *Setting) since() uint64 { return max(s.Rules, votes) }

// check says why a vote may not put a value in the place of another one, both in JSON; was is nil if the section lacks the setting.
func (s *Setting) check(rules uint64, was, value []byte) error {
	if s.Fixed != "" {
		return fmt.Errorf("no vote can change %s: %s", s.Name, s.Fixed)
	}
	if rules < s.since() {
		return fmt.Errorf("%s can be changed by a vote from rules %d on, and this network has rules %d: propose set rules %d first, which older programs of nodes may not know",
			s.Name, s.since(), rules, s.since())
	}
	if err := s.Values.Check(value); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	if !s.Rises {
		return nil
	}
	text := was
	if was == nil {
		text = []byte(s.Absent)
	}
	least, err := strconv.ParseUint(string(text), 10, 64)
	if was == nil { // that it is what it is may be accepted after it was raised
		least++
	}
	if err == nil && (Range{least, math.MaxUint64}).Check(value) != nil {
		return fmt.Errorf("a vote may raise %s, and not lower it: expected at least %d, found %s", s.Name, least, value)
	}
	return nil
}

// Table are the settings of one adapter.
type Table []Setting

// find returns the setting of a name; nil if there is none.
func (t Table) find(name string) *Setting {
	if i := slices.IndexFunc(t, func(s Setting) bool { return s.Name == name }); i >= 0 {
		return &t[i]
	}
	return nil
}

// Voted returns the names of the settings that votes may change, in order.
func (t Table) Voted() (names []string) {
	for _, s := range t {
		if s.Fixed == "" {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return names
}

// CheckChange says why no vote under some rules may put one section in the place of another, both in JSON. The
// caller says of which adapter they are, and gives the error its kind.
func (t Table) CheckChange(rules uint64, old, next []byte) error {
	was, err := t.flat(old)
	if err != nil {
		return err
	}
	is, err := t.flat(next)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if bytes.Equal(was[name], is[name]) {
			continue
		}
		s := t.find(name)
		if s == nil {
			return fmt.Errorf("there is no setting %s that a vote could change: expected one of %s", name, strings.Join(t.Voted(), ", "))
		}
		if err := s.check(rules, was[name], is[name]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(was)) {
		if is[name] == nil {
			return fmt.Errorf("%s would be left out: expected a value for it", name)
		}
	}
	return nil
}

// flat returns the settings of a section by their names. What is no setting of the table has the name that it would have.
func (t Table) flat(section []byte) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	return out, t.flatten(out, "", section)
}

func (t Table) flatten(out map[string]json.RawMessage, path string, section []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(section, &all); err != nil || all == nil {
		return fmt.Errorf("%s: expected a table, found %.40s", strings.TrimSuffix(path, "."), section)
	}
	for name, v := range all {
		within := path + name + "."
		if !slices.ContainsFunc(t, func(s Setting) bool { return strings.HasPrefix(s.Name, within) }) {
			out[path+name] = v
		} else if err := t.flatten(out, within, v); err != nil {
			return err
		}
	}
	return nil
}

// Markdown returns the table of an adapter's settings for docs/tables.md, in the order of their names, tables last.
func (t Table) Markdown() string {
	sorted := slices.SortedFunc(slices.Values(t), func(a, b Setting) int {
		if x, y := strings.Count(a.Name, "."), strings.Count(b.Name, "."); x != y {
			return x - y
		}
		return strings.Compare(a.Name, b.Name)
	})
	var b strings.Builder
	b.WriteString("| setting | | values | default | by a vote |\n|---|---|---|---|---|\n")
	for _, s := range sorted {
		values, standard, vote := "–", "–", "from "+s.Takes+" on"
		if s.Values != nil {
			values = s.Values.String()
		}
		if s.Default != "" {
			standard = "`" + strings.Trim(s.Default, `"`) + "`"
		}
		if s.Absent != "" {
			standard += "; absent in older ledgers: `" + strings.Trim(s.Absent, `"`) + "`"
		}
		if s.Rises {
			vote += ", upwards only"
		}
		if s.since() > votes {
			vote += fmt.Sprintf(", since rules %d", s.since())
		}
		if s.Fixed != "" {
			vote = "no: " + s.Fixed
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Name, s.Meaning, values, standard, vote)
	}
	return b.String()
}
