package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/wire"
)

// Where all seats are needed, a machine that is lost for good closes to the nodes what had expired. They say which epoch it is, at once, for ever and without asking each other on, and an empty machine in its place
// answers for everything that was written since.
func TestWhatNoNodeOpensIsRefusedAndTheRestIsAnswered(t *testing.T) {
	simulateExpiry(t, 3, func(t *testing.T, n *network) {
		var logs []*said
		for i := range 3 {
			logs = append(logs, n.listen(i))
		}
		n.open()
		ids := n.aged(3)
		before := n.committee(0, wire.Keys{}, 20*time.Second)
		n.Crash(2)
		n.World.SetFiles(hostName(2), nil)
		n.rejoin(2, 0, 1)
		n.committee(2, before, time.Minute)
		late, err := put(n.client(0, n.leader()), "key", "late")
		if err != nil {
			t.Fatal(err)
		}
		n.expire()
		for range 2 {
			for i := range 3 {
				for e, id := range ids {
					_, err := n.past(i, id)
					for began := time.Now(); err != nil && strings.Contains(err.Error(), `"pending"`) && time.Since(began) < 30*time.Second; _, err = n.past(i, id) {
						time.Sleep(time.Second)
					}
					if err == nil || !strings.Contains(err.Error(), `"epoch_closed","message":"epoch `) {
						t.Errorf("node %d: epoch %d: %v", i+1, e+1, err)
					}
				}
				if v, err := n.past(i, late); err != nil || v != "late" {
					t.Errorf("node %d: what was written since: %q, %v", i+1, v, err)
				}
			}
			time.Sleep(5 * time.Minute)
		}
		given := 0
		for i := range 3 {
			given += n.metric(i, "parts_given_total")
			text := logs[i].String()
			for epoch := 1; epoch <= len(ids); epoch++ {
				if said := strings.Count(text, fmt.Sprintf("event=%s epoch=%d ", logevent.EpochClosed, epoch)); said > 1 {
					t.Errorf("node %d says %d times that epoch %d is closed:\n%s", i+1, said, epoch, text)
				}
			}
			if strings.Contains(text, string(logevent.PartRefused)) {
				t.Errorf("node %d is asked on:\n%s", i+1, text)
			}
		}
		if given > 40 {
			t.Errorf("%d parts were given: the nodes go on asking each other", given)
		}
		n.audit()
	}, func(c *constitution.Constitution) { c.Shares.Threshold = 3 })
}
