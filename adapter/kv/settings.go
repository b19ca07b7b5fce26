package kv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/kv/prefixes"
	"github.com/cocoframework/coco/adapter/setting"
)

// Settings are the adapter's section of the constitution.
type Settings struct {
	// Audiences says that rows may be written that only some organisations see. Programs before this setting have no table for them, and it
	// is off in a section without it: such a network may still have nodes with such a program.
	Audiences bool `json:"audiences"`
	// Format says what a write may be, and what is stored and claimed of it: see payloadFormat. By format 2 a value may have a media type,
	// and a condition may list versions. Programs before this setting know format 1 only, and it is what a section without the setting has:
	// such a network may still have nodes with such a program.
	Format        int `json:"format"`
	MaxBatchOps   int `json:"max_batch_ops"` // operations of one POST, and of one transaction
	MaxKeyBytes   int `json:"max_key_bytes"`
	MaxValueBytes int `json:"max_value_bytes"`
	// Prefixes are the rules about who may read and write keys that begin with a prefix, in JSON: see package prefixes. Programs before this
	// setting know no such rules, and a section without it has none.
	Prefixes json.RawMessage `json:"prefixes,omitempty"`
	// Resident says that rows may be written whose contents only the nodes of their audience have, for which Audiences must be set. As Audiences, it
	// is off in a section without it.
	Resident bool `json:"resident"`

	rules *prefixes.Rules // of Prefixes; nil without them
}

// DefaultSettings are filled in where the page of a new network leaves a setting out.
var DefaultSettings = Settings{Audiences: true, Format: 2, MaxKeyBytes: 1024, MaxValueBytes: 1 << 20, MaxBatchOps: 1000, Prefixes: json.RawMessage("{}"), Resident: true}

// residentRows is the name of a setting: see Settings.Resident.
const residentRows = "resident"

// CompleteSettings implements adapter.Adapter.
func (Adapter) CompleteSettings(page []byte) ([]byte, error) {
	s := DefaultSettings
	if err := s.read(page); err != nil {
		return nil, err
	}
	if err := s.validate(); err != nil {
		return nil, err
	}
	var rules map[string]map[string][]string
	err := json.Unmarshal(s.Prefixes, &rules)
	if err == nil {
		s.Prefixes, err = json.Marshal(rules) // in the order of the names, too
	}
	if err != nil {
		return nil, fmt.Errorf("%w: settings of kv: %s: %w", coco.ErrInvalid, prefixesName, err)
	}
	return json.Marshal(s) // canonical: the fields are in the order of their names
}

// ParseSettings reads complete settings from JSON.
func ParseSettings(text []byte) (s Settings, err error) {
	if err := s.read(text); err != nil {
		return s, err
	}
	var written map[string]json.RawMessage
	if err := json.Unmarshal(text, &written); err != nil {
		return s, fmt.Errorf("%w: settings of kv: %w", coco.ErrInvalid, err)
	}
	fields := s.fields()
	for _, name := range slices.Sorted(maps.Keys(written)) {
		if !slices.ContainsFunc(fields, func(f field) bool { return f.name == name }) && name != audiences && name != prefixesName && name != residentRows { // Go would read MAX_KEY_BYTES all the same
			return s, fmt.Errorf("%w: settings of kv: unknown field %q", coco.ErrInvalid, name)
		}
	}
	if _, given := written["format"]; !given {
		s.Format, written["format"] = 1, json.RawMessage("1")
	}
	for _, name := range []string{audiences, residentRows} {
		if string(written[name]) == "null" {
			return s, fmt.Errorf("%w: settings of kv: %s: expected true or false, found null", coco.ErrInvalid, name)
		}
	}
	for _, f := range fields {
		if v := written[f.name]; v == nil || string(v) == "null" {
			return s, fmt.Errorf("%w: settings of kv: %s is missing: what is stored must be complete, and no default of this program is filled in", coco.ErrInvalid, f.name)
		}
	}
	return s, s.validate()
}

// read overwrites s by the settings that a JSON object has.
func (s *Settings) read(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(s); err != nil {
		return fmt.Errorf("%w: settings of kv: %w", coco.ErrInvalid, err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("%w: settings of kv: expected one JSON object, found something after it", coco.ErrInvalid)
	}
	return nil
}

func (s *Settings) validate() error {
	for _, f := range s.fields() {
		if f.value < 1 || f.value > f.most {
			return fmt.Errorf("%w: settings of kv: %s: expected 1 to %d, found %d", coco.ErrInvalid, f.name, f.most, f.value)
		}
	}
	if s.Prefixes == nil {
		return nil
	}
	rules, err := prefixes.Parse(s.Prefixes)
	if err != nil {
		return fmt.Errorf("%w: settings of kv: %s: %w", coco.ErrInvalid, prefixesName, err)
	}
	s.rules = rules
	return nil
}

// admit says why a write is not executed by the settings in force.
func (s *Settings) admit(w *write) error {
	if err := s.checkAudience(w.to()); err != nil {
		return err
	}
	if w.to().resident { // what its key and value may be was for the node to judge that has them
		return nil
	}
	ops := w.ops
	if len(ops) > s.MaxBatchOps {
		return fmt.Errorf("%w: batch of %d operations: expected at most %d", coco.ErrInvalid, len(ops), s.MaxBatchOps)
	}
	for i := range ops {
		if err := s.check(&ops[i]); err != nil {
			return err
		}
	}
	return nil
}

// maxKeyBytes bounds max_key_bytes: a key travels in a URL, where it may need three times its length.
const maxKeyBytes = 4096

// field is one setting. Each is a number from 1 on.
type field struct {
	name    string
	value   int
	most    int
	meaning string
}

func (s *Settings) fields() []field {
	return []field{
		{"format", s.Format, 2, "what a write may be: from 2 on a value may have a content type, and a condition may list versions"},
		{"max_key_bytes", s.MaxKeyBytes, maxKeyBytes, "of a key that is put"},
		{"max_value_bytes", s.MaxValueBytes, 64 << 20, "of a value; `limits.body_bytes` of the constitution holds as well"},
		{"max_batch_ops", s.MaxBatchOps, 10_000, "operations of one `POST`"},
	}
}

// Settings implements adapter.Adapter.
func (Adapter) Settings() (t setting.Table) {
	for _, f := range DefaultSettings.fields() {
		s := setting.Setting{
			Name: f.name, Values: setting.Range{Min: 1, Max: uint64(f.most)}, Default: strconv.Itoa(f.value), Meaning: f.meaning, Takes: "the next write",
		}
		if f.name == "format" { // what is stored by a format stays
			s.Absent, s.Rises = "1", true
		}
		t = append(t, s)
	}
	t = append(t, setting.Setting{
		Name: prefixesName, Values: prefixes.Values{}, Default: "{}", Absent: "{}", Rules: 3, Takes: "the next request",
		Meaning: "who may read and write keys that begin with a prefix, see [Rules of prefixes](access.md#rules-of-prefixes)",
	})
	return append(t, setting.Setting{
		Name: audiences, Values: setting.Switch{}, Default: "true", Absent: "false", Rules: 3, Takes: "the next write",
		Meaning: "admits writes of rows that only some organisations see (`X-Coco-Audience`)",
	}, setting.Setting{
		Name: residentRows, Values: setting.Switch{}, Default: "true", Absent: "false", Rules: 3, Takes: "the next write",
		Meaning: "admits writes of rows whose contents only the nodes of their audience have (`X-Coco-Audience: …; resident`)",
	})
}

// CheckSettings implements adapter.Adapter.
func (Adapter) CheckSettings(section []byte) error {
	_, err := ParseSettings(section)
	return err
}
