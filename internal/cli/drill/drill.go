// Package drill shows a rehearsal of a recovery (package rehearsal): `coco recovery drill`, and `coco up --drill` for a network on this machine.
//
// Trust: host
package drill

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/rehearsal"
)

// Run rehearses a recovery and shows what it found. The error is coco.ErrVerify if a recovery would fail.
func Run(ctx context.Context, a *cli.App, cfg rehearsal.Config) error {
	var err error
	if cfg.Code, err = a.Own().Measure(); err != nil {
		return err
	}
	r, err := rehearsal.Run(ctx, cfg)
	a.Err.Line("")
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	if err != nil {
		return err
	}
	return Show(a, r)
}

// Show shows what a rehearsal found. The error is coco.ErrVerify if a recovery would fail.
func Show(a *cli.App, r *rehearsal.Report) error {
	var failure error
	if !r.OK {
		failure = fmt.Errorf("%w: a recovery would fail with what was given: %s", coco.ErrVerify, r.Failures[0])
	}
	if a.WantsJSON() {
		return errors.Join(a.Out.JSON(r), failure)
	}
	show(a.Out, r)
	return failure
}

func show(p *cli.Printer, r *rehearsal.Report) {
	for _, l := range r.Ledgers {
		if l.OK {
			p.OK("%s is whole: %s up to %s", l.Path, cli.Plural(l.Transactions, "transaction"), l.Last)
		} else {
			p.Printf("  %s %s\n", p.Red("✗"), l.Path)
		}
	}
	if r.Taken != "" {
		p.OK("%s would go on after transaction %s of %s, from %s", r.Network, r.Last, time.UnixMilli(int64(r.Time)).UTC().Format(time.RFC3339), r.Taken)
		p.Printf("      %s opens with the parts of %d of %d members\n", r.Lock, r.Threshold, len(r.Members))
	}
	for _, m := range r.Members {
		if m.Opens {
			p.OK("%s: %s opens its part", m.Name, m.Key)
		} else {
			p.Printf("  · %s: nothing that opens its part was given\n", m.Name)
		}
	}
	if r.Opened {
		p.OK("the ledger opens: %s, and every private part of %s", cli.Plural(r.Epochs, "epoch"), cli.Plural(r.Batches, "signed batch"))
	}
	for _, w := range r.Warnings {
		p.Printf("  ! %s\n", w)
	}
	for _, f := range r.Failures {
		p.Printf("  %s %s\n", p.Red("✗"), f)
	}
	if r.OK {
		p.OK("a recovery would succeed")
	}
}
