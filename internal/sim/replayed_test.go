//go:build replay

package sim_test

import (
	"io"
	"testing"

	"github.com/cocoframework/coco/internal/sim"
)

// Two seeds are played by turns: neither what the process played before nor the time that it takes changes anything that
// happens in a run, down to the last byte on the wire and its time.
func TestARunIsAFunctionOfItsSeed(t *testing.T) {
	var first map[uint64]string
	for range 2 {
		digests := map[uint64]string{}
		for _, seed := range []uint64{2, 8} {
			digests[seed] = sim.Run(t, sim.Config{Seed: seed, Trace: io.Discard})
		}
		if first == nil {
			first = digests
		}
		for seed, digest := range digests {
			if digest != first[seed] {
				t.Errorf("seed %d: the run's digest is %s, and was %s", seed, digest, first[seed])
			}
		}
	}
	if first[2] == first[8] {
		t.Error("two seeds have the digest of one run")
	}
}
