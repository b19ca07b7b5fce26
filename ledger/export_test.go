package ledger

import "bytes"

// ParseSealed reads the plain text of a sealed part, for fuzzing.
func ParseSealed(plain []byte, count uint64) ([]Record, error) {
	public := appendHead(nil, majorArray, count)
	public = append(public, bytes.Repeat([]byte{majorBytes}, int(count))...)
	b := &Batch{Header: Header{Count: count}, public: public}
	return b.records(plain)
}
