// Package rolling replaces the nodes of a running network one after the other, while the network goes on:
//
//	look ─▶ [vote the new program in] ─▶ for each node, the leader last: stop ─ start ─ wait until it votes
//	     ─▶ [vote the old program out]
//
// The next node is touched when the last one is a voter again, in its predecessor's place: so there is a
// majority at any time. [Restart] starts the same program again, [Upgrade] another one. Both look at what is
// there already, so that the same call goes on after an interruption. The supervisor (package sandbox)
// stops and starts the processes; the package asks it, and the nodes.
//
// Trust: host
package rolling

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/internal/ctxtime"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/wire"
)

const (
	// spare is the smallest network that goes on while one node restarts: the others must be a
	// majority of all.
	spare = 3
	// restartPatience bounds how long a node may take to end, start and become a voter again.
	restartPatience = 5 * time.Minute
	restartPoll     = 100 * time.Millisecond
	// restartLong is after how long it is said that a node takes long.
	restartLong     = 15 * time.Second
	servingPatience = 30 * time.Second // for nodes that have just started, before anything is done
)

// Restart restarts nodes of a running sandbox, all if none is named, one after the other, and the leader
// last, so that leadership moves once. The next node is not touched before the last one is back, as a voter
// in its predecessor's place. report is told each step.
func Restart(ctx context.Context, dir string, names []string, verifiers attest.Verifiers, report func(localnet.Step)) error {
	info, err := localnet.Load(dir)
	if err != nil {
		return err
	}
	todo, err := info.Named(names)
	if err != nil {
		return err
	}
	st, err := localnet.GetStatus(ctx, info)
	if err != nil {
		return err
	}
	if st.Starting {
		return fmt.Errorf("%w: the network in %s is starting: ask again in a moment", coco.ErrBusy, info.Dir)
	}
	if n := info.Active(); n < spare {
		return fmt.Errorf("%w: a network of %d nodes stops while one of them restarts: use `coco down%s` and `coco up%s`", coco.ErrInvalid, n,
			localnet.DirHint(info.Dir), localnet.DirHint(info.Dir))
	}
	for _, n := range info.Nodes {
		if n.Retired {
			continue
		}
		if s, err := awaitServing(ctx, info, n, verifiers); err != nil || !spared(s) {
			return fmt.Errorf("%w: node %s does not serve as it should (%s): bring it back before another one is restarted", coco.ErrBusy, n.Name, state(s, err))
		}
	}
	for len(todo) > 0 {
		i, old, err := nextRestart(ctx, info, todo, verifiers)
		if err != nil {
			return err
		}
		if err := restartOne(ctx, info, todo[i], old, "", verifiers, report); err != nil {
			return err
		}
		todo = append(todo[:i:i], todo[i+1:]...)
	}
	return nil
}

// nextRestart chooses a node that does not lead, if there is one, and says what it is now.
func nextRestart(ctx context.Context, info localnet.Info, todo []localnet.Node, verifiers attest.Verifiers) (int, *wire.Status, error) {
	var first *wire.Status
	for i, n := range todo {
		s, err := askStatus(ctx, info, n, verifiers)
		if err != nil {
			return 0, nil, err
		}
		if s.Leader != s.Node {
			return i, s, nil
		}
		if i == 0 {
			first = s
		}
	}
	return 0, first, nil
}

// restartOne restarts a node, with another program if code is not empty.
func restartOne(ctx context.Context, info localnet.Info, n localnet.Node, old *wire.Status, code coco.Measurement, verifiers attest.Verifiers, report func(localnet.Step)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, restartPatience, fmt.Errorf("it took longer than %v", restartPatience))
	defer cancel()
	text := n.Name + " is told to end"
	if old.Leader == old.Node {
		text = n.Name + " leads: it hands over, and is told to end"
	}
	report(localnet.Step{Step: "stopping", Node: n.Name, NodeID: old.Node.String(), Text: text})
	if err := localnet.Ask(ctx, info, http.MethodPost, "/restart?node="+url.QueryEscape(n.Name)+"&code="+url.QueryEscape(string(code)), nil); err != nil {
		return err
	}
	began, gone := time.Now(), false
	for {
		s, err := askStatus(ctx, info, n, verifiers)
		if !gone && err != nil {
			gone = true
			report(localnet.Step{Step: "restarting", Node: n.Name, Text: n.Name + " starts again and joins the others"})
		}
		if err == nil && s.Node != old.Node && spared(s) && (code == "" || s.Measurement == code) {
			report(localnet.Step{
				Step: "back", Node: n.Name, NodeID: s.Node.String(), Measurement: string(s.Measurement),
				Text: fmt.Sprintf("%s is back after %v, as a voter in its old place", n.Name, time.Since(began).Round(100*time.Millisecond)),
			})
			return nil
		}
		if err == nil && code != "" && s.Node != old.Node && serves(s) && s.Measurement != code {
			return fmt.Errorf("%w: the new program does not start on node %s, which went back to the old one; its log is in %s. The constitution lists the new one: have members remove it by `coco gov propose remove-code %s%s`, or repeat this",
				coco.ErrInvalid, n.Name, nodeconfig.Dir(n.Dir).Log(), code, localnet.DirHint(info.Dir))
		}
		if !ctxtime.Sleep(ctx, restartPoll) {
			return fmt.Errorf("%w: node %s does not come back (%s): %w; its log is in %s", coco.ErrUnreachable, n.Name, state(s, err), context.Cause(ctx), nodeconfig.Dir(n.Dir).Log())
		}
	}
}

// serves reports whether a node does all that it should: the network can do without another one then.
func serves(s *wire.Status) bool {
	return s != nil && s.Role != "joining" && (s.Voter || s.Learns) && s.Problem == ""
}

// spared reports whether another node may be restarted: this one serves, and the committee is whole. A node that restarts comes back without its package, so nodes that restart faster than
// committees are made would leave fewer packages than the threshold.
func spared(s *wire.Status) bool {
	return serves(s) && (s.Keys == nil || s.Keys.Whole)
}

// awaitServing asks a node until it serves, for servingPatience at most, and returns its last answer: a node that has just started
// may not vote for a moment.
func awaitServing(ctx context.Context, info localnet.Info, n localnet.Node, verifiers attest.Verifiers) (*wire.Status, error) {
	for until := time.Now().Add(servingPatience); ; {
		s, err := askStatus(ctx, info, n, verifiers)
		if err == nil && spared(s) || time.Now().After(until) || !ctxtime.Sleep(ctx, restartPoll) {
			return s, err
		}
	}
}

func state(s *wire.Status, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case s.Problem != "":
		return s.Problem
	case s.Role == "joining":
		return "it is joining"
	case !s.Voter:
		return "it does not vote yet"
	case !spared(s):
		return "the committee that opens the past together is not whole yet"
	}
	return "it is well"
}

// askStatus verifies a node and asks it.
func askStatus(ctx context.Context, info localnet.Info, n localnet.Node, verifiers attest.Verifiers) (*wire.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := info.Connect(n, verifiers)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.Status(ctx)
}
