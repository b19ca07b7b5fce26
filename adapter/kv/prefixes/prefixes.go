// Package prefixes decides who may read and who may write keys of kv, by the rules that members have voted about the beginnings of keys.
//
//	{"settlement/": {"read": ["acme", "bank"], "write": ["bank"]}, "archive/": {"write": []}}
//
// A rule lists organisations, by their ids or names, and roles (role:member, role:participant). A list that is left out admits every caller, an empty one
// nobody. A key obeys every rule whose prefix it begins with, so a rule takes away and never gives: neither a longer prefix nor an
// audience opens what another rule closes. Whoever may not read a key may not write it either, because the answer to a write tells what was there.
//
// What a caller may not read is answered as what does not exist. [Rules.View] is how: a reader of the caller's rows, which steps over all others without looking
// at them. It says nothing of receipts and digests: the adapter asks [Rules.MayRead] and [Rules.MayReadAll] for these.
//
// Trust: enclave
package prefixes

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/store"
)

const (
	maxRules  = 64   // prefixes of a network
	maxListed = 64   // entries of one list
	maxPrefix = 1024 // bytes
	maxEntry  = 256  // bytes
)

// Rules are the rules of a network. Nil, and the zero Rules, are none: every caller may read and write every key. They are never changed.
type Rules struct {
	all []rule // by their prefixes, rising
}

// rule is who may read and write the keys that begin with a prefix.
type rule struct {
	prefix      []byte
	read, write *list // nil: every caller
}

// list is who is admitted.
type list struct {
	ids   []coco.ActorID
	names []string
	roles []coco.Role
}

// Roles of a list, with this before the role.
const roleEntry = "role:"

// Parse reads rules from a JSON object. The error says what was expected and has no kind.
func Parse(text []byte) (*Rules, error) {
	var in map[string]map[string]*[]string
	if err := json.Unmarshal(text, &in); err != nil || in == nil {
		return nil, fmt.Errorf(`expected {"PREFIX": {"read": ["ORGANISATION", …], "write": […]}}, found %s`, clip(string(text)))
	}
	if len(in) > maxRules {
		return nil, fmt.Errorf("expected at most %d prefixes, found %d", maxRules, len(in))
	}
	r := new(Rules)
	for _, prefix := range slices.Sorted(maps.Keys(in)) {
		one, err := parseRule(prefix, in[prefix])
		if err != nil {
			return nil, fmt.Errorf("prefix %q: %w", clip(prefix), err)
		}
		r.all = append(r.all, one)
	}
	return r, nil
}

func parseRule(prefix string, in map[string]*[]string) (rule, error) {
	if len(prefix) > maxPrefix {
		return rule{}, fmt.Errorf("expected at most %d bytes, found %d", maxPrefix, len(prefix))
	}
	one := rule{prefix: []byte(prefix)}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if name != "read" && name != "write" || in[name] == nil {
			return rule{}, fmt.Errorf("expected read and write, each with a list of organisations, found %q", clip(name))
		}
		l, err := parseList(*in[name])
		if err != nil {
			return rule{}, fmt.Errorf("%s: %w", name, err)
		}
		if name == "read" {
			one.read = l
		} else {
			one.write = l
		}
	}
	if one.read == nil && one.write == nil {
		return rule{}, errors.New("expected read or write, found neither")
	}
	if extra := one.writesUnread(); extra != "" {
		return rule{}, fmt.Errorf("write lists %s, and read does not: whoever writes a key is told what was there, so it must read it", extra)
	}
	return one, nil
}

// writesUnread returns an entry of write that read does not have; empty if there is none. A role of read may have every organisation in it.
func (r *rule) writesUnread() string {
	if r.read == nil || r.write == nil {
		return ""
	}
	for _, role := range r.write.roles {
		if !slices.Contains(r.read.roles, role) {
			return roleEntry + string(role)
		}
	}
	if len(r.read.roles) > 0 {
		return ""
	}
	for _, id := range r.write.ids {
		if !slices.Contains(r.read.ids, id) {
			return id.String()
		}
	}
	for _, name := range r.write.names {
		if !slices.Contains(r.read.names, name) {
			return fmt.Sprintf("%q", name)
		}
	}
	return ""
}

func parseList(in []string) (*list, error) {
	if len(in) > maxListed {
		return nil, fmt.Errorf("expected at most %d entries, found %d", maxListed, len(in))
	}
	l := new(list)
	for i, entry := range in {
		if slices.Contains(in[:i], entry) {
			return nil, fmt.Errorf("%q is listed twice", clip(entry))
		}
		role, isRole := strings.CutPrefix(entry, roleEntry)
		id, isID := idOf(entry)
		switch {
		case isRole && role != string(coco.Member) && role != string(coco.Participant):
			return nil, fmt.Errorf("expected %s%s or %s%s, found %q", roleEntry, coco.Member, roleEntry, coco.Participant, clip(entry))
		case isRole:
			l.roles = append(l.roles, coco.Role(role))
		case isID:
			l.ids = append(l.ids, id)
		case entry == "" || len(entry) > maxEntry:
			return nil, fmt.Errorf("expected the name or the id of an organisation, or a role, found %q", clip(entry))
		default:
			l.names = append(l.names, entry)
		}
	}
	return l, nil
}

// idOf reads an id. A text that may be one is no name, whatever organisations are called.
func idOf(entry string) (id coco.ActorID, ok bool) {
	b, err := hex.DecodeString(entry)
	if err != nil || len(b) != len(id) {
		return id, false
	}
	return coco.ActorID(b), true
}

func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}

// admits reports whether a caller is on the list; every one is on none. A user of an organisation is where the organisation is.
func (l *list) admits(caller *coco.Caller) bool {
	return l == nil || slices.Contains(l.ids, caller.Actor) || slices.Contains(l.names, caller.Name) || slices.Contains(l.roles, caller.Role)
}

// MayRead reports whether a caller may know what a key has, had, and whether it exists.
func (r *Rules) MayRead(caller *coco.Caller, key []byte) bool {
	if r == nil {
		return true
	}
	for i := range r.all {
		if bytes.HasPrefix(key, r.all[i].prefix) && !r.all[i].read.admits(caller) {
			return false
		}
	}
	return true
}

// MayWrite reports whether a caller may put and delete a key. Nobody may who may not read it.
func (r *Rules) MayWrite(caller *coco.Caller, key []byte) bool {
	if r == nil {
		return true
	}
	for i := range r.all {
		one := &r.all[i]
		if bytes.HasPrefix(key, one.prefix) && !(one.read.admits(caller) && one.write.admits(caller)) {
			return false
		}
	}
	return true
}

// Hide reports whether there are keys that some callers may not read.
func (r *Rules) Hide() bool {
	return r != nil && slices.ContainsFunc(r.all, func(one rule) bool { return one.read != nil })
}

// MayReadAll reports whether a caller may read every key.
func (r *Rules) MayReadAll(caller *coco.Caller) bool {
	return r == nil || !slices.ContainsFunc(r.all, func(one rule) bool { return !one.read.admits(caller) })
}

// View returns what a caller may read of some rows, whose keys the rules are about. Hidden rows are not looked at, so they cost nothing either.
func (r *Rules) View(caller *coco.Caller, rows store.Reader) store.Reader {
	if r.MayReadAll(caller) {
		return rows
	}
	v := &view{rules: r, caller: *caller, rows: rows}
	for i := range r.all {
		if one := &r.all[i]; !one.read.admits(caller) {
			v.hidden = append(v.hidden, one.prefix)
		}
	}
	return v
}

// view is what one caller may read.
type view struct {
	rules  *Rules
	caller coco.Caller
	rows   store.Reader
	hidden [][]byte // prefixes, rising
}

// Get implements store.Reader.
func (v *view) Get(table string, key []byte) ([]byte, bool) {
	if !v.rules.MayRead(&v.caller, key) {
		return nil, false
	}
	return v.rows.Get(table, key)
}

// Range implements store.Reader.
func (v *view) Range(table string, from, to []byte, fn func(key, value []byte) bool) {
	going := true
	until := func(end []byte) {
		if end == nil || bytes.Compare(from, end) < 0 {
			v.rows.Range(table, from, end, func(key, value []byte) bool {
				going = fn(key, value)
				return going
			})
		}
	}
	for _, prefix := range v.hidden {
		behind := store.Behind(prefix)
		if behind != nil && bytes.Compare(behind, from) <= 0 {
			continue
		}
		if to != nil && bytes.Compare(prefix, to) >= 0 {
			break
		}
		if until(prefix); !going || behind == nil {
			return
		}
		from = behind
	}
	until(to)
}

// Named replaces names of organisations in rules by their ids, as actor knows them, and returns the rules in JSON. So they are for these
// organisations, whatever others are called later. The error is coco.ErrInvalid, and names one that there is not, or a writer who may not read by another rule.
func Named(text []byte, actor func(name string) (coco.ActorID, bool)) ([]byte, error) {
	if _, err := Parse(text); err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	var in map[string]map[string][]string
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	named := map[coco.ActorID]string{} // as the text has them
	for prefix, lists := range in {
		for name, entries := range lists {
			for i, entry := range entries {
				if _, isID := idOf(entry); isID || strings.HasPrefix(entry, roleEntry) {
					continue
				}
				id, ok := actor(entry)
				if !ok {
					return nil, fmt.Errorf("%w: prefix %q: %s: the constitution has no organisation %q", coco.ErrInvalid, clip(prefix), name, clip(entry))
				}
				entries[i], named[id] = id.String(), entry
			}
		}
	}
	out, err := json.Marshal(in, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	r, err := Parse(out) // a name and its id may stand in one list
	if err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	if at, by, id := r.writerUnread(); at != nil {
		return nil, fmt.Errorf("%w: prefix %q: write lists %q, and read of the prefix %q does not: a key obeys both rules, and whoever writes it must read it",
			coco.ErrInvalid, clip(string(at.prefix)), cmp.Or(named[id], id.String()), clip(string(by.prefix)))
	}
	return out, nil
}

// writerUnread returns a rule that lists an organisation as a writer, and a rule about all its keys by which this one does not read any; nil if there is none. A
// role of read may have every organisation in it.
func (r *Rules) writerUnread() (at, by *rule, id coco.ActorID) {
	for i := range r.all {
		for j := range r.all {
			at, by := &r.all[i], &r.all[j]
			if at.write == nil || by.read == nil || len(by.read.roles) > 0 || !bytes.HasPrefix(at.prefix, by.prefix) {
				continue
			}
			for _, id := range at.write.ids {
				if !slices.Contains(by.read.ids, id) {
					return at, by, id
				}
			}
		}
	}
	return nil, nil, id
}

// Values are the rules that a vote may set, as the table of settings describes them.
type Values struct{}

// Check implements setting.Values.
func (Values) Check(value []byte) error {
	_, err := Parse(value)
	return err
}

func (Values) String() string { return "lists of organisations and roles, by prefix" }

// Ends implements setting.Values.
func (Values) Ends() []string {
	return []string{`{}`, `{"a/":{"read":["role:member"],"write":[]}}`}
}
