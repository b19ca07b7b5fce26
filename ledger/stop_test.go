package ledger_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cocoframework/coco/batch"
)

// TestCrashAtEveryCallLosesNothingThatWasDurable stops the machine at every call that changes the
// disk, crashes it in several ways, and looks at what a reopened log holds.
func TestCrashAtEveryCallLosesNothingThatWasDurable(t *testing.T) {
	newer := entriesOf(9, 101, 100, 100, 100, 100)
	for name, c := range map[string]struct {
		before func(*gapped) // done before, durably
		do     func(*gapped) error
		keeps  []uint64 // entries that a crash at any time must leave
		after  []uint64 // and that must be there once it is done
		gone   []uint64 // or must not be
	}{
		"insert": {
			before: func(g *gapped) { g.disk.Delete(dir + "/ledger_4-6") },
			do:     func(g *gapped) error { return g.log.Insert(4, 6, feed(g.all[3:6])) },
			keeps:  []uint64{1, 3, 7, 9, 10}, after: []uint64{4, 5, 6},
		},
		"set aside": {
			do:    func(g *gapped) error { return g.log.Quarantine(4) },
			keeps: []uint64{1, 3, 7, 9, 10}, gone: []uint64{4, 5, 6},
		},
		"begin a run": {
			do: func(g *gapped) error {
				return errors.Join(g.log.StartAt(101), g.log.Append(newer), g.log.Sync())
			},
			keeps: []uint64{1, 3, 4, 6, 7, 9}, after: []uint64{101, 102, 103, 104}, gone: []uint64{10},
		},
		"cut across a gap": {
			before: func(g *gapped) { g.disk.Delete(dir + "/ledger_4-6") },
			do:     func(g *gapped) error { return g.log.TruncateAfter(2) },
			keeps:  []uint64{1, 2}, gone: []uint64{3, 4, 7, 10},
		},
		"overwrite and complete": {
			do: func(g *gapped) error {
				return errors.Join(g.log.Append(entriesOf(9, 6, 100, 100, 100, 100, 100)), g.log.Sync())
			},
			keeps: []uint64{1, 3, 4, 5}, after: []uint64{6, 7, 8, 9, 10},
		},
	} {
		t.Run(name, func(t *testing.T) {
			src := rand.New(rand.NewPCG(1, 2))
			picks := []func(int) int{func(int) int { return 0 }, func(n int) int { return n }, func(n int) int { return n / 2 }}
			for range 5 {
				picks = append(picks, func(n int) int { return src.IntN(n + 1) })
			}
			for call, done := 1, false; !done; call++ {
				for _, pick := range picks {
					g := newGapped(t)
					if c.before != nil {
						c.before(g)
						g.open()
						g.log.Missing()
					}
					g.disk.stopAt = g.disk.writes + call
					err := c.do(g)
					if err != nil && !errors.Is(err, errStopped) {
						t.Fatal(err)
					}
					done = err == nil
					g.disk = g.disk.crash(pick)
					g.open()
					known := append(append(g.all[:10:10], newer...), entriesOf(9, 6, 100, 100, 100, 100, 100)...)
					holds := map[uint64]bool{}
					for i := uint64(1); i <= g.log.Last(); i++ {
						got, err := g.log.Read(i, i+1, 0)
						if err != nil {
							continue
						}
						for _, e := range known {
							holds[i] = holds[i] || equalEntries(got, []batch.Entry{e})
						}
						if !holds[i] {
							t.Fatalf("stopped at call %d: entry %d was never written", call, i)
						}
					}
					if err := g.log.Load(1); err != nil {
						t.Fatalf("stopped at call %d: %v", call, err)
					}
					want := c.keeps
					if done {
						want = append(want[:len(want):len(want)], c.after...)
						for _, i := range c.gone {
							if holds[i] {
								t.Errorf("done, and entry %d is still there", i)
							}
						}
					}
					for _, i := range want {
						if !holds[i] {
							t.Fatalf("stopped at call %d of %v: entry %d is lost; the log has %+v", call, done, i, g.log.Chunks())
						}
					}
					if names, _ := g.disk.List(dir); len(names) > 5 {
						t.Errorf("stopped at call %d: files %v", call, names)
					}
					if err := g.log.Append(entriesOf(99, g.log.Last()+1, 10)); err != nil {
						t.Errorf("stopped at call %d: go on: %v", call, err)
					}
				}
			}
		})
	}
}
