package settings

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
)

func TestSettingsHaveOneForm(t *testing.T) {
	for _, c := range []struct {
		given any
		want  string
	}{
		{5.0, "5"},
		{uint8(5), "5"},
		{json.Number("5"), "5"},
		{json.Number("5e0"), "5"},
		{json.Number("-0"), "0"},
		{json.Number("123456789012345678901234567890"), "123456789012345678901234567890"},
		{[]string{"<b>", "a"}, `["<b>","a"]`},
		{map[string]any{"b": 1, "a": nil, "": true}, `{"":true,"b":1}`},
		{json.RawMessage(`{"x": [1.50]}`), `{"x":[1.5]}`},
	} {
		v, err := Value("x", "y", c.given)
		if err != nil {
			t.Fatal(err)
		}
		text, err := JSON(v)
		if err != nil || string(text) != c.want {
			t.Errorf("%v is %s, expected %s (%v)", c.given, text, c.want, err)
		}
		parsed, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Value("x", "y", parsed)
		if err != nil {
			t.Fatal(err)
		}
		if twice, err := JSON(again); err != nil || string(twice) != c.want {
			t.Errorf("%s came back as %s (%v)", c.want, twice, err)
		}
	}
	for _, given := range []any{nil, math.Inf(1), "\xff", []any{nil}, time.Time{}, json.Number("0x1"), json.Number(strings.Repeat("1", 200)), func() {}} {
		if _, err := Value("x", "y", given); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "x.y") {
			t.Errorf("%v: error %v, expected coco.ErrInvalid about x.y", given, err)
		}
	}
	if FitsTOML(json.Number("18446744073709551616")) || !FitsTOML(json.Number("7")) {
		t.Error("TOML's integers have 64 bits")
	}
}
