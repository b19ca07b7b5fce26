package witness

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"slices"

	"github.com/cocoframework/coco/internal/logevent"
)

// Listen returns a node's log. The witness keeps its records, and copies them as text to a reader, if
// there is one.
func (w *Witness) Listen(host string, copied io.Writer) *slog.Logger {
	return slog.New(&listener{witness: w, host: host, copied: copied}).With("host", host)
}

// listener hands a host's records to the witness.
type listener struct {
	witness *Witness
	host    string
	copied  io.Writer
	attrs   []slog.Attr
}

func (l *listener) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (l *listener) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *l
	more.attrs = slices.Concat(l.attrs, attrs)
	return &more
}

// WithGroup implements slog.Handler. No part of a node groups its attributes.
func (l *listener) WithGroup(string) slog.Handler { return l }

func (l *listener) Handle(ctx context.Context, r slog.Record) error {
	var text bytes.Buffer
	if err := slog.NewTextHandler(&text, nil).WithAttrs(l.attrs).Handle(ctx, r); err != nil {
		return err
	}
	rec := record{text: string(bytes.TrimSpace(text.Bytes())), numbers: map[string]uint64{}}
	note := func(a slog.Attr) bool {
		v := a.Value.Resolve()
		switch {
		case a.Key == logevent.Key:
			rec.event = logevent.Code(v.String())
		case v.Kind() == slog.KindUint64:
			rec.numbers[a.Key] = v.Uint64()
		case v.Kind() == slog.KindInt64 && v.Int64() >= 0:
			rec.numbers[a.Key] = uint64(v.Int64())
		}
		return true
	}
	for _, a := range l.attrs {
		note(a)
	}
	r.Attrs(note)
	l.witness.Recorder.Note("log", text.Bytes())
	l.witness.mu.Lock()
	defer l.witness.mu.Unlock()
	l.witness.logs[l.host] = append(l.witness.logs[l.host], rec)
	if l.copied == nil {
		return nil
	}
	_, err := l.copied.Write(text.Bytes())
	return err
}

// record is what a node has logged: the event, and its attributes that are numbers. The text is for people.
type record struct {
	event   logevent.Code
	numbers map[string]uint64
	text    string
}

// Repaired takes note of entries that operators have replaced in a host's ledger, and told; damage is nil if they were only missing.
func (w *Witness) Repaired(host string, first, last uint64, damage error) {
	w.Say("entries %d to %d of %s are taken from another ledger: %v", first, last, host, damage)
	if damage == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logs[host] = append(w.logs[host], record{
		event: logevent.ChunkSetAside, numbers: map[string]uint64{"first": first, "last": last}, text: damage.Error(),
	})
}

// Logged returns how many records a host's nodes have logged.
func (w *Witness) Logged(host string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.logs[host])
}

// Mentioned reports whether a host's nodes have logged an event since they had logged so many records.
func (w *Witness) Mentioned(host string, since int, event logevent.Code) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.logs[host][since:], func(r record) bool { return r.event == event })
}

// blames are the events which say that the ledger on the disk is not what the node wrote.
var blames = []logevent.Code{
	logevent.LedgerSetAside, logevent.LedgerCut, logevent.LedgerEndReplaced, logevent.ChunkSetAside, logevent.ChunkDamaged,
}

// Heard returns the record, if there is one, in which a node reported a lie: an event that blames the
// ledger, from the entry of the lie or one before on. What follows an entry that is not believed is not
// believed, either. The entry after counts too: its digest of the chain may be what does not fit.
func (w *Witness) Heard(host string, since int, entry uint64) (string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.logs[host][since:] {
		if slices.Contains(blames, r.event) && r.blamesEntry(entry) {
			return r.text, true
		}
	}
	return "", false
}

func (r record) blamesEntry(entry uint64) bool {
	if last, ok := r.numbers["last"]; ok { // a whole chunk
		return r.numbers["first"] <= entry && entry <= last
	}
	n, ok := r.numbers["entry"]
	return ok && n > 0 && n <= entry+1
}

// Began returns the seqno of the newest snapshot that a host's nodes began with since they were lied to.
func (w *Witness) Began(host string, since int) (newest uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.logs[host][since:] {
		if r.event == logevent.SnapshotLoaded {
			newest = max(newest, r.numbers["seqno"])
		}
	}
	return newest
}
