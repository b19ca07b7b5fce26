package ledgercmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/disclosure"
	"github.com/cocoframework/coco/wire"
)

// Reader is the flags with which another group's command opens a ledger, as `coco ledger export` does.
type Reader struct {
	readable
	grant string
}

// Flags adds the flags. They are optional: with none of them the command does not read a ledger.
func (r *Reader) Flags(cmd *cobra.Command) {
	r.keyFlags(cmd, " (default: all)")
	cmd.Flags().StringVar(&r.grant, "grant", "", "what members granted, a `file` of `coco ledger grant`")
	_ = cmd.MarkFlagFilename("grant")
}

// Service says which service certificate the network must have, a PEM file; "" if it is not known.
func (r *Reader) Service(file string) { r.service = file }

// Open verifies the ledger in a folder. It returns the constitution at its end, and what shows each transaction of the epochs that the keys open, in their order, with how
// many there are.
func (r *Reader) Open(ctx context.Context, c *cli.App, dir string) (*constitution.Constitution, func(show func(*wire.Exported) error) (uint64, error), error) {
	if len(r.keys) == 0 {
		return nil, nil, fmt.Errorf("%w: expected --key, a private encryption key that reads the ledger", coco.ErrInvalid)
	}
	a := &app{c}
	s, ledger, k, e, err := a.read(ctx, dir, &r.readable)
	if err != nil {
		return nil, nil, err
	}
	with, err := a.keysOf(ledger, k, e, r.grant)
	if err != nil {
		return nil, nil, err
	}
	each := func(show func(*wire.Exported) error) (uint64, error) {
		var shown error // which an audit would call a fault of the ledger
		count, err := disclosure.Export(ctx, s, ledger, with, disclosure.Transactions{}, nil, func(line *wire.Exported) error {
			shown = show(line)
			return shown
		})
		switch {
		case ctx.Err() != nil:
			return count, cli.ErrInterrupted
		case shown != nil:
			return count, shown
		}
		return count, err
	}
	return ledger.Constitution(), each, nil
}
