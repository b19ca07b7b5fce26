// Command cocoaccess shows a contract that decides by its own state who sees what of it: internal/contracts/Shipments.sol, which implements
// the interface CocoAccess. A shipment's parties see it, and nobody else does.
//
//	coco up --closed --detach
//	go run ./examples/cocoaccess
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

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco/examples/account"
	"github.com/cocoframework/coco/internal/contracts"
)

func main() {
	dir := flag.String("dir", "coco-sandbox", "folder of the network, of coco up --closed")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "cocoaccess:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, dir string) error {
	all, err := account.Sandbox(ctx, dir)
	if err != nil {
		return err
	}
	sender, receiver := all[0], all[1]
	// Nobody is the inspector, who would see all shipments.
	contract, err := sender.Create(ctx, contracts.Shipments(), common.Address{})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s creates a contract that implements CocoAccess: %v\n", sender.Name, contract)
	shipment := big.NewInt(4711)
	if err := sender.Send(ctx, contract, contracts.Shipments(), "pass", shipment, receiver.Address, "ten boxes"); err != nil {
		return err
	}
	fmt.Fprintf(w, "%s passes shipment %v on to %s\n", sender.Name, shipment, receiver.Name)
	return account.Compare(ctx, w, all, contract, "Who holds it?", func(a *account.Account) (string, error) {
		holder, err := a.Call(ctx, contract, contracts.Shipments(), "holderOf", shipment)
		for _, b := range all {
			if holder == b.Address.Hex() {
				return b.Name, nil
			}
		}
		return holder, err
	})
}
