package receipt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// encodeJSON writes an object with a field on each line, in the order of the struct's fields.
func encodeJSON(r *Receipt) ([]byte, error) { return json.MarshalIndent(r, "", "  ") }

// parseJSON reads an object in which each field is there once, and no other.
func parseJSON(data []byte) (*Receipt, error) {
	if err := checkFields(data); err != nil {
		return nil, err
	}
	var r Receipt
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, err
	}
	if r.Format != Format {
		return nil, fmt.Errorf("format %q, expected %q", r.Format, Format)
	}
	return &r, nil
}

// fields are the names in the order in which receipts are written.
var fields = [...]string{
	"format", "transaction_id", "header", "signature", "node_certificate", "service_certificate",
	"write_set", "salt", "claims", "path",
}

// checkFields checks that the data is one object with each field once. The standard decoder would
// take the last of several, and any case of a name: two readers could then differ about a receipt.
func checkFields(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil {
		return err
	} else if t != json.Delim('{') {
		return errors.New("expected an object")
	}
	missing := make(map[string]bool, len(fields))
	for _, name := range fields {
		missing[name] = true
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if s, _ := name.(string); !missing[s] {
			return fmt.Errorf("field %q: unknown, or given twice", s)
		} else {
			delete(missing, s)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if string(value) == "null" {
			return fmt.Errorf("field %q is null", name)
		}
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	for _, name := range fields {
		if missing[name] {
			return fmt.Errorf("field %q is missing", name)
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the object")
	}
	return nil
}
