// Package settings brings settings of any shape, from TOML, from JSON or from Go, into the one form that
// their meaning has: maps, lists, strings, booleans and numbers (json.Number, integers without a
// point or exponent). null counts as absent.
//
// Trust: enclave
package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"github.com/cocoframework/coco"
)

const (
	maxDepth  = 32
	maxDigits = 128
)

func invalid(path, format string, args ...any) error {
	return fmt.Errorf("%w: constitution: %s: %s", coco.ErrInvalid, path, fmt.Sprintf(format, args...))
}

// Normalize returns a table in its one form. The error is coco.ErrInvalid and names the place, of
// which path is the beginning.
func Normalize(path string, m map[string]any) (map[string]any, error) { return table(path, m, 1) }

// Value returns the value at parent.key in its one form.
func Value(parent, key string, v any) (any, error) {
	if v == nil {
		return nil, invalid(parent+"."+key, "null, which has no meaning here")
	}
	return value(parent, key, v, 1)
}

func table(path string, m map[string]any, depth int) (map[string]any, error) {
	out := make(map[string]any, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) { // so that of several errors the first one in order is told
		v := m[k]
		if !utf8.ValidString(k) {
			return nil, invalid(path, "the name %q is not UTF-8", k)
		}
		if v == nil {
			continue
		}
		n, err := value(path, k, v, depth)
		if err != nil {
			return nil, err
		}
		out[k] = n
	}
	return out, nil
}

// value takes the value's path in two parts: it is put together only for an error.
func value(parent, key string, v any, depth int) (any, error) {
	fault := func(format string, args ...any) error { return invalid(parent+"."+key, format, args...) }
	if depth > maxDepth {
		return nil, fault("expected at most %d levels", maxDepth)
	}
	switch v := v.(type) {
	case bool:
		return v, nil
	case string:
		if !utf8.ValidString(v) {
			return nil, fault("expected UTF-8")
		}
		return v, nil
	case json.Number:
		n, err := number(string(v))
		if err != nil {
			return nil, fault("%v", err)
		}
		return n, nil
	case int64:
		return json.Number(strconv.FormatInt(v, 10)), nil
	case int:
		return json.Number(strconv.Itoa(v)), nil
	case uint64:
		return json.Number(strconv.FormatUint(v, 10)), nil
	case float64:
		n, err := float(v)
		if err != nil {
			return nil, fault("%v", err)
		}
		return n, nil
	case map[string]any:
		return table(parent+"."+key, v, depth+1)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			if e == nil {
				return nil, fault("element %d is null, which has no meaning here", i)
			}
			n, err := value(parent, key+"["+strconv.Itoa(i)+"]", e, depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = n
		}
		return out, nil
	case time.Time, toml.LocalDate, toml.LocalTime, toml.LocalDateTime:
		return nil, fault("a date or time: write it as a string")
	}
	// Anything else that Go code put there means what it is as JSON.
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fault("no JSON: %v", err)
	}
	plain, err := Parse(text)
	if err != nil {
		return nil, fault("%v", err)
	}
	if plain == nil {
		return nil, fault("%T is null, which has no meaning here", v)
	}
	return value(parent, key, plain, depth)
}

// number brings a numeral of JSON into its canonical form. Integers keep every digit.
func number(s string) (json.Number, error) {
	digits := strings.TrimPrefix(s, "-")
	if digits != "" && strings.Trim(digits, "0123456789") == "" && (digits[0] != '0' || digits == "0") {
		switch {
		case digits == "0":
			return "0", nil
		case len(digits) > maxDigits:
			return "", fmt.Errorf("expected at most %d digits, found %d", maxDigits, len(digits))
		}
		return json.Number(s), nil
	}
	if !json.Valid([]byte(s)) || s == "" || !strings.ContainsAny(s[:1], "-0123456789") {
		return "", fmt.Errorf("%.40q is no number", s)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return "", fmt.Errorf("%.40q is out of range", s)
	}
	return float(f)
}

func float(f float64) (json.Number, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "", errors.New("expected a finite number")
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return json.Number(strconv.FormatInt(int64(f), 10)), nil
	}
	return json.Number(decimal(f)), nil
}

// Parse reads one JSON value strictly: a name twice in one object and anything after the
// value are errors.
func Parse(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("JSON: expected UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	v, err := decodeValue(dec, 0)
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return v, nil
		}
		err = errors.New("expected the end of the text")
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	line := 1 + bytes.Count(text[:min(dec.InputOffset(), int64(len(text)))], []byte("\n"))
	return nil, fmt.Errorf("JSON, line %d: %w", line, err)
}

func decodeValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("expected at most %d levels", maxDepth)
	}
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch tok {
	case json.Delim('{'):
		m := map[string]any{}
		for dec.More() {
			tok, err := dec.Token()
			if err != nil {
				return nil, err
			}
			key, ok := tok.(string)
			if !ok {
				return nil, fmt.Errorf("expected a name, found %v", tok)
			}
			if _, ok := m[key]; ok {
				return nil, fmt.Errorf("%.40q stands twice in one object", key)
			}
			if m[key], err = decodeValue(dec, depth+1); err != nil {
				return nil, err
			}
		}
		_, err := dec.Token()
		return m, err
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := decodeValue(dec, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	}
	return tok, nil
}

// FitsTOML says whether TOML can say a normalized value: its integers have 64 bits.
func FitsTOML(v any) bool {
	switch v := v.(type) {
	case json.Number:
		if strings.ContainsAny(string(v), ".eE") {
			return true
		}
		_, err := strconv.ParseInt(string(v), 10, 64)
		return err == nil
	case []any:
		return !slices.ContainsFunc(v, func(e any) bool { return !FitsTOML(e) })
	case map[string]any:
		for _, e := range v {
			if !FitsTOML(e) {
				return false
			}
		}
	}
	return true
}
