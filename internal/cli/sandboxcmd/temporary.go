package sandboxcmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/sandbox"
)

// NeedsOpen refuses to run a command whose members read each other's Ethereum accounts and transactions, where the network does not show them.
func NeedsOpen(info localnet.Info, command string) error {
	c, err := info.InForce()
	if err != nil {
		return err
	}
	if c.Adapters["ethereum"]["visibility"] == "closed" {
		return fmt.Errorf("%w: %s needs an open network, in which members see each other's transactions; that in %s is closed: coco up --dir OTHER makes an open one", coco.ErrInvalid, command, info.Dir)
	}
	return nil
}

// Network returns the running network in a folder, with those of its nodes that serve, or a temporary one if dir is empty. stop
// ends what was started.
func Network(ctx context.Context, c *cli.App, dir string, nodes int, change func(*sandbox.Options)) (info localnet.Info, stop func() error, err error) {
	a := &app{c}
	if dir != "" {
		info, _, err := localnet.Running(ctx, dir)
		if err == nil {
			info.Nodes, err = info.Serving(ctx, c.Verifiers())
		}
		return info, func() error { return nil }, err
	}
	tmp, err := os.MkdirTemp("", "coco-")
	if err != nil {
		return info, nil, err
	}
	flags := upFlags{dir: tmp, members: nodes}
	opts, err := a.options(&flags)
	if err != nil {
		return info, nil, err
	}
	opts.KeepCode = false
	opts.Log = slog.New(slog.DiscardHandler)
	opts.Report = func(s localnet.Step) {
		if s.Step == "stopped" {
			return // a temporary network does not go on
		}
		a.Err.Line("starting a network of %d: %s", nodes, s.Text)
	}
	if change != nil {
		change(&opts)
	}
	s, err := sandbox.Start(ctx, opts)
	a.Err.Line("")
	if err != nil {
		return info, nil, errors.Join(err, os.RemoveAll(tmp))
	}
	return s.Info(), func() error { return errors.Join(s.Stop(), os.RemoveAll(tmp)) }, nil
}
