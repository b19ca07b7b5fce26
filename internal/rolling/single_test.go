package rolling

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/wire"
)

// A node is restarted only if the others go on meanwhile, unless nothing is lost by its end.
func TestANodeIsRestartedIfTheOthersCanGoOn(t *testing.T) {
	voter := func() *wire.Status { return &wire.Status{Node: coco.NodeID{1}, Role: "follower", Voter: true} }
	broken := &wire.Status{Node: coco.NodeID{1}, Role: "follower", Voter: true, Problem: "its disk is full"}
	for name, c := range map[string]struct {
		own    *wire.Status
		others []*wire.Status
		ok     bool
	}{
		"all of three serve":              {voter(), []*wire.Status{voter(), voter()}, true},
		"one of three others is down":     {voter(), []*wire.Status{voter(), voter(), nil}, false},
		"one of four others is down":      {voter(), []*wire.Status{voter(), voter(), voter(), nil}, true},
		"a network of two":                {voter(), []*wire.Status{voter()}, false},
		"a network of one":                {voter(), nil, false},
		"one that joins counts for none":  {voter(), []*wire.Status{voter(), {Role: "joining"}}, false},
		"a node that learns is not asked": {&wire.Status{Role: "follower", Learns: true}, nil, true},
		"a node that cannot serve":        {broken, []*wire.Status{voter(), nil}, true},
		"a node that does not answer":     {nil, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told time.Time
				n := Single{
					Name: "delta",
					Status: func(context.Context) (*wire.Status, error) {
						since := time.Since(told)
						switch {
						case told.IsZero() && c.own == nil, !told.IsZero() && since < 2*time.Second:
							return nil, coco.ErrUnreachable
						case told.IsZero():
							return c.own, nil
						case since < 4*time.Second:
							return &wire.Status{Node: coco.NodeID{2}, Role: "joining"}, nil
						}
						return &wire.Status{Node: coco.NodeID{2}, Role: "follower", Voter: true}, nil
					},
					Others:  func(context.Context) ([]*wire.Status, error) { return c.others, nil },
					Restart: func(context.Context) error { told = time.Now(); return nil },
				}
				var steps []string
				err := RestartSingle(t.Context(), n, func(s localnet.Step) { steps = append(steps, s.Step) })
				if !c.ok {
					if !errors.Is(err, coco.ErrBusy) || !told.IsZero() {
						t.Errorf("%v; told: %v", err, told)
					}
					return
				}
				if err != nil || len(steps) != 3 || steps[2] != "back" || time.Since(told) < 4*time.Second {
					t.Errorf("%v, %v after %v", err, steps, time.Since(told))
				}
			})
		})
	}
}

func TestANodeThatDoesNotComeBackIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := Single{
			Name: "delta", Log: "delta/node.log",
			Status:  func(context.Context) (*wire.Status, error) { return nil, coco.ErrUnreachable },
			Restart: func(context.Context) error { return nil },
		}
		waits := 0
		count := func(s localnet.Step) {
			if s.Step == "waiting" && strings.Contains(s.Text, n.Log) {
				waits++
			}
		}
		if err := RestartSingle(t.Context(), n, count); !errors.Is(err, coco.ErrUnreachable) || waits != 1 {
			t.Errorf("%v; said %d times that it takes long, expected once", err, waits)
		}
	})
}
