package constitution

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/reason"
	"github.com/cocoframework/coco/gov/settings"
)

const (
	maxAdapters = 64
	// MaxSettings bounds one adapter's settings in JSON. A genesis state of some 100,000 accounts
	// fits.
	MaxSettings = 48 << 20
)

// jsonKey is how the TOML page holds settings that are too large for it: a string of JSON.
const jsonKey = "json"

// normalizeAdapters brings settings into the one form that their meaning has: maps, lists, strings,
// booleans and numbers (json.Number, integers without a point or exponent), and from them canonical
// JSON: UTF-8, keys in order of their bytes, no white space.
func (c *Constitution) normalizeAdapters(done *completed) error {
	if len(c.Adapters) > maxAdapters {
		return invalid("adapters", reason.TooMany, "expected at most %d, found %d", maxAdapters, len(c.Adapters))
	}
	adapters := map[string]map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(c.Adapters)) {
		table, text, err := normalizeAdapter(name, c.Adapters[name])
		if err != nil {
			return err
		}
		adapters[name], done.settings[name] = table, text
	}
	c.Adapters = adapters
	return nil
}

func normalizeAdapter(name string, given map[string]any) (map[string]any, []byte, error) {
	path := "adapters." + name
	if !isWord(name) {
		return nil, nil, invalid(path, reason.BadForm, "expected a word of lower-case letters, digits, - and _ as the adapter's name")
	}
	if _, ok := given[jsonKey]; ok {
		return nil, nil, invalid(path+"."+jsonKey, reason.BadForm, "the name is reserved for settings written as JSON")
	}
	table, err := settings.Normalize(path, given)
	if err != nil {
		return nil, nil, &reason.Error{Reason: reason.New(reason.BadValue, path, ""), Detail: strings.TrimPrefix(err.Error(), coco.ErrInvalid.Error()+": ")}
	}
	text, err := settings.JSON(table)
	if err != nil {
		return nil, nil, invalid(path, reason.BadValue, "%v", err)
	}
	if len(text) > MaxSettings {
		return nil, nil, invalid(path, reason.TooLong, "expected at most %d bytes of settings, found %d", MaxSettings, len(text))
	}
	return table, text, nil
}

// CompleteSettings returns the settings of an adapter, in JSON, with a value for each setting that is left out. It
// refuses settings that the adapter does not open with. The error is coco.ErrInvalid.
type CompleteSettings func(adapter string, settings []byte) ([]byte, error)

// CompleteNew is Complete for the constitution of a new network, of which the adapters complete their settings: what
// is stored, hashed and approved leaves nothing to the programs that will read it. Nothing else fills settings in.
func (c *Constitution) CompleteNew(complete CompleteSettings) error {
	if err := c.Complete(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Adapters)) {
		text, err := complete(name, c.Settings(name))
		if err != nil {
			return err
		}
		v, err := settings.Parse(text)
		if err != nil {
			return invalid("adapters."+name, reason.BadValue, "%v", err)
		}
		table, ok := v.(map[string]any)
		if !ok {
			return invalid("adapters."+name, reason.BadForm, "expected a JSON object")
		}
		c.Adapters[name] = table
	}
	return c.Complete()
}

// normalizeSome is normalizeAdapters for a constitution of which only some adapters' settings differ
// from the old one's. Settings that the old one has not loaded stay so.
func (c *Constitution) normalizeSome(done *completed, old *Constitution, changed map[string]bool) error {
	maps.Copy(done.settings, old.done.settings)
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		table, text, err := normalizeAdapter(name, c.Adapters[name])
		if err != nil {
			return err
		}
		c.Adapters[name], done.settings[name], done.digests[name] = table, text, sha256.Sum256(text)
	}
	return nil
}

// expandJSON replaces the key json of an adapter's settings, as parsed from TOML, by what its text
// says.
func expandJSON(name string, table map[string]any) error {
	v, ok := table[jsonKey]
	if !ok {
		return nil
	}
	path := "adapters." + name + "." + jsonKey
	text, ok := v.(string)
	if !ok {
		return invalid(path, reason.BadForm, "expected a string that holds a JSON object, found %T", v)
	}
	if len(text) > MaxSettings {
		return invalid(path, reason.TooLong, "expected at most %d bytes, found %d", MaxSettings, len(text))
	}
	parsed, err := settings.Parse([]byte(text))
	if err != nil {
		return invalid(path, reason.BadValue, "%v", err)
	}
	object, ok := parsed.(map[string]any)
	if !ok {
		return invalid(path, reason.BadForm, "expected a JSON object")
	}
	delete(table, jsonKey)
	for k, v := range object {
		if _, ok := table[k]; ok {
			return invalid("adapters."+name+"."+k, reason.Duplicate, "set twice: as TOML and in %s", path)
		}
		table[k] = v
	}
	return nil
}
