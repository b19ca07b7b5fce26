package receipt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// encodeJSON writes an object with a field on each line, in the order of the struct's fields.
func encodeJSON(r *Receipt) ([]byte, error) { return json.MarshalIndent(r, "", "  ") }

// parseJSON reads an object in which each field of its format is there once, and no other.
func parseJSON(data []byte) (*Receipt, error) {
	found, err := findFields(data)
	if err != nil {
		return nil, err
	}
	var r Receipt
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	want, err := fieldsOf(r.Format)
	if err != nil {
		return nil, err
	}
	for _, name := range want {
		if !found[name] {
			return nil, fmt.Errorf("field %q is missing", name)
		}
		delete(found, name)
	}
	if r.Format == Format && (len(r.CommitSignature) == 0 || len(r.CommitCertificate) == 0) {
		return nil, fmt.Errorf("format %q without a signature of the commit and its certificate", r.Format)
	}
	for name := range found {
		return nil, fmt.Errorf("field %q: unknown in format %q", name, r.Format)
	}
	return &r, nil
}

// fields are the names of both formats, and commitFields those of Format alone.
var (
	fields = []string{
		"format", "transaction_id", "header", "signature", "node_certificate", "service_certificate",
		"write_set", "salt", "claims", "path",
	}
	commitFields = []string{"commit_signature", "commit_certificate"}
)

// fieldsOf returns the names of a format's fields.
func fieldsOf(format string) ([]string, error) {
	switch format {
	case Format:
		return slices.Concat(fields, commitFields), nil
	case Older:
		return fields, nil
	}
	return nil, fmt.Errorf("format %q, expected %q or %q", format, Format, Older)
}

// findFields returns the names in an object, after which nothing follows. Each is a field's, and there once: the standard decoder would
// take the last of several, and any case of a name, and two readers could then differ about a receipt.
func findFields(data []byte) (map[string]bool, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, errors.New("expected an object")
	}
	found := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		if found[name] || !slices.Contains(fields, name) && !slices.Contains(commitFields, name) {
			return nil, fmt.Errorf("field %q: unknown, or given twice", name)
		}
		found[name] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if string(value) == "null" {
			return nil, fmt.Errorf("field %q is null", name)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return found, nil
}
