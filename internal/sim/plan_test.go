package sim

import (
	"reflect"
	"testing"
)

func TestSeedFixesThePlanAndMachinesKeepAMajority(t *testing.T) {
	kinds, lies, sizes := map[kind]int{}, map[lie]int{}, map[int]int{}
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
				switch f.kind {
				case crash, fullDisk, ioErrors, clone, freeze:
					down[f.host] = true
				case blackout, suspension, copies, flood:
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
	} {
		if kinds[k] < 20 {
			t.Errorf("%q was drawn %d times in 300 seeds", k, kinds[k])
		}
	}
	for _, l := range []lie{honest, lost, rollBack, foreign, truncated, flipped, older, gone, mended} {
		if lies[l] < 20 {
			t.Errorf("%q was drawn %d times in 300 seeds", l, lies[l])
		}
	}
	for members := 3; members <= 5; members++ {
		if sizes[members] < 20 {
			t.Errorf("%d members were drawn %d times in 300 seeds", members, sizes[members])
		}
	}
}
