package ethcmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/archive"
	"github.com/cocoframework/coco/adapter/ethereum/reexecute"
	"github.com/cocoframework/coco/internal/cli"
)

func (a *app) replay() *cobra.Command {
	var genesisFile, state, dump string
	cmd := &cobra.Command{
		Use:   "replay ARCHIVE",
		Short: "Execute an archive again with go-ethereum, and report the first difference",
		Long: `Executes each block of an archive with unmodified go-ethereum and compares: the receipts one by one, what the ledger holds after each transaction (where the archive is of a
ledger), and what the header says. It ends at the first difference with exit code 3, and names the block, the transaction, the field, what go-ethereum comes to, and what was found.

The state is in a database on disk, of a temporary folder or of --state; memory holds a cache of 64 MiB and one block. With --state the replay goes on where an earlier one has ended:
after an interruption, or with an archive of the blocks that follow.

With --genesis, ARCHIVE is a file of blocks in RLP that another program has exported, such as geth export. Each header's state root is then of its own block.`,
		Example: "  coco eth replay audit\n  coco eth replay second --state state\n  coco eth replay chain.rlp --genesis genesis.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := openChain(cmd.Context(), args[0], genesisFile)
			if err != nil {
				return interrupted(cmd.Context(), err)
			}
			defer r.Close()
			if dump == "" {
				return a.execute(cmd.Context(), r, state, nil)
			}
			f, err := createDump(dump) // before hours of work, which would be in vain
			if err != nil {
				return fmt.Errorf("--dump: %w", err)
			}
			if err := a.execute(cmd.Context(), r, state, f); err != nil {
				_ = f.Close()
				return errors.Join(err, os.Remove(dump))
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&genesisFile, "genesis", "", "ARCHIVE is a chain in RLP with this genesis.json, a `file` that geth init reads")
	fl.StringVar(&state, "state", "", "`folder` for the state, which stays and is gone on with (default: a temporary one)")
	fl.StringVar(&dump, "dump", "", "`file` to make with the state after the last block, as geth dump --iterative writes it")
	_ = cmd.MarkFlagFilename("genesis", "json")
	a.OutputFlag(cmd)
	return cmd
}

// openChain opens an archive or, with a genesis, a chain in RLP.
func openChain(ctx context.Context, name, genesisFile string) (*archive.Reader, error) {
	if genesisFile == "" {
		return archive.Open(ctx, folder(name))
	}
	text, err := os.ReadFile(genesisFile)
	if err != nil {
		return nil, cli.FileError("--genesis", err)
	}
	g, err := archive.ParseGenesis(genesisFile, text)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, cli.FileError("chain", err)
	}
	return archive.Foreign(g, name, f), nil
}

// replayed is what a replay has found.
type replayed struct {
	First        uint64                `json:"first"`
	Last         uint64                `json:"last"` // that agrees
	Transactions uint64                `json:"transactions"`
	Records      uint64                `json:"records"` // of the ledger
	StateRoot    string                `json:"state_root,omitempty"`
	Difference   *reexecute.Difference `json:"difference,omitempty"`
}

// execute executes an archive; dump is nil, or the file for the state at the end, which it closes.
func (a *app) execute(ctx context.Context, r *archive.Reader, state string, dump *os.File) (err error) {
	dir := state
	if dir != "" {
		if err := placeState(dir); err != nil {
			return err
		}
	} else {
		if dir, err = os.MkdirTemp("", "coco-replay-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	}
	chain, err := reexecute.Open(r.Genesis, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, chain.Close()) }()
	out := replayed{First: chain.Next(), Last: chain.Next() - 1}
	if err := a.blocks(ctx, r, chain, &out); err != nil {
		if !errors.As(err, &out.Difference) {
			return interrupted(ctx, err)
		}
		if a.WantsJSON() {
			err = errors.Join(a.Out.JSON(&out), err)
		}
		return err
	}
	_, root := chain.Newest()
	out.StateRoot = root.Hex()
	if dump != nil {
		if err := writeDump(chain, dump); err != nil {
			return err
		}
	}
	if a.WantsJSON() {
		return a.Out.JSON(&out)
	}
	if out.Last < out.First {
		a.Out.OK("nothing to execute: the state is of block %d already", out.Last)
		return nil
	}
	a.Out.OK("blocks %d to %d are what go-ethereum comes to, with their %s", out.First, out.Last, cli.Plural(out.Transactions, "transaction"))
	if out.Records > 0 {
		a.Out.OK("so is what the ledger holds after each of %s", cli.Plural(out.Records, "record"))
	}
	a.Out.Printf("    state root after block %d: %s\n", out.Last, out.StateRoot)
	return nil
}

// blocks executes the blocks that follow those of the state.
func (a *app) blocks(ctx context.Context, r *archive.Reader, chain *reexecute.Chain, out *replayed) error {
	progress, m := a.Err.Bar("executing"), &r.Manifest
	defer a.Err.Line("")
	if m.First > chain.Next() {
		return fmt.Errorf("%w: the archive begins with block %d, and the state is that before block %d: replay what precedes it first, with --state", coco.ErrInvalid, m.First, chain.Next())
	}
	for {
		it, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case it.Block.NumberU64() < chain.Next():
			if hash := it.Block.Hash(); chain.Executed(it.Block.NumberU64()) != hash {
				return fmt.Errorf("%w: block %d of the archive is %v, and the state is of a chain in which it is %v", coco.ErrVerify, it.Block.NumberU64(), hash, chain.Executed(it.Block.NumberU64()))
			}
			continue // block 0, or of an earlier run
		case ctx.Err() != nil:
			return cli.ErrInterrupted
		}
		if err := chain.Check(ctx, it, m.StateRoot); err != nil {
			return err
		}
		out.Last = it.Block.NumberU64()
		out.Transactions += uint64(len(it.Block.Transactions()))
		if it.Writes != nil {
			out.Records += uint64(len(it.Writes.Transactions))
		}
		if m.Last > 0 {
			progress(int64(out.Last-m.First+1), int64(m.Last-m.First+1))
		} else {
			a.Err.Line("executing: block %d", out.Last)
		}
	}
}
