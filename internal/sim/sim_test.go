package sim_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/cocoframework/coco/internal/sim"
)

// seeds is how many seeds are played; SEEDS says otherwise (make sim), FIRST with which to begin.
func seeds(t *testing.T) (first, n uint64) {
	first, n = 1, 5
	if testing.Short() {
		n = 2
	}
	for name, v := range map[string]*uint64{"FIRST": &first, "SEEDS": &n} {
		text := os.Getenv(name)
		if text == "" {
			continue
		}
		var err error
		if *v, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s=%s: expected a number", name, text)
		}
	}
	return first, n
}

func TestNothingIsLostWhateverTheSeed(t *testing.T) {
	first, n := seeds(t)
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { play(t, seed) })
	}
}

// play plays a seed, and shows its trace if an invariant does not hold. -v shows it as it goes, and
// LOG=1 the nodes' logs, too.
func play(t *testing.T, seed uint64) {
	var kept bytes.Buffer
	c := sim.Config{Seed: seed, Trace: &kept}
	if testing.Verbose() {
		c.Trace = os.Stdout
	}
	if os.Getenv("LOG") != "" {
		c.Log = os.Stdout
	}
	if name := os.Getenv("EVENTS"); name != "" {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c.Events = f
	}
	t.Logf("digest %s", sim.Run(t, c))
	if t.Failed() {
		t.Logf("go run ./internal/sim/cmd -seed %d -v\n%s", seed, &kept)
	}
}
