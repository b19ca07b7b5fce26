package sim

import (
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
)

// listen returns a node's log. The witness keeps its lines, and copies them if somebody reads along.
func (w *witness) listen(host string, copied io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(&listener{witness: w, host: host, copied: copied}, nil)).With("host", host)
}

// listener takes one line with each Write.
type listener struct {
	witness *witness
	host    string
	copied  io.Writer
}

func (l *listener) Write(line []byte) (int, error) {
	l.witness.mu.Lock()
	defer l.witness.mu.Unlock()
	l.witness.logs[l.host] = append(l.witness.logs[l.host], string(line))
	if l.copied == nil {
		return len(line), nil
	}
	return l.copied.Write(line)
}

// logged returns how many lines a host's nodes have logged.
func (w *witness) logged(host string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.logs[host])
}

// mentioned reports whether a host's nodes have logged a text since they had logged so many lines.
func (w *witness) mentioned(host string, since int, text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.logs[host][since:], func(line string) bool { return strings.Contains(line, text) })
}

// blames picks lines that say that the ledger on the disk is not what it should be.
var blames = regexp.MustCompile(`ledger.*(damaged|not the network's|does not open|corrupt|set aside|setting aside)|(damaged|corrupt|set aside|setting aside).*ledger`)

// heard returns the line, if there is one, in which a node told of a lie: it says that the ledger is not right and
// names the file, or an entry from which on the ledger is fetched again.
func (w *witness) heard(host string, lie *told) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, line := range w.logs[host][lie.since:] {
		if blames.MatchString(line) && (strings.Contains(line, lie.file) || namesEntry(line, lie.entry)) {
			return strings.TrimSpace(line), true
		}
	}
	return "", false
}

var snapshots = regexp.MustCompile(`beginning with a snapshot.* seqno=(\d+)`)

// began returns the seqno of the newest snapshot that a host's nodes began with since they were lied to.
func (w *witness) began(host string, lie *told) (newest uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, line := range w.logs[host][lie.since:] {
		var n uint64
		if m := snapshots.FindStringSubmatch(line); m != nil {
			if _, err := fmt.Sscan(m[1], &n); err == nil {
				newest = max(newest, n)
			}
		}
	}
	return newest
}

var entries = regexp.MustCompile(`(?:entry |index=|from=)(\d+)`)

// namesEntry reports whether a line names an entry at or before another: what follows one that is not to be
// believed is not believed, either.
func namesEntry(line string, entry uint64) bool {
	for _, m := range entries.FindAllStringSubmatch(line, -1) {
		var n uint64
		if _, err := fmt.Sscan(m[1], &n); err == nil && n <= entry+1 {
			return true
		}
	}
	return false
}
