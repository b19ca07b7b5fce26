package ledger

// KeepOffsets sets how many frames of complete chunks a log remembers.
func (l *Log) KeepOffsets(n int) { l.recent.keep = n }

// KeptOffsets returns how many it does.
func (l *Log) KeptOffsets() (n int) {
	for _, c := range l.chunks {
		if c.complete {
			n += len(c.offsets)
		}
	}
	return n
}
