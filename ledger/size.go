package ledger

// Bytes returns the size of the entries on disk, further folders included, without the zeros that the last chunk is filled
// with ahead of use.
func (l *Log) Bytes() (n int64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, c := range l.chunks {
		n += c.end
	}
	return n
}
