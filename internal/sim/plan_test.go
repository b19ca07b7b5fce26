package sim

import (
	"reflect"
	"testing"
)

func TestSeedFixesThePlanAndMachinesKeepAMajority(t *testing.T) {
	kinds, lies, sizes := map[kind]int{}, map[lie]int{}, map[int]int{}
	steps, cuts := map[step]int{}, map[hosts]int{}
	for seed := range uint64(300) {
		p := draw(seed)
		if !reflect.DeepEqual(p, draw(seed)) {
			t.Fatalf("seed %d gives two plans", seed)
		}
		sizes[p.members]++
		for _, faults := range p.rounds {
			down := map[int]bool{}
			for _, f := range faults {
				kinds[f.kind]++
				lies[f.lie]++
				steps[f.step]++
				if f.kind == powerCut {
					cuts[f.hosts]++
				}
				switch f.kind {
				case crash, fullDisk, ioErrors, clone, freeze, ceremony, rotation:
					down[f.host] = true
				case blackout, suspension, copies, flood, powerCut, reopening:
					if len(faults) > 1 {
						t.Errorf("seed %d: %v beside other faults", seed, f)
					}
				default:
					if f.host == f.other {
						t.Errorf("seed %d: %v is between one host", seed, f)
					}
				}
			}
			if 2*len(down) >= p.members {
				t.Errorf("seed %d: %d of %d machines go in one round", seed, len(down), p.members)
			}
		}
	}
	for _, k := range []kind{
		crash, fullDisk, ioErrors, clone, blackout, partition, oneWay, flapping, flappingTo, isolation, muted, deafened, alone,
		badLink, tampering, slowSync, clockJump, clockDrift, suspension, ahead, freeze, copies, flood, policies,
		powerCut, reopening, ceremony, rotation,
	} {
		if kinds[k] < 10 {
			t.Errorf("%q was drawn %d times in 300 seeds", k, kinds[k])
		}
	}
	for _, l := range []lie{honest, lost, rollBack, foreign, truncated, flipped, older, gone, mended} {
		if lies[l] < 20 {
			t.Errorf("%q was drawn %d times in 300 seeds", l, lies[l])
		}
	}
	for _, all := range [][]step{ceremonySteps, reopeningSteps} {
		for _, s := range all {
			if steps[s] == 0 {
				t.Errorf("a crash when %q was never drawn in 300 seeds", s)
			}
		}
	}
	for _, h := range []hosts{fair, apart, aged, twice} {
		if cuts[h] == 0 {
			t.Errorf("a power cut with %q was never drawn in 300 seeds", h)
		}
	}
	for members := 3; members <= 5; members++ {
		if sizes[members] < 20 {
			t.Errorf("%d members were drawn %d times in 300 seeds", members, sizes[members])
		}
	}
}
