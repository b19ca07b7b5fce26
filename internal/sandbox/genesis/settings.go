package genesis

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/settings"
)

// settable are the sections of a constitution's page of which a new network's settings are chosen one by one;
// adapters is another, whose settings are the adapters' own.
var settable = []string{"consensus", "ledger", "limits", "shares", "snapshots"}

// Set changes a constitution that is being made by settings of the form KEY=VALUE. A key is dotted, as
// ledger.chunk_bytes or adapters.kv.max_value_bytes; a value is JSON, or else a text. The adapters' own are
// checked when the constitution is completed. The error is coco.ErrInvalid.
func Set(c *constitution.Constitution, chosen []string) error {
	if err := c.Complete(); err != nil {
		return err
	}
	var page map[string]any
	if err := toml.Unmarshal(c.TOML(), &page); err != nil {
		return err
	}
	keys := known(page, c.Added())
	given := map[string]bool{}
	adapters := c.Adapters
	for _, text := range chosen {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return refuseSetting(text, "expected KEY=VALUE, such as ledger.chunk_bytes=1048576")
		}
		if given[key] {
			return refuseSetting(key, "it is set twice")
		}
		given[key] = true
		path := strings.Split(key, ".")
		switch {
		case slices.Contains(keys, key):
			fields := page[path[0]].(map[string]any)
			v, err := plain(value)
			if err != nil {
				return refuseSetting(key, "%v", err)
			}
			_, number := v.(int64)
			switch _, text := fields[path[1]].(string); {
			case text && number:
				v = value
			case !text && !number:
				return refuseSetting(key, "expected a whole number, found %q", value)
			}
			fields[path[1]] = v
		case path[0] != "adapters":
			return &UnknownSettingError{key, keys}
		default:
			if err := setAdapter(adapters, path, value); err != nil {
				return err
			}
		}
	}
	text, err := toml.Marshal(page)
	if err != nil {
		return err
	}
	made, err := constitution.Parse(text)
	if err != nil {
		return err
	}
	made.Adapters = adapters
	if err := made.Complete(); err != nil {
		return err
	}
	*c = *made
	return nil
}

func refuseSetting(key, format string, args ...any) error {
	return fmt.Errorf("%w: --set %s: %s", coco.ErrInvalid, key, fmt.Sprintf(format, args...))
}

// UnknownSettingError is a KEY that names no setting. It is coco.ErrInvalid.
type UnknownSettingError struct {
	Key   string
	Known []string
}

func (e *UnknownSettingError) Error() string {
	return refuseSetting(e.Key, "unknown setting: expected one of %s, or adapters.NAME.SETTING", strings.Join(e.Known, ", ")).Error()
}

func (e *UnknownSettingError) Unwrap() error { return coco.ErrInvalid }

// Word returns what was found, and the settings that there are.
func (e *UnknownSettingError) Word() (found string, expected []string) { return e.Key, e.Known }

// known returns the settings that a page with every default written out has, with those that versions of the rules added.
func known(page map[string]any, added []constitution.Added) (keys []string) {
	for _, section := range settable {
		fields, _ := page[section].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			keys = append(keys, section+"."+name)
		}
	}
	for _, s := range added {
		keys = append(keys, s.Path)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// setAdapter changes a setting of an adapter, below adapters.NAME.
func setAdapter(adapters map[string]map[string]any, path []string, value string) error {
	key := strings.Join(path, ".")
	if len(path) < 3 || slices.Contains(path, "") {
		return refuseSetting(key, "expected adapters.NAME.SETTING")
	}
	name, rest := path[1], path[2:]
	table, ok := adapters[name]
	if !ok {
		return refuseSetting(key, "a sandbox has no adapter %q: expected one of %s", name, strings.Join(slices.Sorted(maps.Keys(adapters)), ", "))
	}
	if rest[0] == "chain_id" {
		return refuseSetting(key, "the sandbox knows its chain by this number: use --chain-id")
	}
	for ; len(rest) > 1; rest = rest[1:] {
		if table[rest[0]] == nil {
			table[rest[0]] = map[string]any{}
		}
		below, ok := table[rest[0]].(map[string]any)
		if !ok {
			return refuseSetting(key, "%s is not a table", rest[0])
		}
		table = below
	}
	read, err := plain(value)
	if err != nil {
		return refuseSetting(key, "%v", err)
	}
	table[rest[0]] = read
	return nil
}

// plain reads a value as JSON, or takes it as a text. Numbers become what TOML can say where they can. JSON in which a name stands twice is an error.
func plain(value string) (any, error) {
	if !json.Valid([]byte(value)) {
		return value, nil
	}
	v, err := settings.Parse([]byte(value))
	if err != nil {
		return nil, err
	}
	if v == nil {
		return value, nil
	}
	if n, ok := v.(json.Number); ok {
		if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
			return i, nil
		}
	}
	return v, nil
}
