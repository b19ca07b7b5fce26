package settings

import (
	"bytes"
	"encoding/json"
	"testing"
)

// The bytes are hashed. They are spelt out, so that no release of a library or of this program changes them unnoticed.
func TestTheCanonicalFormIsSpeltOut(t *testing.T) {
	v := map[string]any{
		"b": []any{json.Number("1"), true, "ä<&>\u2028"}, "a": "\"\\/\b\f\n\r\t\x00\x1f\x7f", "A": map[string]any{},
		"f": json.Number(decimal(0.5)), "g": json.Number(decimal(1e-7)), "h": json.Number(decimal(1.5e300)),
	}
	const want = `{"A":{},"a":"\"\\/\b\f\n\r\t\u0000\u001f` + "\x7f" + `","b":[1,true,"ä<&>\u2028"],"f":0.5,"g":1e-7,"h":1.5e+300}`
	got, err := JSON(v)
	if err != nil || string(got) != want {
		t.Errorf("found    %s (%v)\nexpected %s", got, err, want)
	}
	if _, err := JSON(map[string]any{"x": 1}); err == nil {
		t.Error("a value that is not in its one form is encoded")
	}
}

// Today's package encoding/json writes the same. Where a later one does not, this test goes and the form stays.
func FuzzTheCanonicalFormIsThatOfTheLibrary(f *testing.F) {
	for _, s := range []string{"a", "\b\f\v\x00\u2028\u2029", "\"\\<>&", "\U0001f600"} {
		f.Add(s, 0.1)
	}
	f.Add("", 1e-6)
	f.Add("", 9.999999e20)
	f.Add("", 1e21)
	f.Add("", -2.5e-9)
	f.Fuzz(func(t *testing.T, s string, x float64) {
		v, err := Normalize("x", map[string]any{"s": s, s: x})
		if err != nil {
			return
		}
		got, err := JSON(v)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		if string(got)+"\n" != want.String() {
			t.Errorf("found %s, package json writes %s", got, want.Bytes())
		}
	})
}
