package decide

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/settings"
)

// values are the settings of a constitution under change.
type values struct {
	number func(path string, n int64) (was int64, err error) // changes one of the core's
	// added changes one that a version of the rules added; it is not ok if the rules in force have none of that name.
	added    func(path string, value []byte) (was any, ok bool, err error)
	adapters map[string]map[string]any
	changed  map[string]bool // adapters whose settings changed
}

func (v values) set(a *action.Action) (Effect, error) {
	x := &a.Args
	if e, ok, err := v.setAdded(a); ok {
		return e, err
	}
	section, rest, _ := strings.Cut(x.Setting, ".")
	switch section {
	case "limits", "snapshots", "shares", "rules":
		return v.setNumber(a)
	case "adapters":
		return v.setAdapter(a, rest)
	case "network", "ledger", "consensus":
		return Effect{}, impossible(reason.FixedSetting, x.Setting, "")
	case "members", "participants", "code", "tee", "policies", "version":
		return Effect{}, impossible(reason.OtherAction, section, "")
	}
	return Effect{}, impossible(reason.UnknownSetting, x.Setting, "")
}

func (v values) setAdded(a *action.Action) (e Effect, ok bool, err error) {
	x := &a.Args
	was, ok, err := v.added(x.Setting, []byte(x.Value))
	if !ok || err != nil {
		return Effect{}, ok, err
	}
	normal, err := settings.Value("", x.Setting, was)
	if err != nil {
		return Effect{}, true, err
	}
	before, err := settings.JSON(normal)
	if err == nil && string(before) == x.Value {
		err = impossible(reason.Unchanged, x.Setting, "")
	}
	return Effect{Kind: SettingChanged, Subject: x.Setting, Value: x.Value, Before: string(before)}, true, err
}

func (v values) setNumber(a *action.Action) (Effect, error) {
	x := &a.Args
	var n int64
	if err := json.Unmarshal([]byte(x.Value), &n); err != nil {
		return Effect{}, impossible(reason.NotANumber, x.Setting, "")
	}
	was, err := v.number(x.Setting, n)
	if err != nil {
		return Effect{}, err
	}
	if was == n {
		return Effect{}, impossible(reason.Unchanged, x.Setting, "")
	}
	return Effect{Kind: SettingChanged, Subject: x.Setting, Value: strconv.FormatInt(n, 10), Before: strconv.FormatInt(was, 10)}, nil
}

func (v values) setAdapter(a *action.Action, rest string) (Effect, error) {
	x := &a.Args
	path := strings.Split(rest, ".")
	name := path[0]
	table, ok := v.adapters[name]
	if !ok {
		return Effect{}, impossible(reason.UnknownAdapter, name, "")
	}
	if len(path) < 2 || slices.Contains(path, "") {
		return Effect{}, impossible(reason.NoSetting, x.Setting, "")
	}
	value, err := settings.Parse([]byte(x.Value))
	if err != nil {
		return Effect{}, because(reason.BadValue, x.Setting, err)
	}
	next, was, ok := replace(table, path[1:], value)
	if !ok {
		return Effect{}, impossible(reason.NotATable, x.Setting, "")
	}
	before := ""
	if was != nil {
		text, err := settings.JSON(was)
		if err != nil {
			return Effect{}, err
		}
		if string(text) == x.Value {
			return Effect{}, impossible(reason.Unchanged, x.Setting, "")
		}
		before = string(text)
	}
	v.adapters[name], v.changed[name] = next, true
	return Effect{Kind: SettingChanged, Subject: x.Setting, Value: x.Value, Before: before}, nil
}

// replace returns a copy of a table with another value at path; was is the value there before. It is not ok
// if the path leads through a value that is no table.
func replace(table map[string]any, path []string, value any) (next map[string]any, was any, ok bool) {
	next = make(map[string]any, len(table)+1)
	for k, v := range table {
		next[k] = v
	}
	if len(path) == 1 {
		was, next[path[0]] = table[path[0]], value
		return next, was, true
	}
	below, ok := table[path[0]].(map[string]any)
	if !ok && table[path[0]] != nil {
		return nil, nil, false
	}
	next[path[0]], was, ok = replace(below, path[1:], value)
	return next, was, ok
}
