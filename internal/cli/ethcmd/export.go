package ethcmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/archive"
	"github.com/cocoframework/coco/adapter/ethereum/archiving"
	"github.com/cocoframework/coco/adapter/ethereum/genesis"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/ledgercmd"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/reach"
	"github.com/cocoframework/coco/store"
	"github.com/cocoframework/coco/wire"
)

func (a *app) genesis() *cobra.Command {
	var f network.Flags
	var out string
	cmd := &cobra.Command{
		Use:   "genesis",
		Short: "Write a network's block 0 as a genesis.json, which geth init reads",
		Long: `Writes block 0 of a network as go-ethereum's genesis.json: the forks, the accounts and the header. It is made of the constitution, which the node proves to be the network's, and go-ethereum must come
to the same block 0. In a closed network an auditor asks.`,
		Example: "  coco eth genesis --out genesis.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			_, s, ask, err := a.node(ctx, &f)
			if err != nil {
				return err
			}
			h, err := ask.Header(ctx, 0)
			if err != nil {
				return err
			}
			spec, err := genesis.Spec(s, h)
			if err != nil {
				return err
			}
			text, err := genesis.Text(spec)
			if err != nil {
				return err
			}
			if out == "" {
				a.Out.Printf("%s", text)
				return nil
			}
			if err := atomicfile.Create(out, text, 0o600); err != nil {
				return err
			}
			a.Out.OK("block 0 of chain %d, %v, is in %s", s.ChainID, h.Hash(), out)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "`file` to make (default: standard output)")
	f.AddConnect(cmd)
	return cmd
}

// node connects to a node, and reads the settings of its network.
func (a *app) node(ctx context.Context, f *network.Flags) (*constitution.Constitution, *settings.Settings, archiving.Node, error) {
	c, err := f.Connect(ctx, a.Verifiers())
	if err != nil {
		return nil, nil, nil, err
	}
	con, _, err := reach.Constitution(ctx, c)
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := settingsOf(con)
	ask := func(ctx context.Context, result any, method string, params ...any) error {
		return network.Call(ctx, c, result, method, params...)
	}
	return con, s, ask, err
}

func settingsOf(con *constitution.Constitution) (*settings.Settings, error) {
	section := con.Settings("ethereum")
	if section == nil {
		return nil, fmt.Errorf("%w: network %q has no Ethereum ledger", coco.ErrNotFound, con.Network.Name)
	}
	return settings.Parse(section)
}

func (a *app) export() *cobra.Command {
	var r ledgercmd.Reader
	var f network.Flags
	var out string
	var from, to uint64
	cmd := &cobra.Command{
		Use:   "export [LEDGER] --out DIR",
		Short: "Write blocks, receipts and block 0 for an audit with go-ethereum",
		Long: `Writes an archive: a folder with genesis.json (block 0, as geth init reads it), chain.rlp (the blocks, as geth export writes them), receipts.rlp, and a manifest with
the digest of each. ` + "`coco eth replay`" + ` executes it again with go-ethereum.

LEDGER is a folder of ledger files or of a node, which is read offline with keys, as ` + "`coco ledger export`" + ` reads it. The archive then holds also what each transaction has
written to the state (writes.jsonl), so that a replay finds a forged balance in the transaction that wrote it. All epochs from the first on must open.

Without LEDGER a node is asked: in an open network everybody may, in a closed one its auditors. An archive of a later part (--from) is replayed on the state that the replay of
the part before it has left (--state).

What is written is confidential: the folder is its owner's alone.`,
		Example: "  coco eth export --out audit\n  coco eth export /backup/alpha --key auditor/encryption.key --out audit\n  coco eth export --from 1001 --out second",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if to != 0 && from > to || from == 0 {
				return fmt.Errorf("%w: --from %d --to %d: expected --from to be at least 1, and not after --to", coco.ErrInvalid, from, to)
			}
			if err := belong(cmd, len(args) > 0); err != nil {
				return err
			}
			if len(args) == 0 {
				return a.exportNode(cmd.Context(), &f, from, to, out)
			}
			if from != 1 || to != 0 {
				return fmt.Errorf("%w: --from and --to are of a node: a ledger is exported whole", coco.ErrInvalid)
			}
			r.Service(f.Service)
			return a.exportLedger(cmd.Context(), &r, args[0], out)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&out, "out", "", "`folder` to make")
	fl.Uint64Var(&from, "from", 1, "first `block`")
	fl.Uint64Var(&to, "to", 0, "last `block` (default: the newest)")
	_ = cmd.MarkFlagRequired("out")
	r.Flags(cmd)
	f.AddConnect(cmd)
	return cmd
}

// belong refuses flags that say nothing of what is exported: an archive of a node in the place of one of a ledger proves less.
func belong(cmd *cobra.Command, ledger bool) error {
	names, say := []string{"key", "grant", "epochs"}, "is of a ledger: name the folder of its files, as in coco eth export LEDGER --key FILE --out DIR"
	if ledger {
		names, say = []string{"dir", "config", "node", "cert", "cert-key"}, "is of a node: a ledger is read from its files"
	}
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("%w: --%s %s", coco.ErrInvalid, name, say)
		}
	}
	return nil
}

// again refuses a network whose blocks nobody can execute again: in development mode accounts change between blocks, and senders need not sign.
func again(s *settings.Settings) error {
	if s.Development {
		return fmt.Errorf("%w: the network is in development mode: accounts change between its blocks, and transactions need no signature, so its blocks cannot be executed again", coco.ErrInvalid)
	}
	return nil
}

func (a *app) exportNode(ctx context.Context, f *network.Flags, from, to uint64, out string) (err error) {
	con, s, ask, err := a.node(ctx, f)
	if err == nil {
		err = again(s)
	}
	if err != nil {
		return err
	}
	newest, err := ask.Newest(ctx)
	switch {
	case err != nil:
		return err
	case to == 0:
		to = newest
	case to > newest:
		return fmt.Errorf("%w: --to %d: the newest block of the node is %d", coco.ErrInvalid, to, newest)
	}
	if newest == 0 {
		return fmt.Errorf("%w: the newest block of the node is 0: there is none to export yet", coco.ErrNotFound)
	}
	if from > to {
		return fmt.Errorf("%w: --from %d: the newest block of the node is %d", coco.ErrInvalid, from, newest)
	}
	h, err := ask.Header(ctx, 0)
	if err != nil {
		return err
	}
	spec, err := genesis.Spec(s, h)
	if err != nil {
		return err
	}
	w, err := create(out, con.Network.Name, spec, false)
	if err != nil {
		return err
	}
	progress := a.Err.Bar("exporting")
	for n := from; n <= to; n++ {
		progress(int64(n-from), int64(to-from+1))
		it, err := ask.Block(ctx, n)
		if err == nil {
			err = w.Add(it)
		}
		if err != nil {
			return errors.Join(interrupted(ctx, err), w.Abort())
		}
	}
	a.Err.Line("")
	return a.exported(w, out)
}

func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return cli.ErrInterrupted
	}
	return err
}

func (a *app) exportLedger(ctx context.Context, r *ledgercmd.Reader, dir, out string) error {
	con, each, err := r.Open(ctx, a.App, dir)
	if err != nil {
		return err
	}
	s, err := settingsOf(con)
	if err == nil {
		err = again(s)
	}
	if err != nil {
		return err
	}
	var w *archive.Writer
	collector := &archiving.Collector{Block: func(it *archive.Item) error {
		number := it.Block.NumberU64()
		if number > 0 && w != nil {
			return w.Add(it)
		}
		if number > 0 {
			return fmt.Errorf("%w: the epochs that open begin with block %d of the Ethereum ledger, expected block 0: what precedes a block is needed to execute it", coco.ErrInvalid, number)
		}
		spec, err := genesis.Spec(s, it.Block.Header())
		if err != nil {
			return err
		}
		w, err = create(out, con.Network.Name, spec, true)
		return err
	}}
	_, err = each(func(line *wire.Exported) error {
		writes := make([]store.Write, len(line.Writes))
		for i, r := range line.Writes {
			writes[i] = store.Write{Table: r.Table, Key: r.Key, Value: r.Value, Delete: r.Deleted}
		}
		return collector.Add(line.TransactionID, writes)
	})
	if w == nil && err == nil {
		err = fmt.Errorf("%w: the epochs that open hold no block of the Ethereum ledger", coco.ErrNotFound)
	}
	if w == nil {
		return err
	}
	if rest := collector.Rest(); err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: transaction %s of the ledger, after the last block, writes to the state and belongs to no block", coco.ErrVerify, rest[0].Transaction)
	}
	if err != nil {
		return errors.Join(err, w.Abort())
	}
	return a.exported(w, out)
}

func (a *app) exported(w *archive.Writer, out string) error {
	m, err := w.Close()
	if err != nil {
		return err
	}
	a.Out.OK("blocks %d to %d of chain %d are in %s", m.First, m.Last, m.ChainID, out)
	return nil
}
