// Command policy shows a contract that states no rule and cannot be changed, a plain ERC-20 token: its deployer attaches a policy to it,
// token.cel, by which each party sees its own transfers and balance.
//
//	coco up --closed --detach
//	go run ./examples/policy
//
// Trust: host
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"

	"github.com/cocoframework/coco/examples/account"
	"github.com/cocoframework/coco/internal/contracts"
)

// expression is the policy.
//
//go:embed token.cel
var expression string

func main() {
	dir := flag.String("dir", "coco-sandbox", "folder of the network, of coco up --closed")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "policy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, dir string) error {
	all, err := account.Sandbox(ctx, dir)
	if err != nil {
		return err
	}
	deployer, receiver := all[0], all[1]
	token := contracts.Token()
	contract, err := deployer.Create(ctx, token, "Token", "TOK", big.NewInt(1000))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s creates a token that states no rule: %v\n", deployer.Name, contract)
	if err := deployer.Send(ctx, contract, token, "transfer", receiver.Address, big.NewInt(5)); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s pays 5 to %s\n", deployer.Name, receiver.Name)
	balance := func(a *account.Account) (string, error) {
		return a.Call(ctx, contract, token, "balanceOf", receiver.Address)
	}
	question := "How much does " + receiver.Name + " have?"
	if err := account.Compare(ctx, w, all, contract, question, balance); err != nil {
		return err
	}
	// What `coco eth access set` does. The caller holds the address that has created the contract, so it is the deployer.
	attached := map[string]any{"policy": expression, "abi": named(contracts.Token())}
	var transaction string
	if err := deployer.Client.Client().CallContext(ctx, &transaction, "coco_setAccessPolicy", contract, attached); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s attaches the policy (transaction %s)\n", deployer.Name, transaction)
	return account.Compare(ctx, w, all, contract, question, balance)
}

// named is as much of the token's ABI as the policy names.
func named(token *contracts.Artefact) []map[string]any {
	inputs := func(entry string) (in []map[string]any) {
		arguments := token.ABI.Methods[entry].Inputs
		if e, ok := token.ABI.Events[entry]; ok {
			arguments = e.Inputs
		}
		for _, a := range arguments {
			in = append(in, map[string]any{"name": a.Name, "type": a.Type.String(), "indexed": a.Indexed})
		}
		return in
	}
	return []map[string]any{
		{"type": "function", "name": "balanceOf", "inputs": inputs("balanceOf")},
		{"type": "event", "name": "Transfer", "inputs": inputs("Transfer")},
	}
}
