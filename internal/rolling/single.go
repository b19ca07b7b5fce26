package rolling

import (
	"context"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/ctxtime"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/wire"
)

// Single is a node that its operator runs, beside nodes of others: what [RestartSingle] asks of it.
type Single struct {
	Name string
	// Status asks the node what it does.
	Status func(context.Context) (*wire.Status, error)
	// Others asks the other voters of the network; an answer is nil for one that does not say anything.
	Others func(context.Context) ([]*wire.Status, error)
	// Restart asks the node's process to start again, and returns when that has taken the request.
	Restart func(context.Context) error
	Log     string // its file
}

// RestartSingle restarts one node and waits until it is back, in its predecessor's place. It does so only if the other voters are a majority
// that serves, unless the node does not serve as it should itself: then nothing is lost by it. report is told each step.
func RestartSingle(ctx context.Context, n Single, report func(localnet.Step)) error {
	old, err := n.Status(ctx)
	if err == nil && old.Voter && serves(old) {
		if err := n.canBeSpared(ctx); err != nil {
			return err
		}
	}
	step := localnet.Step{Step: "stopping", Node: n.Name, Text: n.Name + " is told to start again"}
	if err == nil {
		step.NodeID = old.Node.String()
		if old.Leader == old.Node {
			step.Text = n.Name + " leads: it hands over, and is told to start again"
		}
	}
	report(step)
	if err := n.Restart(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, restartPatience, fmt.Errorf("it took longer than %v", restartPatience))
	defer cancel()
	began, gone, long := time.Now(), false, false
	for {
		s, err := n.Status(ctx)
		if !gone && err != nil {
			gone = true
			report(localnet.Step{Step: "restarting", Node: n.Name, Text: n.Name + " starts again and joins the others"})
		}
		if err == nil && spared(s) && (old == nil && gone || old != nil && s.Node != old.Node) {
			place := "as a voter in its old place"
			if s.Learns {
				place = "and learns, as its organisation has votes enough"
			}
			report(localnet.Step{
				Step: "back", Node: n.Name, NodeID: s.Node.String(), Measurement: string(s.Measurement),
				Text: fmt.Sprintf("%s is back after %v, %s", n.Name, time.Since(began).Round(100*time.Millisecond), place),
			})
			return nil
		}
		if !long && time.Since(began) > restartLong {
			long = true
			report(localnet.Step{
				Step: "waiting", Node: n.Name,
				Text: fmt.Sprintf("%s is not back after %v: its log %s says what it waits for; this command waits %v", n.Name, restartLong, n.Log, restartPatience),
			})
		}
		if !ctxtime.Sleep(ctx, restartPoll) {
			return fmt.Errorf("%w: node %s does not come back (%s): %w; its log is %s", coco.ErrUnreachable, n.Name, state(s, err), context.Cause(ctx), n.Log)
		}
	}
}

// canBeSpared reports why the others could not go on without a voter; nil if they can.
func (n Single) canBeSpared(ctx context.Context) error {
	others, err := n.Others(ctx)
	if err != nil {
		return fmt.Errorf("whether the others can go on without %s: %w", n.Name, err)
	}
	voters, serving := len(others)+1, 0
	for _, s := range others {
		if serves(s) {
			serving++
		}
	}
	if majority := voters/2 + 1; serving < majority {
		return fmt.Errorf("%w: of %d voters, %d are needed to go on, and %d besides %s answer here and serve: bring others back first; to stop the network for a moment, restart the node by what runs it, such as its service manager",
			coco.ErrBusy, voters, majority, serving, n.Name)
	}
	return nil
}
