package sim

import (
	"fmt"
	"testing"
	"time"
)

// keyed plays rounds of faults about keys, and returns how often each step was hit by each fault.
func keyed(t *testing.T, p plan) map[string]int {
	t.Helper()
	hits := map[string]int{}
	replayPlan(t, p, func(step, fault string) { hits[step+": "+fault]++ })
	return hits
}

// Every phase of a ceremony is hit by the crash of the node that leads, and of another one.
func TestNodesGoInEveryStepOfACeremony(t *testing.T) {
	long(t)
	changes := []change{refresh, gain, lose, vary, refresh, refresh}
	for k, leads := range []bool{true, false} {
		p := plan{members: 3, sync: 3 * time.Millisecond, unattended: leads}
		for i, s := range ceremonySteps {
			p.rounds = append(p.rounds, []fault{{
				kind: ceremony, at: time.Second, lasts: 2 * time.Second, host: i % 3, other: (i + 1) % 3, torn: i%2 == 0,
				keyFault: keyFault{leads: leads, step: s, change: changes[(i+k)%len(changes)]},
			}})
		}
		t.Run(fmt.Sprintf("the leader: %t", leads), func(t *testing.T) {
			hits := keyed(t, p)
			for _, s := range ceremonySteps {
				cell := string(s) + ": crash"
				if leads {
					cell += " of the leader"
				}
				if hits[cell] == 0 {
					t.Errorf("never hit: %s", cell)
				}
			}
		})
	}
}

// All machines lose power, whatever else their hosts do. Nodes that may go on by themselves do so together, and others do not.
func TestNodesGoOnTogetherAfterAPowerCutOrNotAtAll(t *testing.T) {
	long(t)
	for _, c := range []struct {
		members    int
		unattended bool
		hosts      []hosts
	}{{3, true, []hosts{fair, apart, aged, twice}}, {4, true, []hosts{apart, aged, twice}}, {5, true, []hosts{aged, apart}}, {3, false, []hosts{fair, twice}}} {
		t.Run(fmt.Sprintf("%d members, unattended: %t", c.members, c.unattended), func(t *testing.T) {
			p := plan{members: c.members, sync: 3 * time.Millisecond, unattended: c.unattended}
			for i, h := range c.hosts {
				p.rounds = append(p.rounds, []fault{{kind: powerCut, at: time.Second, lasts: time.Second, host: i % c.members, keyFault: keyFault{hosts: h}, torn: i%2 == 0}})
			}
			if c.members == 3 && c.unattended { // of the disk of a node that was replaced since nothing is of use
				p.rounds = append(p.rounds, []fault{{kind: crash, at: time.Second, lasts: time.Second, host: 1}, {kind: powerCut, at: 7 * time.Second, lasts: time.Second, host: 1, keyFault: keyFault{hosts: aged}}})
			}
			hits := keyed(t, p)
			for _, h := range c.hosts {
				if hits["power cut: "+string(h)] == 0 {
					t.Errorf("never hit: %q", h)
				}
			}
		})
	}
}

// The machine on which members recover a network goes in each step of that. They recover it again, and so a network that they have recovered before.
func TestAMachineGoesInEveryStepOfARecovery(t *testing.T) {
	long(t)
	p := plan{members: 3, sync: 3 * time.Millisecond}
	for i, s := range reopeningSteps {
		p.rounds = append(p.rounds, []fault{{kind: reopening, at: time.Second, lasts: time.Duration(i+1) * 300 * time.Millisecond, keyFault: keyFault{step: s, succeeds: i%2 == 0}, torn: i%2 == 0}})
	}
	hits := keyed(t, p)
	for _, s := range reopeningSteps {
		if hits[string(s)+": crash"] == 0 {
			t.Errorf("never hit: %s", s)
		}
	}
}

// A node goes while an epoch is announced.
func TestNodesGoWhileAnEpochBegins(t *testing.T) {
	long(t)
	p := plan{members: 3, sync: 3 * time.Millisecond}
	for i := range 6 {
		p.rounds = append(p.rounds, []fault{
			{kind: rotation, at: time.Second, lasts: 2*time.Second + time.Duration(i*7)*time.Millisecond, host: i % 3, other: (i + 1) % 3, keyFault: keyFault{leads: i%2 == 0}},
			{kind: partition, at: 2 * time.Second, lasts: 3 * time.Second, host: (i + 1) % 3, other: (i + 2) % 3},
		})
	}
	hits := keyed(t, p)
	if hits["rotation: crash"] == 0 || hits["rotation: crash of the leader"] == 0 {
		t.Errorf("hit: %v", hits)
	}
}
