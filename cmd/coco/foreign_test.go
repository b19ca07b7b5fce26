package main

import (
	"encoding/json"
	"math/big"
	"os"
	"path/filepath"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/consensus/beacon"
	"github.com/ethereum/go-ethereum/consensus/ethash"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/rogpeppe/go-internal/testscript"
)

// mines DIR N: go-ethereum makes a chain of N blocks, each of which pays 7 wei to 0x09…00, and writes DIR/genesis.json and DIR/chain.rlp.
func mines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mines DIR N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	key, err := crypto.ToECDSA(crypto.Keccak256([]byte("miner")))
	ts.Check(err)
	zero, begin := new(big.Int), uint64(0)
	config := &params.ChainConfig{
		ChainID: big.NewInt(4711), HomesteadBlock: zero, EIP150Block: zero, EIP155Block: zero, EIP158Block: zero, ByzantiumBlock: zero, ConstantinopleBlock: zero, PetersburgBlock: zero,
		IstanbulBlock: zero, BerlinBlock: zero, LondonBlock: zero, TerminalTotalDifficulty: zero, ShanghaiTime: &begin, CancunTime: &begin,
		BlobScheduleConfig: &params.BlobScheduleConfig{Cancun: params.DefaultCancunBlobConfig},
	}
	g := &core.Genesis{Config: config, Difficulty: zero, GasLimit: 30_000_000, BaseFee: big.NewInt(params.InitialBaseFee), Alloc: types.GenesisAlloc{
		crypto.PubkeyToAddress(key.PublicKey): {Balance: big.NewInt(params.Ether)},
	}}
	_, blocks, _ := core.GenerateChainWithGenesis(g, beacon.New(ethash.NewFaker()), n, func(i int, b *core.BlockGen) {
		b.AddTx(types.MustSignNewTx(key, types.LatestSigner(config), &types.DynamicFeeTx{
			ChainID: config.ChainID, Nonce: uint64(i), To: &common.Address{9}, Gas: 21_000, GasFeeCap: b.BaseFee(), Value: big.NewInt(7),
		}))
	})
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	text, err := json.Marshal(g)
	ts.Check(err)
	ts.Check(os.WriteFile(filepath.Join(dir, "genesis.json"), text, 0o600))
	f, err := os.Create(filepath.Join(dir, "chain.rlp"))
	ts.Check(err)
	for _, b := range blocks {
		ts.Check(rlp.Encode(f, b))
	}
	ts.Check(f.Close())
}
