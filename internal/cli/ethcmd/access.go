// Package ethcmd is `coco eth`: what deployers of Ethereum contracts say about who sees them, and what auditors execute again.
//
// Trust: host
package ethcmd

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/linking"
	"github.com/cocoframework/coco/adapter/ethereum/policy"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/reach"
)

// app is the program, as this group's commands see it.
type app struct{ *cli.App }

// Command returns `coco eth`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	cmd := &cobra.Command{Use: "eth", Short: "Say who sees what of an Ethereum contract, and execute a chain again"}
	access := &cobra.Command{
		Use:   "access",
		Short: "Attach a policy to a contract, read and remove it, and explain who sees what",
		Long: `Says who sees what of a contract in a closed network, if its own code does not: its deployer attaches a policy, an expression of
CEL. The deployer is who holds the address that has created the contract (coco identity link).`,
	}
	access.AddCommand(a.set(), a.show(), a.remove(), a.explain())
	cmd.AddCommand(access, a.export(), a.replay(), a.genesis(), a.settings(), a.imports())
	return cmd
}

// deployer is the flags that say by which transaction a contract was created.
type deployer struct {
	address string
	nonce   uint64
}

func (d *deployer) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&d.address, "deployer", "", "`address` that has created the contract (default: it is looked for)")
	cmd.Flags().Uint64Var(&d.nonce, "nonce", 0, "with --deployer: nonce of the transaction that has created the contract")
}

func (d *deployer) params() map[string]any {
	if d.address == "" {
		return nil
	}
	return map[string]any{"address": d.address, "nonce": fmt.Sprintf("0x%x", d.nonce)}
}

func (a *app) set() *cobra.Command {
	var f network.Flags
	var d deployer
	var file, abi string
	cmd := &cobra.Command{
		Use:     "set CONTRACT --policy FILE",
		Short:   "Attach a policy to a contract, in the place of the one that is attached",
		Example: "  coco eth access set 0x5FbD…0aa3 --policy token.cel --abi token.abi.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if file == "" {
				return fmt.Errorf("%w: expected --policy FILE", coco.ErrInvalid)
			}
			expression, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			names, err := readABI(abi)
			if err != nil {
				return err
			}
			text := policy.Text{Policy: string(expression), ABI: names}
			if _, err := policy.Compile(text); err != nil { // the node checks it, too
				return fmt.Errorf("%s: %w", file, err)
			}
			var tx string
			if err := a.ask(cmd.Context(), &f, &tx, "coco_setAccessPolicy", args[0], text, d.params()); err != nil {
				return err
			}
			a.Out.OK("the policy is attached to %s (transaction %s)", args[0], tx)
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "policy", "", "`file` with the policy")
	cmd.Flags().StringVar(&abi, "abi", "", "`file` with the contract's ABI in JSON: for names of methods, events and arguments")
	_ = cmd.MarkFlagFilename("policy", "cel")
	_ = cmd.MarkFlagFilename("abi", "json")
	d.add(cmd)
	f.AddConnect(cmd)
	return cmd
}

func (a *app) remove() *cobra.Command {
	var f network.Flags
	var d deployer
	cmd := &cobra.Command{
		Use:     "remove CONTRACT",
		Short:   "Remove the policy that is attached to a contract",
		Example: "  coco eth access remove 0x5FbD…0aa3",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var tx string
			if err := a.ask(cmd.Context(), &f, &tx, "coco_removeAccessPolicy", args[0], d.params()); err != nil {
				return err
			}
			a.Out.OK("%s has no policy of its deployer any more (transaction %s)", args[0], tx)
			return nil
		},
	}
	d.add(cmd)
	f.AddConnect(cmd)
	return cmd
}

func (a *app) show() *cobra.Command {
	var f network.Flags
	cmd := &cobra.Command{
		Use:     "show CONTRACT",
		Short:   "Print the policy of a contract: for its deployer and auditors, and for all if members have voted it",
		Example: "  coco eth access show 0x5FbD…0aa3",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var is *struct {
				By     string `json:"by"`
				Policy string `json:"policy"`
			}
			if err := a.ask(cmd.Context(), &f, &is, "coco_accessPolicy", args[0]); err != nil {
				return err
			}
			switch {
			case is == nil:
				return fmt.Errorf("%w: %s has no policy, as far as the caller may know", coco.ErrNotFound, args[0])
			case is.By == "vote":
				a.Out.Printf("# members have voted:\n")
			}
			a.Out.Printf("%s\n", strings.TrimRight(is.Policy, "\n"))
			return nil
		},
	}
	f.AddConnect(cmd)
	return cmd
}

func (a *app) explain() *cobra.Command {
	var f network.Flags
	var d deployer
	var q struct {
		question, method, args, abi, input, data, from, as string
		topics, addresses                                  []string
	}
	cmd := &cobra.Command{
		Use:   "explain CONTRACT --as ORGANISATION[/USER]",
		Short: "Say which rule answers a question about a contract, and why: for its deployer and auditors",
		Long: `Says what a caller would be answered to a question about a contract, which rule decides it, and why. The caller is supposed: it has the
addresses of --address, and not those that are linked to the organisation.`,
		Example: `  coco eth access explain 0x5FbD…0aa3 --as carrier --address 0x7099…79C8 --method balanceOf --args '["0x7099…79C8"]' --abi token.abi.json
  coco eth access explain 0x5FbD…0aa3 --as carrier --question state`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.method != "" {
				var values []string
				if q.args != "" {
					if err := json.Unmarshal([]byte(q.args), &values); err != nil {
						return fmt.Errorf(`%w: --args: expected a list of texts, such as '["0x…", "5"]'`, coco.ErrInvalid)
					}
				}
				names, err := readABI(q.abi)
				if err != nil {
					return err
				}
				data, err := policy.EncodeCall(names, q.method, values)
				if err != nil {
					return err
				}
				q.input = fmt.Sprintf("0x%x", data)
			}
			c, err := f.Connect(cmd.Context(), a.Verifiers())
			if err != nil {
				return err
			}
			as, err := caller(cmd.Context(), c, q.as, q.addresses)
			if err != nil {
				return err
			}
			ask := map[string]any{"contract": args[0], "question": q.question, "as": as}
			for name, v := range map[string]string{"input": q.input, "data": q.data, "from": q.from} {
				if v != "" {
					ask[name] = v
				}
			}
			if len(q.topics) > 0 {
				ask["topics"] = q.topics
			}
			if by := d.params(); by != nil {
				ask["deployer"] = by
			}
			var is struct {
				Admitted bool   `json:"admitted"`
				Rule     string `json:"rule"`
				Why      string `json:"why"`
			}
			if err := network.Call(cmd.Context(), c, &is, "coco_explainAccess", ask); err != nil {
				return err
			}
			a.Out.Printf("%s: %s\nrule: %s\n", q.question, map[bool]string{true: "yes", false: "no"}[is.Admitted], is.Rule)
			if is.Why != "" {
				a.Out.Printf("why:  %s\n", is.Why)
			}
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&q.question, "question", "call", "`question`: call, state, code, event or receipt")
	fl.StringVar(&q.method, "method", "", "`name` of the method of --abi that is called, or its selector")
	fl.StringVar(&q.args, "args", "", "the method's arguments, a `list` of texts in JSON")
	fl.StringVar(&q.abi, "abi", "", "`file` with the contract's ABI in JSON, for --method")
	fl.StringVar(&q.input, "input", "", "the call's data in `hexadecimal`, instead of --method")
	fl.StringArrayVar(&q.topics, "topic", nil, "`topic` of the event, in order")
	fl.StringVar(&q.data, "data", "", "the event's data in `hexadecimal`")
	fl.StringVar(&q.from, "from", "", "`address` that has sent the transaction of the event or receipt")
	fl.StringVar(&q.as, "as", "", "the `organisation` that asks, by its name, or its user: organisation/user")
	fl.StringArrayVar(&q.addresses, "address", nil, "`address` that the caller is supposed to have")
	_ = cmd.MarkFlagRequired("as")
	_ = cmd.MarkFlagFilename("abi", "json")
	d.add(cmd)
	f.AddConnect(cmd)
	return cmd
}

// caller is a supposed caller, of an organisation of the constitution.
func caller(ctx context.Context, c *client.Client, as string, addresses []string) (map[string]any, error) {
	name, user, _ := strings.Cut(as, "/")
	con, _, err := reach.Constitution(ctx, c)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, actor := range con.Certificates() {
		if actor.Name == name {
			out := map[string]any{"actor": actor.Actor, "name": name, "role": actor.Role, "user": user}
			if len(addresses) > 0 {
				out["addresses"] = addresses
			}
			return out, nil
		}
		names = append(names, actor.Name)
	}
	return nil, fmt.Errorf("%w: --as: the constitution has no organisation %q: expected one of %s", coco.ErrNotFound, name, strings.Join(names, ", "))
}

func readABI(file string) (json.RawMessage, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var artefact struct { // what solc, Foundry and Hardhat write around an ABI
		ABI json.RawMessage `json:"abi"`
	}
	if json.Unmarshal(text, &artefact) == nil && artefact.ABI != nil {
		return artefact.ABI, nil
	}
	if !json.Valid(text) {
		return nil, fmt.Errorf("%w: %s: expected an ABI in JSON", coco.ErrInvalid, file)
	}
	return text, nil
}

// ask calls a method about a contract, whose address is the first parameter.
func (a *app) ask(ctx context.Context, f *network.Flags, result any, method string, params ...any) error {
	if _, err := linking.ParseAddress(params[0].(string)); err != nil {
		return err
	}
	c, err := f.Connect(ctx, a.Verifiers())
	if err != nil {
		return err
	}
	return network.Call(ctx, c, result, method, params...)
}
