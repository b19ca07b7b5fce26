package kv

import (
	"errors"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
)

// A page that leaves a setting out means this in version 1 of the rules. What must change is set on the pages of new
// networks.
func TestDefaultsArePartOfTheFormat(t *testing.T) {
	const want = `{"audiences":true,"format":2,"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576,"prefixes":{},"resident":true}`
	if got, err := (Adapter{}).CompleteSettings([]byte("{}")); err != nil || string(got) != want {
		t.Errorf("%s, %v, expected %s", got, err, want)
	}
}

func TestSettingsAreCompletedOnce(t *testing.T) {
	for page, want := range map[string]string{
		`{"max_key_bytes":7}`: `{"audiences":true,"format":2,"max_batch_ops":1000,"max_key_bytes":7,"max_value_bytes":1048576,"prefixes":{},"resident":true}`,
		`{"max_key_bytes":4096,"max_value_bytes":67108864,"max_batch_ops":10000}`:  `{"audiences":true,"format":2,"max_batch_ops":10000,"max_key_bytes":4096,"max_value_bytes":67108864,"prefixes":{},"resident":true}`,
		`{"prefixes":{"b&</":{"write":[]},"a/":{"write":["y"],"read":["y","x"]}}}`: `{"audiences":true,"format":2,"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576,"prefixes":{"a/":{"read":["y","x"],"write":["y"]},"b\u0026\u003c/":{"write":[]}},"resident":true}`,
	} {
		got, err := Adapter{}.CompleteSettings([]byte(page))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v, expected %s", page, got, err, want)
		}
		if again, err := (Adapter{}).CompleteSettings(got); err != nil || string(again) != want {
			t.Errorf("%s: completed twice: %s, %v", page, again, err)
		}
		if _, err := ParseSettings(got); err != nil {
			t.Error(err)
		}
	}
	for _, text := range []string{
		"", " \n", "x", "[]", `"a"`, `{"max_keys":1}`, `{"max_key_bytes":"7"}`, `{"max_key_bytes":0}`, `{"max_key_bytes":4097}`,
		`{"max_value_bytes":67108865}`, `{"audiences":1}`, `{"format":0}`, `{"format":3}`, `{"prefixes":null}`, `{"prefixes":[]}`, `{"prefixes":{"a":{"read":null}}}`, `{"format":"2"}`, `{"max_batch_ops":-1}`, `{"max_batch_ops":10001}`, `{} {}`, `{`,
	} {
		if got, err := (Adapter{}).CompleteSettings([]byte(text)); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

func TestSettingsThatAreNotCompleteDoNotOpen(t *testing.T) {
	for text, missing := range map[string]string{
		`{}`: "max_key_bytes is missing",
		`{"max_batch_ops":1000,"max_key_bytes":1024}`:                                                       "max_value_bytes is missing",
		`{"max_batch_ops":null,"max_key_bytes":1024,"max_value_bytes":1048576}`:                             "max_batch_ops is missing",
		`{"MAX_BATCH_OPS":1000,"max_key_bytes":1024,"max_value_bytes":1048576}`:                             `unknown field "MAX_BATCH_OPS"`,
		`{"format":null,"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576}`:               "format is missing",
		`{"audiences":null,"format":2,"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576}`: "audiences: expected true or false, found null",
		`{"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576,"prefixes":null}`:             "prefixes: expected",
		`{"PREFIXES":{},"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576}`:               `unknown field "PREFIXES"`,
		`{"FORMAT":2,"max_batch_ops":1000,"max_key_bytes":1024,"max_value_bytes":1048576}`:                  `unknown field "FORMAT"`,
	} {
		_, err := Adapter{}.Open(adapter.Env{Settings: []byte(text)})
		if !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), missing) {
			t.Errorf("%s: error %v, expected that %s", text, err, missing)
		}
		if err := (Adapter{}).CheckSettings([]byte(text)); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("%s: error %v, expected coco.ErrInvalid", text, err)
		}
	}
}
