package ethcmd

import (
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/params"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/archive"
	"github.com/cocoframework/coco/internal/cli"
)

func TestAStateIsItsOwnersAloneAndHarmsNoOtherFolder(t *testing.T) {
	config := *params.MergedTestChainConfig
	g := &core.Genesis{Config: &config, Difficulty: new(big.Int), GasLimit: 30_000_000, BaseFee: big.NewInt(1), Alloc: types.GenesisAlloc{}}
	text := new(strings.Builder)
	a := &app{&cli.App{Out: cli.NewPrinter(text), Err: cli.NewPrinter(new(strings.Builder))}}
	replay := func(state string) error {
		f, err := os.Open(os.DevNull) // a chain without blocks
		if err != nil {
			t.Fatal(err)
		}
		r := archive.Foreign(g, "chain.rlp", f)
		defer r.Close()
		return a.execute(t.Context(), r, state, nil)
	}
	dir := filepath.Join(t.TempDir(), "made", "state")
	for range 2 { // the second one goes on
		if err := replay(dir); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		t.Errorf("%v, %v: expected a folder that its owner alone reads", info.Mode(), err)
	}
	if err := replay(t.TempDir()); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "chain.rlp"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replay(other); !errors.Is(err, coco.ErrInvalid) || !strings.Contains(err.Error(), "found chain.rlp in it") {
		t.Errorf("a folder of something else: %v", err)
	}
	if files, err := os.ReadDir(other); err != nil || len(files) != 1 {
		t.Errorf("%d files, %v", len(files), err)
	}
}
