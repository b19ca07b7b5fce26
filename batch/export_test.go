package batch

import (
	"bytes"

	"github.com/cocoframework/coco/canon"
)

// ParseSealed reads the plain text of a sealed part, for fuzzing.
func ParseSealed(plain []byte, count uint64) ([]Record, error) {
	public := canon.AppendHead(nil, canon.Array, count)
	public = append(public, bytes.Repeat([]byte{byte(canon.Bytes)}, int(count))...)
	b := &Batch{Header: Header{Count: count}, public: public}
	return b.records(plain)
}
