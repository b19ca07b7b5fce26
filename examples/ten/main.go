// Command ten shows a contract that was written for the TEN network and runs unchanged: internal/contracts/TenToken.sol, whose
// visibilityRules() say that a transfer is for its two parties.
//
//	coco up --closed --detach
//	go run ./examples/ten
//
// Trust: host
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"

	"github.com/cocoframework/coco/examples/account"
	"github.com/cocoframework/coco/internal/contracts"
)

func main() {
	dir := flag.String("dir", "coco-sandbox", "folder of the network, of coco up --closed")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "ten:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, dir string) error {
	all, err := account.Sandbox(ctx, dir)
	if err != nil {
		return err
	}
	deployer, receiver := all[0], all[1]
	contract, err := deployer.Create(ctx, contracts.TenToken(), big.NewInt(1000))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s creates a token with visibilityRules(): %v\n", deployer.Name, contract)
	if err := deployer.Send(ctx, contract, contracts.TenToken(), "transfer", receiver.Address, big.NewInt(5)); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s pays 5 to %s\n", deployer.Name, receiver.Name)
	// TEN lets everybody call a contract, which protects itself by msg.sender where it must: this one shows the supply to all. Of its
	// events OwnershipTransferred is for everyone, and the creation's Transfer and the payment for their parties.
	return account.Compare(ctx, w, all, contract, "What is the supply?", func(a *account.Account) (string, error) {
		return a.Call(ctx, contract, contracts.TenToken(), "totalSupply")
	})
}
