package witness

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/internal/sim/trace"
)

func TestAnEventReportsALieIfItNamesTheEntryOrOneBefore(t *testing.T) {
	w := New(t, trace.New(io.Discard, nil))
	log := w.Listen("n1", nil)
	log.Error("this node's ledger is damaged", logevent.LedgerCut.Attr(), "entry", 2) // before the lie
	const entry = 8
	since := w.Logged("n1")
	for _, silent := range []func(){
		func() {},
		func() { log.Info("node admitted", logevent.NodeAdmitted.Attr(), "entry", 8) },
		func() { log.Error("this node's ledger is damaged", logevent.LedgerCut.Attr(), "entry", 10) },
		func() { log.Error("this node's ledger is damaged", logevent.LedgerCut.Attr(), "entry", 0) },
		func() { log.Error("ledger: ledger/ledger_7-9: corrupt: entry 8") }, // prose reports nothing
		func() { log.Error("set aside", logevent.ChunkSetAside.Attr(), "first", 1, "last", 6, "entry", 3) },
	} {
		silent()
		if line, ok := w.Heard("n1", since, entry); ok {
			t.Errorf("this reports it: %s", line)
		}
	}
	for _, reported := range []func(){
		func() { log.Warn("cut", logevent.LedgerCut.Attr(), "entry", uint64(8)) },
		func() { log.Warn("cut", logevent.LedgerCut.Attr(), "entry", 9) },
		func() { log.With("entry", 7).Warn("cut", logevent.LedgerCut.Attr()) },
		func() { log.Error("set aside", logevent.ChunkSetAside.Attr(), "first", 7, "last", 9, "entry", 9) },
	} {
		since = w.Logged("n1")
		reported()
		if _, ok := w.Heard("n1", since, entry); !ok {
			t.Errorf("this does not report it: %s", w.logs["n1"][since].text)
		}
	}
	if _, ok := w.Heard("n2", 0, 0); ok {
		t.Error("another node reported it")
	}
}

func TestTheWitnessHearsOfSnapshotsAndChangedBytes(t *testing.T) {
	var copied bytes.Buffer
	w := New(t, trace.New(io.Discard, nil))
	log := w.Listen("n1", &copied)
	log.Info("beginning with a snapshot", logevent.SnapshotLoaded.Attr(), "seqno", 7)
	since := w.Logged("n1")
	if w.Began("n1", 0) != 7 || w.Began("n1", since) != 0 {
		t.Error("the snapshot is not the one that was loaded")
	}
	log.Debug("not kept")
	log.With("node", "n2").Warn("bytes change", logevent.ConnectionTampered.Attr())
	if w.Mentioned("n1", since+1, logevent.ConnectionTampered) || !w.Mentioned("n1", since, logevent.ConnectionTampered) || w.Mentioned("n1", 0, logevent.LedgerCut) {
		t.Error("the event is not the one that was logged")
	}
	if got := copied.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "host=n1 node=n2 event=connection_tampered") {
		t.Errorf("copied %s", got)
	}
}
