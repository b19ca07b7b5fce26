// Package scan recognises JSON-RPC requests in the plain form that clients send, without decoding them.
// What it does not recognise, right or wrong, is left to a whole JSON decoder.
//
// Trust: enclave
package scan

import "bytes"

// Request is one JSON-RPC request in the plain form that clients send. Its fields are slices of
// the body.
type Request struct {
	ID     []byte // as sent, a number or a string; echoed
	Method []byte // without its quotes
	Params []byte // the array with its brackets, nil if absent
}

// maxScanDepth bounds the nesting that scanValue follows; deeper bodies go to the full server,
// which has a bound of its own.
const maxScanDepth = 32

// Parse reads one request at b[i:] and returns the offset behind it. It knows only the plain
// form: an object with the members jsonrpc, id, method and params, each at most once, without
// escapes in strings. For everything else, right or wrong, it reports false and the full server
// decides. What it accepts is valid JSON.
func Parse(b []byte, i int) (req Request, end int, ok bool) {
	i = SkipSpace(b, i)
	if i >= len(b) || b[i] != '{' {
		return req, i, false
	}
	var version []byte
	for i++; ; i++ { // one member, ending at its comma or the closing brace
		key, next, ok := scanPlainString(b, SkipSpace(b, i))
		if !ok {
			return req, i, false
		}
		if i = SkipSpace(b, next); i >= len(b) || b[i] != ':' {
			return req, i, false
		}
		start := SkipSpace(b, i+1)
		if i, ok = scanValue(b, start, 0); !ok {
			return req, i, false
		}
		var field *[]byte
		switch string(key) {
		case "jsonrpc":
			field = &version
		case "id":
			field = &req.ID
		case "method":
			field = &req.Method
		case "params":
			field = &req.Params
		}
		if field == nil || *field != nil {
			return req, i, false
		}
		*field = b[start:i:i]
		if i = SkipSpace(b, i); i >= len(b) {
			return req, i, false
		}
		if b[i] == '}' {
			break
		}
		if b[i] != ',' {
			return req, i, false
		}
	}
	plain := string(version) == `"2.0"` &&
		len(req.ID) > 0 && (req.ID[0] == '"' || req.ID[0] == '-' || isDigit(req.ID[0])) &&
		len(req.Method) > 2 && req.Method[0] == '"' &&
		(req.Params == nil || req.Params[0] == '[')
	if !plain {
		return req, i, false
	}
	req.Method = req.Method[1 : len(req.Method)-1]
	return req, i + 1, true
}

// ParseBatch splits a batch whose elements are all in plain form. It reports false otherwise, and
// if there are more than limit elements or none.
func ParseBatch(b []byte, reqs []Request, limit int) ([]Request, bool) {
	i := SkipSpace(b, 0)
	if i >= len(b) || b[i] != '[' {
		return reqs, false
	}
	for i++; ; i++ {
		req, end, ok := Parse(b, i)
		if !ok || len(reqs) == limit {
			return reqs, false
		}
		reqs = append(reqs, req)
		if i = SkipSpace(b, end); i >= len(b) {
			return reqs, false
		}
		if b[i] == ']' {
			return reqs, SkipSpace(b, i+1) == len(b)
		}
		if b[i] != ',' {
			return reqs, false
		}
	}
}

// Elements splits an array of values that scanValue accepted, calling fn for each until it
// returns false.
func Elements(array []byte, fn func(value []byte) bool) {
	for i := 1; ; i++ {
		start := SkipSpace(array, i)
		end, ok := scanValue(array, start, 0)
		if !ok || !fn(array[start:end:end]) {
			return
		}
		if i = SkipSpace(array, end); i >= len(array) || array[i] != ',' {
			return
		}
	}
}

// Members is elements for an object; keys come without quotes. It reports whether fn accepted
// every member.
func Members(object []byte, fn func(key, value []byte) bool) bool {
	if len(object) < 2 || object[0] != '{' {
		return false
	}
	if i := SkipSpace(object, 1); i < len(object) && object[i] == '}' {
		return true
	}
	for i := 1; ; i++ {
		key, next, ok := scanPlainString(object, SkipSpace(object, i))
		if !ok {
			return false
		}
		if i = SkipSpace(object, next); i >= len(object) || object[i] != ':' {
			return false
		}
		start := SkipSpace(object, i+1)
		end, ok := scanValue(object, start, 0)
		if !ok || !fn(key, object[start:end:end]) {
			return false
		}
		if i = SkipSpace(object, end); i >= len(object) || object[i] != ',' {
			return true
		}
	}
}

// scanValue returns the offset behind the JSON value that begins at b[i]. Strings with escapes
// are left to the full server.
func scanValue(b []byte, i, depth int) (end int, ok bool) {
	if i >= len(b) || depth > maxScanDepth {
		return i, false
	}
	switch c := b[i]; {
	case c == '"':
		_, end, ok = scanPlainString(b, i)
		return end, ok
	case c == '{' || c == '[':
		return scanCompound(b, i, depth)
	case c == '-' || isDigit(c):
		return scanNumber(b, i)
	case c == 't':
		return scanLiteral(b, i, "true")
	case c == 'f':
		return scanLiteral(b, i, "false")
	case c == 'n':
		return scanLiteral(b, i, "null")
	}
	return i, false
}

// scanCompound is scanValue for objects and arrays.
func scanCompound(b []byte, i, depth int) (end int, ok bool) {
	object := b[i] == '{'
	closing := byte(']')
	if object {
		closing = '}'
	}
	if i = SkipSpace(b, i+1); i < len(b) && b[i] == closing {
		return i + 1, true
	}
	for ; ; i++ {
		i = SkipSpace(b, i)
		if object {
			if _, i, ok = scanPlainString(b, i); !ok {
				return i, false
			}
			if i = SkipSpace(b, i); i >= len(b) || b[i] != ':' {
				return i, false
			}
			i = SkipSpace(b, i+1)
		}
		if i, ok = scanValue(b, i, depth+1); !ok {
			return i, false
		}
		if i = SkipSpace(b, i); i >= len(b) {
			return i, false
		}
		if b[i] == closing {
			return i + 1, true
		}
		if b[i] != ',' {
			return i, false
		}
	}
}

// scanPlainString returns the contents of the string at b[i] and the offset behind it.
func scanPlainString(b []byte, i int) (s []byte, end int, ok bool) {
	if i >= len(b) || b[i] != '"' {
		return nil, i, false
	}
	i++
	n := bytes.IndexByte(b[i:], '"')
	if n < 0 {
		return nil, i, false
	}
	s = b[i : i+n : i+n]
	for _, c := range s {
		if c < 0x20 || c == '\\' {
			return nil, i, false
		}
	}
	return s, i + n + 1, true
}

// scanNumber follows the grammar of RFC 8259, section 6.
func scanNumber(b []byte, i int) (end int, ok bool) {
	if b[i] == '-' {
		i++
	}
	switch {
	case i < len(b) && b[i] == '0':
		i++
	case i < len(b) && isDigit(b[i]):
		i = skipDigits(b, i)
	default:
		return i, false
	}
	if i < len(b) && b[i] == '.' {
		if i++; i >= len(b) || !isDigit(b[i]) {
			return i, false
		}
		i = skipDigits(b, i)
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if i >= len(b) || !isDigit(b[i]) {
			return i, false
		}
		i = skipDigits(b, i)
	}
	return i, true
}

func scanLiteral(b []byte, i int, word string) (end int, ok bool) {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return i, false
	}
	return i + len(word), true
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	return i
}

func SkipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// Encode is the request as one body again.
func (req Request) Encode() []byte {
	b := append([]byte(`{"jsonrpc":"2.0","id":`), req.ID...)
	b = append(append(append(b, `,"method":"`...), req.Method...), '"')
	if req.Params != nil {
		b = append(append(b, `,"params":`...), req.Params...)
	}
	return append(b, '}')
}
