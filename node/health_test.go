package node

import (
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco/gateway"
	"github.com/cocoframework/coco/replica"
)

func TestHealthNamesTheOneThingThatIsWrong(t *testing.T) {
	well := vitals{stage: serving, joined: true, listed: true, leader: true, lag: maxLag, writing: replica.DiskPatience}
	for _, tc := range []struct {
		hurt  func(*vitals)
		check string
		says  string
	}{
		{func(*vitals) {}, "", ""},
		{func(v *vitals) { v.stage, v.joined = joining, false }, "member", "joining"},
		{func(v *vitals) { v.stage = leaving }, "running", "stopping"},
		{func(v *vitals) { v.listed = false }, "member", "not trust"},
		{func(v *vitals) { v.leader = false }, "leader", "no leader"},
		{func(v *vitals) { v.lag++ }, "lag", "65 ledger entries behind"},
		{func(v *vitals) { v.writing += 5 * time.Second }, "disk", "for 7s"},
	} {
		v := well
		tc.hurt(&v)
		var bad []gateway.Check
		for _, c := range v.checks() {
			if c.Problem != "" {
				bad = append(bad, c)
			}
		}
		switch {
		case tc.check == "" && len(bad) != 0, tc.check != "" && len(bad) != 1:
			t.Errorf("%s: %v", tc.check, bad)
		case tc.check != "" && (bad[0].Name != tc.check || !strings.Contains(bad[0].Problem, tc.says)):
			t.Errorf("%s: %v", tc.check, bad)
		}
	}
}
