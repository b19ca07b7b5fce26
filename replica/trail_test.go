package replica

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/internal/trail"
)

func TestABatchIsShownAtLevelDebugOnly(t *testing.T) {
	var out bytes.Buffer
	level := new(slog.LevelVar)
	x := &executor{log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))}
	names := trail.NewSource(coco.NodeID{1})
	b := &sealed{view: 2, first: 10}
	for _, r := range []adapter.Result{
		{TxID: coco.TxID{View: 2, Seqno: 10}},
		{TxID: coco.TxID{View: 2, Seqno: 7}}, // it is executed already
		{Err: fmt.Errorf("%w: planted-key is taken", coco.ErrInvalid)},
	} {
		b.waiting = append(b.waiting, &pending{item: &Item{Calls: []*adapter.Call{{Trail: names.Next()}}}, result: r})
	}
	steps := func() {
		x.follow(stepExecuted, b)
		x.follow(stepSealed, b)
		x.follow(stepCommitted, b)
		x.followQueued(b.waiting[0].item)
		x.followApplied(Batch{View: 2, First: 10})
	}
	if n := testing.AllocsPerRun(100, steps); n != 0 || out.Len() > 0 {
		t.Errorf("at level info: %v allocations, %q", n, out.String())
	}
	level.Set(slog.LevelDebug)
	steps()
	for text, times := range map[string]int{
		"step=executed request=01000000-1 transaction=2.10": 1, "step=executed request=01000000-2\n": 1, "step=executed request=01000000-3 refused=invalid": 1,
		"step=sealed": 1, "step=committed": 1, "step=queued": 1, "step=applied": 1, "planted": 0,
	} {
		if n := strings.Count(out.String(), text); n != times {
			t.Errorf("%d times %q, want %d:\n%s", n, text, times, out.String())
		}
	}
}
