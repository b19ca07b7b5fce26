package store

import "bytes"

// Behind returns the first key behind those with a prefix, where Range ends; nil if there is none.
func Behind(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}
