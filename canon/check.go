package canon

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// Check reports whether the bytes are one item in the one form, within the limits.
func Check(b []byte, limits Limits) error {
	limits = limits.complete()
	if len(b) > limits.Bytes {
		return fmt.Errorf("%d bytes, expected at most %d", len(b), limits.Bytes)
	}
	w := walker{limits: limits}
	rest, err := w.item(b, 0)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("extraneous data: %d bytes follow the item", len(rest))
	}
	return err
}

// walker checks items without decoding them.
type walker struct{ limits Limits }

// item checks the item at the beginning of b, which stands in so many arrays and maps, and returns
// what follows it.
func (w *walker) item(b []byte, depth int) (rest []byte, err error) {
	if len(b) == 0 {
		return nil, errTruncated
	}
	switch major := MajorOf(b[0]); major {
	case Uint, Negative:
		_, rest, err = CutHead(b, major)
		return rest, err
	case Bytes:
		_, rest, err = CutBytes(b)
		return rest, err
	case Text:
		s, rest, err := cutString(b, Text)
		if err == nil && !utf8.Valid(s) {
			err = fmt.Errorf("a text is not in UTF-8")
		}
		return rest, err
	case Array, Map:
		return w.container(b, major, depth+1)
	case tag:
		return nil, fmt.Errorf("a CBOR tag, expected none")
	}
	switch b[0] {
	case false_, true_, Null:
		return b[1:], nil
	}
	return nil, fmt.Errorf("a floating point number or a simple value (initial byte %#x), expected false, true or null", b[0])
}

func (w *walker) container(b []byte, major Major, depth int) ([]byte, error) {
	most, what := w.limits.Elements, "elements in an array"
	if major == Map {
		most, what = w.limits.Pairs, "pairs in a map"
	}
	n, rest, err := CutHead(b, major)
	switch {
	case err != nil:
		return nil, err
	case depth > w.limits.Depth:
		return nil, fmt.Errorf("arrays and maps within each other, expected at most %d levels", w.limits.Depth)
	case n > uint64(most):
		return nil, fmt.Errorf("%d %s, expected at most %d", n, what, most)
	case n > uint64(len(rest)): // each takes a byte at least
		return nil, errTruncated
	}
	var last []byte
	for i := range n {
		if major == Map {
			key := rest
			if rest, err = w.key(key); err != nil {
				return nil, err
			}
			key = key[:len(key)-len(rest)]
			switch order := bytes.Compare(last, key); {
			case i > 0 && order == 0:
				return nil, fmt.Errorf("duplicate key %x in a map", key)
			case i > 0 && order > 0:
				return nil, fmt.Errorf("%w: key %x of a map follows %x", errForm, key, last)
			}
			last = key
		}
		if rest, err = w.item(rest, depth); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// key checks a map's key: a number, bytes or a text.
func (w *walker) key(b []byte) (rest []byte, err error) {
	if len(b) > 0 && MajorOf(b[0]) > Text {
		return nil, fmt.Errorf("a key of a map is neither a number nor a string (initial byte %#x)", b[0])
	}
	return w.item(b, 0)
}
