// Package genesisfile reads what other Ethereum chains are described by, from files: a genesis.json as `geth init` reads it, and a state as `geth dump --iterative`
// writes it. It makes the Ethereum section of a new network's constitution of them.
//
// Trust: host
package genesisfile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/archive"
	"github.com/cocoframework/coco/adapter/ethereum/genesis"
	"github.com/cocoframework/coco/internal/cli"
)

// Flags name the files.
type Flags struct {
	Genesis string
	State   string
}

// Add gives a command the flags.
func (f *Flags) Add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.Genesis, "genesis", "", "chain id, forks, gas limit and accounts of a new network, a `file` genesis.json as geth init reads it")
	f.AddState(cmd)
	_ = cmd.MarkFlagFilename("genesis", "json")
}

// AddState gives a command the flag of the state alone: its argument is the genesis.
func (f *Flags) AddState(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.State, "state", "", "with a genesis: the accounts are those of this state in their place, a `file` of geth dump --iterative")
}

// Section is the Ethereum section of a constitution's page that the files describe.
type Section struct {
	Settings map[string]any
	ChainID  uint64
	Accounts int
}

// Read reads the files. The error is coco.ErrInvalid or coco.ErrVerify and says what is wrong, and where.
func (f *Flags) Read() (*Section, error) {
	if f.Genesis == "" {
		return nil, fmt.Errorf("%w: --state: expected --genesis with it, which says the chain's id and forks", coco.ErrInvalid)
	}
	text, err := os.ReadFile(f.Genesis)
	if err != nil {
		return nil, cli.FileError("--genesis", err)
	}
	g, err := archive.ParseGenesis(f.Genesis, text)
	if err != nil {
		return nil, err
	}
	imported := map[string]any{"genesis": digest(text)}
	if f.State != "" {
		dump, sum, err := f.dump()
		if err != nil {
			return nil, err
		}
		g.Alloc = dump.Alloc
		imported["state"], imported["state_root"] = sum, dump.Root.Hex()
	}
	settings, err := genesis.Section(g, uint64(time.Now().Unix()), f.State != "")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Genesis, err)
	}
	settings["imported"] = imported
	return &Section{Settings: settings, ChainID: g.Config.ChainID.Uint64(), Accounts: len(g.Alloc)}, nil
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (f *Flags) dump() (*genesis.Dump, string, error) {
	in, err := os.Open(f.State)
	if err != nil {
		return nil, "", cli.FileError("--state", err)
	}
	defer in.Close()
	sum := sha256.New()
	d, err := genesis.ReadDump(f.State, io.TeeReader(in, sum))
	if err != nil {
		return nil, "", err
	}
	return d, hex.EncodeToString(sum.Sum(nil)), nil
}
