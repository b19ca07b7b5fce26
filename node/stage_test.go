package node

import (
	"log/slog"
	"testing"
)

// What a node may do that has applied its own admission, such as removing snapshots that no record names, it may not do
// because it is told to end before.
func TestANodeThatLeavesBeforeItServesHasNotJoined(t *testing.T) {
	for _, c := range []struct {
		way    []stage
		joined bool
	}{
		{nil, false},
		{[]stage{joining}, false},
		{[]stage{joining, leaving}, false},
		{[]stage{joining, leaving, retired}, false},
		{[]stage{joining, serving}, true},
		{[]stage{joining, serving, leaving}, true},
		{[]stage{joining, serving, retired}, true},
	} {
		p := &progress{log: slog.New(slog.DiscardHandler)}
		for _, to := range c.way {
			if !p.enter(to) {
				t.Fatalf("%v: %v may not follow", c.way, to)
			}
		}
		if p.joined() != c.joined {
			t.Errorf("%v: joined is %v", c.way, p.joined())
		}
	}
}

func TestALifeGoesOnlyFromStageToStage(t *testing.T) {
	legal := map[[2]stage]bool{
		{starting, joining}: true, {joining, serving}: true, {joining, leaving}: true,
		{serving, leaving}: true, {serving, retired}: true, {leaving, retired}: true,
	}
	for from := starting; from <= retired; from++ {
		for to := starting; to <= retired; to++ {
			p := &progress{log: slog.New(slog.DiscardHandler)}
			p.now.Store(int32(from))
			want, stays := legal[[2]stage{from, to}], from
			if want {
				stays = to
			}
			if got := p.enter(to); got != want || p.stage() != stays {
				t.Errorf("from %s to %s: %t, then it is %s", from, to, got, p.stage())
			}
		}
	}
}
