package ethcmd

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/archive"
	"github.com/cocoframework/coco/adapter/ethereum/genesis"
	"github.com/cocoframework/coco/adapter/ethereum/reexecute"
	"github.com/cocoframework/coco/adapter/ethereum/settings"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/genesisfile"
)

func (a *app) settings() *cobra.Command {
	var f genesisfile.Flags
	var out string
	cmd := &cobra.Command{
		Use:   "settings GENESIS",
		Short: "Make the Ethereum section of a new network's constitution of a genesis.json",
		Long: `Reads a genesis.json, as geth init reads it, and writes the section [adapters.ethereum] of the constitution's page for a new network: the chain's id, the forks, the gas limit and
the accounts. With --state the accounts are those of another chain's state, as geth dump --iterative writes it; they must have the state root that the dump begins with. The section
names the SHA-256 of both files, and the constitution's digest covers it with all accounts.

Put the lines into the page that members approve (docs/operations.md), and edit what is the network's own: visibility, predeploys, limits.`,
		Example: "  coco eth settings genesis.json --out ethereum.toml\n  coco eth settings genesis.json --state dump.jsonl --out ethereum.toml",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			f.Genesis = args[0]
			s, err := f.Read()
			if err != nil {
				return err
			}
			text, err := genesis.TextOf(s.Settings)
			if err != nil {
				return err
			}
			if _, err := settings.CompleteNew(text); err != nil { // which the founder would be told later
				return fmt.Errorf("%s: %w", args[0], err)
			}
			page := fmt.Sprintf("[adapters.ethereum]\njson = '%s'\n", text)
			if out == "" {
				a.Out.Printf("%s", page)
				return nil
			}
			if err := atomicfile.Create(out, []byte(page), 0o600); err != nil {
				return err
			}
			a.Out.OK("chain %d with %s: the section of the constitution is in %s", s.ChainID, cli.Plural(uint64(s.Accounts), "account"), out)
			return nil
		},
	}
	f.AddState(cmd)
	cmd.Flags().StringVar(&out, "out", "", "`file` to make (default: standard output)")
	return cmd
}

func (a *app) imports() *cobra.Command {
	var genesisFile, out string
	cmd := &cobra.Command{
		Use:   "import CHAIN --genesis FILE --out DIR",
		Short: "Execute a chain that another program has exported, and keep the state that it ends with",
		Long: `Executes a chain in RLP, as geth export writes it, with go-ethereum: each block's state root, receipts root, gas and bloom must be what its header says. The folder then has state.jsonl,
the state after the last block as geth dump --iterative writes it, and genesis.json, with which a new network begins with that state:

    coco up --genesis DIR/genesis.json --state DIR/state.jsonl

The blocks themselves do not become blocks of the new network, whose block 0 has the state. The constitution names the SHA-256 of both files and the state root, so members approve
that very state, and whoever has the chain comes to it again.`,
		Example: "  coco eth import chain.rlp --genesis genesis.json --out imported\n  coco up --genesis imported/genesis.json --state imported/state.jsonl",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx := cmd.Context()
			r, err := openChain(ctx, args[0], genesisFile)
			if err != nil {
				return err
			}
			defer r.Close()
			if err := os.Mkdir(out, 0o700); err != nil {
				return fmt.Errorf("%w: --out: %w", coco.ErrInvalid, err)
			}
			done := false
			defer func() {
				if !done {
					err = errors.Join(err, os.RemoveAll(out))
				}
			}()
			state := filepath.Join(out, "database")
			chain, err := reexecute.Open(r.Genesis, state)
			if err != nil {
				return err
			}
			of := replayed{First: 1}
			var dump *os.File
			if err = a.blocks(ctx, r, chain, &of); err == nil {
				dump, err = createDump(filepath.Join(out, "state.jsonl"))
			}
			if err == nil {
				err = errors.Join(writeDump(chain, dump), writeGenesis(r, filepath.Join(out, "genesis.json")))
			}
			if err = errors.Join(err, chain.Close(), os.RemoveAll(state)); err != nil {
				return interrupted(ctx, err)
			}
			done = true
			head, root := chain.Newest()
			a.Out.OK("blocks 1 to %d are what go-ethereum comes to, with their %s", of.Last, cli.Plural(of.Transactions, "transaction"))
			a.Out.OK("the state after block %d (%v) has the root %v and is in %s", of.Last, head.Hash(), root, out)
			return nil
		},
	}
	cmd.Flags().StringVar(&genesisFile, "genesis", "", "block 0 of the chain, a `file` genesis.json that geth init reads")
	cmd.Flags().StringVar(&out, "out", "", "`folder` to make")
	for _, name := range []string{"genesis", "out"} {
		_ = cmd.MarkFlagRequired(name)
	}
	_ = cmd.MarkFlagFilename("genesis", "json")
	return cmd
}

// writeGenesis writes a genesis without its accounts, which a state replaces.
func writeGenesis(r *archive.Reader, name string) error {
	text, err := genesis.Text(genesis.WithoutAccounts(r.Genesis))
	if err != nil {
		return err
	}
	return atomicfile.Create(name, text, 0o600)
}

// createDump makes the file of a dump, which MUST NOT exist.
func createDump(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", coco.ErrInvalid, err)
	}
	return f, nil
}

// writeDump writes the state and closes the file.
func writeDump(chain *reexecute.Chain, f *os.File) error {
	w := bufio.NewWriterSize(f, 1<<18)
	return errors.Join(chain.Dump(w), w.Flush(), f.Sync(), f.Close())
}
