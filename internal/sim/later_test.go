package sim

import (
	"os"
	"strconv"
	"testing"
	"time"
)

// A leader is frozen, for longer than its connections live, and believes that no time has passed; and then a follower, that knows.
func TestAFrozenNodeShowsNoOldStateAsNew(t *testing.T) {
	long(t)
	replay(t,
		[]fault{{kind: freeze, at: time.Second, lasts: 10 * time.Second, host: 0}},
		[]fault{{kind: freeze, at: time.Second, lasts: 75 * time.Second, host: 0, counted: true}},
		[]fault{{kind: freeze, at: time.Second, lasts: 2 * time.Minute, host: 1}},
		[]fault{{kind: freeze, at: time.Second, lasts: 700 * time.Millisecond, host: 2, counted: true}},
	)
}

// A node that hears from no other goes on answering its clients, and says how old its state is.
func TestANodeThatIsAloneSaysHowOldItsStateIs(t *testing.T) {
	replay(t,
		[]fault{{kind: alone, at: time.Second, lasts: 9 * time.Second, host: 1}},
		[]fault{{kind: alone, at: time.Second, lasts: 9 * time.Second, host: 0}},
	)
}

// Older copies of all disks, of which no node can tell, are not gone on from by members that remember.
func TestMembersThatRememberDoNotGoOnFromOldCopiesOfAllDisks(t *testing.T) {
	replay(t, nil, []fault{{kind: copies, at: 2 * time.Second, lasts: time.Second}})
}

func TestAFloodOfOneClientKeepsNoOtherWaiting(t *testing.T) {
	replay(t,
		[]fault{{kind: flood, at: time.Second, host: 0, other: 1}},
		[]fault{{kind: flood, at: time.Second, host: 2, other: 0}},
	)
}

// Members change who decides settings while nodes hear from each other one way only, and their leader goes.
func TestAPolicyDecidesFromItsAcceptanceOnWhoeverLeads(t *testing.T) {
	replay(t,
		[]fault{
			{kind: policies, at: time.Second, lasts: 7 * time.Second, host: 1},
			{kind: isolation, at: 1500 * time.Millisecond, lasts: 5 * time.Second, host: 0, other: 1},
			{kind: partition, at: 4 * time.Second, lasts: 4 * time.Second, host: 1, other: 2},
			{kind: crash, at: 3 * time.Second, lasts: 2 * time.Second, host: 0},
		},
	)
}

// Many epochs begin; EPOCHS says how many. A node that comes back, an empty one, and one that recovers the network open all of them.
func TestANetworkGoesOnAfterManyEpochs(t *testing.T) {
	n := 100
	if text := os.Getenv("EPOCHS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatalf("EPOCHS=%s: expected a number", text)
		}
	} else if testing.Short() {
		n = 20
	}
	replay(t,
		[]fault{{kind: epochs, keyFault: keyFault{times: n}}},
		[]fault{{kind: crash, at: time.Second, lasts: time.Second, host: 2}, {kind: clone, at: 2 * time.Second, lasts: 5 * time.Second, host: 0}},
		[]fault{{kind: crash, at: time.Second, lasts: time.Second, host: 1, lie: lost}},
		[]fault{{kind: blackout, at: time.Second, lasts: time.Second}},
	)
}
