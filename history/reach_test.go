package history

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/history/segment"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/internal/lru"
)

// Whoever knows when a key was written pays for one segment, however many there are after it.
func TestLookupBeginsInTheSegmentThatHoldsTheSeqno(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(150)
	x := n.index(0)
	runOn(x)
	if len(x.segments) < 5 {
		t.Fatalf("%d segments, expected more", len(x.segments))
	}
	for i, s := range x.segments {
		for _, other := range x.segments {
			other.Blocks = lru.New[segment.BlockID, []byte](8 << 20)
			other.Files = nil // whoever reads it stops the test
		}
		s.Files = n.disk
		for _, seqno := range []uint64{s.From, (s.From + s.To) / 2, s.To} {
			key := "hot"
			if seqno%2 == 0 { // the second transaction of a batch
				key = fmt.Sprint("once", seqno/2-1)
			}
			v, err := x.Get(t.Context(), "private", []byte(key), seqno)
			if err != nil || v.Seqno != seqno {
				t.Fatalf("segment %d: %s as of seqno %d: found seqno %d, %v", i, key, seqno, v.Seqno, err)
			}
		}
	}
}

func TestAPartThatIsIndexedAgainIsNamed(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(150)
	x := n.index(0)
	runOn(x)
	s := x.segments[2]
	s.Broken.Store(true)
	x.sweep()
	want := fmt.Sprintf("seqno %d, transactions %d to %d, is being indexed", s.From+1, s.From, s.To)
	for _, ask := range []func() error{
		func() error { _, err := x.Get(t.Context(), "private", []byte("hot"), s.From+1); return err },
		func() error { _, err := x.Find(s.From + 1); return err },
	} {
		if err := ask(); !errors.Is(err, coco.ErrPending) || !strings.Contains(err.Error(), want) {
			t.Errorf("found %v, expected %q", err, want)
		}
	}
	runOn(x)
	n.answersAll(t, x)
}

func TestTheLogSaysHowDamageShowed(t *testing.T) {
	n := newNetwork(t, 3000)
	n.fill(150)
	var log bytes.Buffer
	x := n.index(0)
	x.cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	runOn(x)
	c := n.log.Chunks()[1]
	name := fmt.Sprintf("%s/ledger_%d-%d", ledgerDir, c.First, c.Last)
	good := n.world.Files("n", ledgerDir)[name]
	at := n.done[c.First-1] // the first batch of that chunk
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	n.rewrite(name, bad)
	x.caches.opened = lru.New[uint64, *opened](1 << 20)
	missing := false
	for seqno := at.first; seqno <= n.tree.Size() && !missing; seqno++ {
		_, err := x.Get(t.Context(), "private", []byte("hot"), seqno)
		missing = errors.Is(err, coco.ErrMissing)
	}
	if !missing {
		t.Fatal("no reader came across the damage")
	}
	log.Reset()
	runOn(x)
	if text := log.String(); !strings.Contains(text, string(logevent.ChunkSetAside)) || !strings.Contains(text, name) || !strings.Contains(text, "offset ") || !strings.Contains(text, "checksum") {
		t.Errorf("the log says %q, expected the file, the offset and what is wrong there", text)
	}
	n.rewrite(name, good)
	runOn(x)
	n.answersAll(t, x)
}
