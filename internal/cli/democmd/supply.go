package democmd

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/sandboxcmd"
	"github.com/cocoframework/coco/internal/contracts"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/sandbox"
	"github.com/cocoframework/coco/internal/sandbox/genesis"
)

// The companies of the demonstration, in the order of their nodes.
const (
	manufacturer = iota
	carrier
	customs
	retailer
)

var companies = []string{manufacturer: "manufacturer", carrier: "carrier", customs: "customs", retailer: "retailer"}

func (a *app) supplyChain() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "supply-chain",
		Short: "Show who sees what: four companies, one contract, and a token that leaks",
		Long: `Starts a closed network of a manufacturer, a carrier, customs and a retailer, each with a node of
its own, and deploys one contract, Shipments, by which goods pass from one to the next. Then it shows
side by side what each company's own node answers to it: its own shipments, and not the others'.

A driver of the carrier uses a token of the carrier's login. The token leaks; members vote, and no
node takes it any more. At last a node's disk is searched for the number of a shipment.

It takes some seconds, and leaves nothing behind.`,
		Example: "  coco demo supply-chain\n  coco demo supply-chain -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.supply(cmd.Context())
		},
	}
	a.OutputFlag(cmd)
	return cmd
}

// chain is what the demonstration is about: one contract, and the shipments in it.
type chain struct {
	*app
	info    localnet.Info
	wallets *wallets
	goods   []*goods
	sent    []hexutil.Bytes // the transactions that pass goods on, as they were signed
	hashes  []common.Hash   // theirs
}

// goods is a shipment.
type goods struct {
	what   string
	number uint64 // drawn at random, so that nothing holds it by chance
	on     []bool // which company is to see it
}

func (g *goods) name() string { return fmt.Sprintf("SC-%016X", g.number) }

func (a *app) supply(ctx context.Context) (err error) {
	info, stop, err := sandboxcmd.Network(ctx, a.App, "", len(companies), func(o *sandbox.Options) {
		o.Names, o.Constitution = companies, genesis.Close
	})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, stop())
		if err != nil && ctx.Err() != nil {
			err = cli.ErrInterrupted
		}
	}()
	if !a.WantsJSON() {
		a.Out.Insecure()
	}
	c := &chain{app: a, info: info}
	clients := make([]*client.Client, len(info.Nodes))
	for i, n := range info.Nodes {
		if clients[i], err = info.Connect(n, a.Verifiers()); err != nil {
			return err
		}
		defer clients[i].Close()
		if _, err := clients[i].Verify(ctx); err != nil {
			return err
		}
	}
	c.say("network", "", "A manufacturer, a carrier, customs and a retailer run one network, each with its own node. It is closed: a company sees its own, and what a contract admits.")
	if c.wallets, err = newWallets(info, companies, clients); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{c.deploy, c.ship, c.views, c.leak, c.search} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	c.say("end", "", "The network ends, and its files are removed.")
	return nil
}

// say shows one step.
func (c *chain) say(step, node, format string, args ...any) {
	c.demoShow(demoLine{Step: step, Node: node, Text: fmt.Sprintf(format, args...)})
}

// deploy creates the contract.
func (c *chain) deploy(ctx context.Context) error {
	tx, err := c.wallets.send(ctx, manufacturer, manufacturer, nil, 3_000_000, contracts.DeployShipments(c.wallets.holders[customs]))
	if err != nil {
		return err
	}
	c.demoShow(demoLine{
		Step: "deploy", Node: companies[manufacturer], TxID: tx,
		Text: fmt.Sprintf("The manufacturer deploys the contract Shipments at %s. It decides itself who sees a shipment: its parties, and customs.", c.wallets.address),
	})
	return nil
}

// ship has goods passed on: a chain of three companies, and two shipments that one of them is not to hear of.
func (c *chain) ship(ctx context.Context) error {
	for _, g := range []goods{
		{what: "300 heart pumps", on: []bool{true, true, true, true}},
		{what: "40 spare batteries", on: []bool{true, false, true, true}},
		{what: "empty crates", on: []bool{true, true, true, false}},
	} {
		var random [8]byte
		_, _ = rand.Read(random[:]) // never fails
		g.number = binary.BigEndian.Uint64(random[:])
		c.goods = append(c.goods, &g)
	}
	for _, p := range []struct{ of, from, to int }{
		{0, manufacturer, carrier}, {0, carrier, retailer}, {1, manufacturer, retailer}, {2, manufacturer, carrier},
	} {
		g := c.goods[p.of]
		if err := c.pass(ctx, g, p.from, c.wallets.holders[p.to]); err != nil {
			return err
		}
		c.say("pass", companies[p.from], "The %s passes %s to the %s: %s.", companies[p.from], g.name(), companies[p.to], g.what)
	}
	return nil
}

// pass passes goods on.
func (c *chain) pass(ctx context.Context, g *goods, from int, to common.Address) error {
	w := c.wallets
	if _, err := w.send(ctx, from, from, &w.address, 500_000, contracts.Pass(new(big.Int).SetUint64(g.number), to, g.name()+": "+g.what)); err != nil {
		return err
	}
	c.sent, c.hashes = append(c.sent, w.raw), append(c.hashes, w.last)
	return nil
}

// hidden is how what is not shown is printed.
const hidden = "–"

// holder is who has goods as a caller sees it.
func (c *chain) holder(ctx context.Context, as *client.Client, from common.Address, g *goods) (string, error) {
	var ret hexutil.Bytes
	call := map[string]any{"to": c.wallets.address, "data": hexutil.Bytes(contracts.HolderOf(new(big.Int).SetUint64(g.number)))}
	if from != (common.Address{}) {
		call["from"] = from
	}
	if _, err := as.RPC(ctx, &ret, "eth_call", call, "latest"); err != nil {
		return "", revertReason(err)
	}
	if len(ret) == 0 { // as if there were no contract
		return hidden, nil
	}
	address := common.BytesToAddress(ret)
	if i := slices.Index(c.wallets.holders, address); i >= 0 {
		return companies[i], nil
	}
	return "the driver", nil
}

// views shows the same questions, as the node of each company answers them to it.
func (c *chain) views(ctx context.Context) error {
	w := c.wallets
	rows := make([]string, 0, len(c.goods)+2)
	for _, g := range c.goods {
		rows = append(rows, g.name()+", held by")
	}
	rows = append(rows, "events of the contract", "transactions that pass goods on")
	cells := make([][]string, len(companies)) // by company
	for i, as := range w.clients {
		if err := w.reached(ctx, i); err != nil {
			return err
		}
		for _, g := range c.goods {
			holder, err := c.holder(ctx, as, w.holders[i], g)
			if err != nil {
				return err
			}
			if seen := holder != hidden; seen != g.on[i] {
				return fmt.Errorf("%w: the %s sees %s: %t, expected %t", coco.ErrVerify, companies[i], g.name(), seen, g.on[i])
			}
			cells[i] = append(cells[i], holder)
		}
		var logs []struct{}
		if _, err := as.RPC(ctx, &logs, "eth_getLogs", map[string]any{"address": w.address, "fromBlock": "0x0"}); err != nil {
			return err
		}
		found := 0
		for _, hash := range c.hashes {
			var tx *struct{}
			if _, err := as.RPC(ctx, &tx, "eth_getTransactionByHash", hash); err != nil {
				return err
			}
			if tx != nil {
				found++
			}
		}
		cells[i] = append(cells[i], strconv.Itoa(len(logs)), strconv.Itoa(found))
	}
	// Events are for a shipment's parties, transactions for who has sent them; customs is shown both.
	for i, want := range [][2]string{manufacturer: {"4", "3"}, carrier: {"3", "1"}, customs: {"4", "4"}, retailer: {"3", "0"}} {
		if got := [2]string(cells[i][len(c.goods):]); got != want {
			return fmt.Errorf("%w: the %s sees %v events and transactions, expected %v", coco.ErrVerify, companies[i], got, want)
		}
	}
	c.table(rows, cells)
	return nil
}

// table shows cells by company and row.
func (c *chain) table(rows []string, cells [][]string) {
	if c.WantsJSON() {
		for i, name := range companies {
			values := map[string]string{}
			for k, row := range rows {
				values[row] = cells[i][k]
			}
			c.demoShow(demoLine{Step: "view", Node: name, Values: values, Text: "what the " + name + " sees"})
		}
		return
	}
	c.say("view", "", "Each company asks its own node the same questions, about the same contract (%s: as if it did not exist):", hidden)
	line := func(first string, cell func(int) string) {
		var b strings.Builder
		for i := range companies {
			text := cell(i)
			b.WriteString(text + strings.Repeat(" ", max(1, 14-len([]rune(text)))))
		}
		c.Out.Printf("    %-33s%s\n", first, strings.TrimRight(b.String(), " "))
	}
	line("", func(i int) string { return companies[i] })
	for k, row := range rows {
		line(row, func(i int) string { return cells[i][k] })
	}
}

// search looks for a shipment on a node's disk.
func (c *chain) search(ctx context.Context) error {
	g, n := c.goods[0], c.info.Nodes[carrier]
	needles := g.needles()
	sent, err := os.MkdirTemp("", "coco-sent-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(sent)
	if err := os.WriteFile(filepath.Join(sent, "transaction"), c.sent[0], 0o600); err != nil {
		return err
	}
	found, _, _, err := search(ctx, sent, needles)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fmt.Errorf("%w: the search does not find %s where it is", coco.ErrVerify, g.name())
	}
	found, files, size, err := search(ctx, n.Dir, needles)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("%w: %s is on the disk of the %s's node: %s", coco.ErrVerify, g.name(), n.Name, strings.Join(found, ", "))
	}
	c.demoShow(demoLine{
		Step: "search", Node: n.Name, Values: map[string]string{"files": strconv.Itoa(files), "bytes": strconv.FormatInt(size, 10), "found": "0"},
		Text: fmt.Sprintf("Whoever takes the disk of the %s's node finds no %s in it: not one of its %s (%d KiB) has the number, as text or in binary. The same search finds it in the transaction that the manufacturer has sent.",
			n.Name, g.name(), cli.Plural(files, "file"), size>>10),
	})
	return nil
}
