package ledger

import "bytes"

// ParseSealed reads the plain text of a sealed part, for fuzzing.
func ParseSealed(plain []byte, count uint64) ([]Record, error) {
	public := appendHead(nil, majorArray, count)
	public = append(public, bytes.Repeat([]byte{majorBytes}, int(count))...)
	b := &Batch{Header: Header{Count: count}, public: public}
	return b.records(plain)
}

// KeepOffsets sets how many frames of complete chunks a log remembers.
func (l *Log) KeepOffsets(n int) { l.keep = n }

// KeptOffsets returns how many it does.
func (l *Log) KeptOffsets() (n int) {
	for _, c := range l.chunks {
		if c.complete {
			n += len(c.offsets)
		}
	}
	return n
}
