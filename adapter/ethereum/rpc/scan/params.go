package scan

import "encoding/hex"

// NoParams reports whether a call has no parameters.
func NoParams(params []byte) bool {
	return params == nil || SkipSpace(params, 1) == len(params)-1
}

// OnlyParam returns the one parameter of a call.
func OnlyParam(params []byte) (value []byte, ok bool) {
	n := 0
	if params != nil {
		Elements(params, func(v []byte) bool {
			value = v
			n++
			return n < 2
		})
	}
	return value, n == 1
}

// DataParam returns the bytes that are the one parameter of a call.
func DataParam(params []byte) ([]byte, bool) {
	value, ok := OnlyParam(params)
	if !ok {
		return nil, false
	}
	return HexValue(value)
}

// StringValue returns what stands between the quotes of a JSON string.
func StringValue(value []byte) (string, bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	return string(value[1 : len(value)-1]), true
}

// HexValue decodes a JSON string of bytes, which must have its prefix.
func HexValue(value []byte) ([]byte, bool) {
	if len(value) < 4 || value[0] != '"' || value[1] != '0' || value[2] != 'x' {
		return nil, false
	}
	digits := value[3 : len(value)-1]
	data := make([]byte, len(digits)/2)
	if _, err := hex.Decode(data, digits); err != nil {
		return nil, false
	}
	return data, true
}

// FixedHex is HexValue for a known length.
func FixedHex(dst, value []byte) bool {
	if len(value) != 2*len(dst)+4 || value[0] != '"' || value[1] != '0' || value[2] != 'x' {
		return false
	}
	_, err := hex.Decode(dst, value[3:len(value)-1])
	return err == nil
}
