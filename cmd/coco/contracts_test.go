package main

import (
	"context"
	"encoding/json"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/cocoframework/coco/adapter/ethereum/policy"
	"github.com/cocoframework/coco/internal/contracts"
	"github.com/cocoframework/coco/internal/localnet"
)

// wallet is an account of a sandbox that speaks plain JSON-RPC, as a tool of Ethereum does.
type wallet struct {
	ts      *testscript.TestScript
	url     string
	account localnet.Account
	chain   *big.Int
}

// walletOf returns the wallet of an account, by its number in a network's page. It asks the node of the organisation that owns the account, and reads what
// is committed by then on any node.
func walletOf(ts *testscript.TestScript, dir, account string) *wallet {
	info, err := localnet.Load(ts.MkAbs(dir))
	ts.Check(err)
	i, err := strconv.Atoi(account)
	ts.Check(err)
	return &wallet{ts, info.Nodes[i%len(info.Nodes)].HTTP + "/rpc?consistency=linearizable", info.Accounts[i], new(big.Int).SetUint64(info.ChainID)}
}

// ask reads the result of a method.
func (w *wallet) ask(result any, method string, params ...any) {
	w.ts.Check(ask(context.Background(), w.url, result, method, params...))
}

// send sends a transaction and waits for its receipt.
func (w *wallet) send(to *common.Address, data []byte) *types.Receipt {
	key, err := crypto.HexToECDSA(strings.TrimPrefix(w.account.Key, "0x"))
	w.ts.Check(err)
	var nonce hexutil.Uint64
	w.ask(&nonce, "eth_getTransactionCount", w.account.Address, "latest")
	tx, err := types.SignNewTx(key, types.LatestSignerForChainID(w.chain), &types.DynamicFeeTx{
		ChainID: w.chain, Nonce: uint64(nonce), To: to, Gas: 3_000_000, Data: data, GasTipCap: new(big.Int), GasFeeCap: new(big.Int), Value: new(big.Int),
	})
	w.ts.Check(err)
	raw, err := tx.MarshalBinary()
	w.ts.Check(err)
	r := new(types.Receipt)
	w.ask(r, "eth_sendRawTransactionSync", hexutil.Bytes(raw))
	if r.Status != types.ReceiptStatusSuccessful {
		w.ts.Fatalf("the transaction failed")
	}
	return r
}

// deploys NAME DIR ACCOUNT CONTRACT: an account of a network creates a contract of package contracts. NAME is set to its address, and CONTRACT.json is what
// the compiler wrote.
func deploys(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 4 {
		ts.Fatalf("usage: deploys NAME DIR ACCOUNT CONTRACT")
	}
	w := walletOf(ts, args[1], args[2])
	creation, ok := map[string][]byte{
		"Token":     contracts.DeployToken("Token", "TOK", big.NewInt(1000)),
		"TenToken":  contracts.DeployTenToken(big.NewInt(1000)),
		"Shipments": contracts.DeployShipments(common.HexToAddress(w.account.Address)),
	}[args[3]]
	if !ok {
		ts.Fatalf("there is no contract %s", args[3])
	}
	text, err := os.ReadFile(compiled(args[3]))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[3]+".json"), text, 0o600))
	ts.Setenv(args[0], w.send(nil, creation).ContractAddress.Hex())
}

// compiled is the file of a contract of package contracts.
func compiled(contract string) string { return "../../internal/contracts/" + contract + ".json" }

// inputOf encodes a call of a method of a contract of package contracts.
func inputOf(ts *testscript.TestScript, contract, method string, args []string) []byte {
	input, err := policy.EncodeCall(abiOf(ts, contract), method, args)
	ts.Check(err)
	return input
}

// abiOf returns the ABI of a contract in JSON, as its compiler wrote it.
func abiOf(ts *testscript.TestScript, contract string) json.RawMessage {
	var artefact struct {
		ABI json.RawMessage `json:"abi"`
	}
	text, err := os.ReadFile(compiled(contract))
	ts.Check(err)
	ts.Check(json.Unmarshal(text, &artefact))
	return artefact.ABI
}

// sends DIR ACCOUNT CONTRACT ADDRESS METHOD ARG...: an account of a network calls a contract by a transaction.
func sends(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 5 {
		ts.Fatalf("usage: sends DIR ACCOUNT CONTRACT ADDRESS METHOD ARG...")
	}
	to := common.HexToAddress(args[3])
	walletOf(ts, args[0], args[1]).send(&to, inputOf(ts, args[2], args[4], args[5:]))
}

// calls DIR ACCOUNT CONTRACT ADDRESS METHOD ARG...: prints what a call by an account's owner returns, in hexadecimal.
func calls(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 5 {
		ts.Fatalf("usage: calls DIR ACCOUNT CONTRACT ADDRESS METHOD ARG...")
	}
	w := walletOf(ts, args[0], args[1])
	var returned json.RawMessage
	w.ask(&returned, "eth_call", map[string]any{"to": args[3], "from": w.account.Address, "data": hexutil.Bytes(inputOf(ts, args[2], args[4], args[5:]))}, "latest")
	_, err := ts.Stdout().Write(append(returned, '\n'))
	ts.Check(err)
}

// events DIR ACCOUNT ADDRESS: prints how many events of a contract an account's owner sees.
func events(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: events DIR ACCOUNT ADDRESS")
	}
	var logs []types.Log
	walletOf(ts, args[0], args[1]).ask(&logs, "eth_getLogs", map[string]any{"address": args[2], "fromBlock": "0x0"})
	_, err := ts.Stdout().Write([]byte(strconv.Itoa(len(logs)) + "\n"))
	ts.Check(err)
}

// example NAME ARG...: builds the program examples/NAME and runs it.
func example(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: example NAME ARG...")
	}
	program := ts.MkAbs(filepath.Join("examples", args[0]))
	if out, err := exec.Command("go", "build", "-o", program, "github.com/cocoframework/coco/examples/"+args[0]).CombinedOutput(); err != nil {
		ts.Fatalf("%v: %s", err, out)
	}
	ts.Check(ts.Exec(program, args[1:]...))
}
