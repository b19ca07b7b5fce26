package setting

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Values are what a setting may be. Values that a later release adds or takes away MUST NOT keep an older ledger from
// opening: what opens is for the adapter to say.
type Values interface {
	// Check says why a value, in JSON, is none of them. Its error says what was expected and what was found.
	Check(value []byte) error
	// String says what they are, for documentation.
	String() string
	// Ends returns the values, in JSON, between which all others are: the least and the most of numbers, or all, if there are few.
	// What works with these works with each.
	Ends() []string
}

// Range are the whole numbers from Min to Max.
type Range struct{ Min, Max uint64 }

// Check implements Values.
func (r Range) Check(value []byte) error {
	n, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil || n < r.Min || n > r.Max {
		return fmt.Errorf("expected a whole number from %d to %d, found %s", r.Min, r.Max, clip(value))
	}
	return nil
}

func (r Range) String() string { return fmt.Sprintf("%d to %d", r.Min, r.Max) }

// Ends implements Values.
func (r Range) Ends() []string {
	return []string{strconv.FormatUint(r.Min, 10), strconv.FormatUint(r.Max, 10)}
}

// Words are texts, in the order in which people read them.
type Words []string

// Check implements Values.
func (w Words) Check(value []byte) error {
	var s string
	if json.Unmarshal(value, &s) != nil || !slices.Contains(w, s) {
		return fmt.Errorf("expected one of %s, found %s", strings.Join(w, ", "), clip(value))
	}
	return nil
}

func (w Words) String() string { return "`" + strings.Join(w, "`, `") + "`" }

// Ends implements Values.
func (w Words) Ends() (ends []string) {
	for _, s := range w {
		ends = append(ends, strconv.Quote(s))
	}
	return ends
}

// Switch is true or false.
type Switch struct{}

// Check implements Values.
func (Switch) Check(value []byte) error {
	if s := string(value); s != "true" && s != "false" {
		return fmt.Errorf("expected true or false, found %s", clip(value))
	}
	return nil
}

func (Switch) String() string { return "`true`, `false`" }

// Ends implements Values.
func (Switch) Ends() []string { return []string{"true", "false"} }

// clip shortens a value that is shown in an error.
func clip(value []byte) string {
	if len(value) > 60 {
		return string(value[:60]) + "…"
	}
	return string(value)
}
