// Package kvcmd is `coco kv`: it gets, puts, deletes and lists values of the ledger kv, as one organisation's application, and shows what
// keys had before.
//
//	--audience acme,bank   the rows that these organisations alone see, in each command
//	--proof                a value that its receipt proves (client.VerifiableGet), and nothing else
//	-o json                one line of JSON for each value, row or version
//
// Trust: host
package kvcmd

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/reach"
)

// maxInput bounds what is read of a file or of standard input into a value: more than a network may admit.
const maxInput = 64 << 20

// app is the program, as this group's commands see it.
type app struct{ *cli.App }

// Command returns `coco kv`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	cmd := &cobra.Command{
		Use:   "kv",
		Short: "Get, put, delete and list values of the ledger of keys and values",
		Long: `Gets, puts, deletes and lists values of the ledger kv, by a node that is verified first. A write is one transaction, and is
committed when the command ends with 0.

With --audience a command is about rows that the organisations it names alone see, by their names or ids. The caller's own
must be one of them: a key of another audience is answered as one that nobody has written. With --resident these are rows whose
contents only the nodes of these organisations have; get, put and delete are about such rows. Another node refuses and
names nodes, which are asked in its place once they are verified.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.get(), a.put(), a.delete(), a.list(), a.history())
	return cmd
}

// flags are those that each of the commands has.
type flags struct {
	network.Flags
	audience []string
	resident bool
}

func (a *app) add(cmd *cobra.Command, f *flags) {
	cmd.Flags().StringSliceVar(&f.audience, "audience", nil, "rows that these `organisations` alone see: names or ids, with commas between them")
	cmd.Flags().BoolVar(&f.resident, "resident", false, "of --audience, those whose contents only these organisations' nodes have")
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Flags().Changed("audience") && len(f.audience) == 0 { // a variable that is not set must not show a value to all
			return fmt.Errorf("%w: --audience: expected organisations with commas between them, found none", coco.ErrInvalid)
		}
		return nil
	}
	f.AddConnect(cmd)
	f.AddAs(cmd)
	a.OutputFlag(cmd)
}

// connect returns the rows that the flags name, and the client that asks for them.
func (a *app) connect(ctx context.Context, f *flags) (client.KV, *client.Client, error) {
	if f.resident && len(f.audience) == 0 {
		return client.KV{}, nil, fmt.Errorf("%w: --resident is about rows of some organisations: --audience says of which", coco.ErrInvalid)
	}
	c, err := f.Connect(ctx, a.Verifiers())
	if err != nil {
		return client.KV{}, nil, err
	}
	kv := c.KV().For(f.audience...)
	if f.resident {
		kv = kv.Resident()
	}
	return kv, c, nil
}

func (a *app) put() *cobra.Command {
	var f flags
	var file, contentType string
	var condition client.Condition
	cmd := &cobra.Command{
		Use:   "put KEY [VALUE]",
		Short: "Put a value under a key",
		Long: `Puts a value under a key: VALUE, the bytes of --file or, where VALUE is -, those of standard input. A condition that does not hold ends
the command with 2, and nothing is written.`,
		Example: `  coco kv put greeting hello
  coco kv put order-17 --file order.json --type application/json --if-none-match '*'
  coco kv put price 4711 --audience acme,bank
  coco kv put price 4711 --audience acme,bank --resident`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			value, err := a.value(args[1:], file)
			if err != nil {
				return err
			}
			kv, c, err := a.connect(cmd.Context(), &f)
			if err != nil {
				return err
			}
			defer c.Close()
			w, err := kv.Put(cmd.Context(), args[0], value, contentType, condition)
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(struct {
					Key     string    `json:"key"`
					TxID    coco.TxID `json:"transaction_id"`
					Version uint64    `json:"etag,string"`
					Created bool      `json:"created"`
				}{args[0], w.TxID, w.TxID.Seqno, w.Created})
			}
			a.Out.OK("%s is put (transaction %s)", args[0], w.TxID)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&file, "file", "", "`file` with the value")
	fl.StringVar(&contentType, "type", "", "content `type` of the value (default application/octet-stream)")
	_ = cmd.MarkFlagFilename("file")
	conditions(cmd, &condition)
	a.add(cmd, &f)
	return cmd
}

func conditions(cmd *cobra.Command, c *client.Condition) {
	cmd.Flags().StringVar(&c.Match, "if-match", "", "only if the key has this `version`, as list prints it; * is any")
	cmd.Flags().StringVar(&c.NoneMatch, "if-none-match", "", "only if the key has another `version` than this, or none; * is any: the key must be new")
}

// value is what the command line says to put.
func (a *app) value(args []string, file string) ([]byte, error) {
	if (len(args) == 1) == (file != "") {
		return nil, fmt.Errorf("%w: expected a VALUE, - for standard input, or --file", coco.ErrInvalid)
	}
	if file == "" && args[0] != "-" {
		return []byte(args[0]), nil
	}
	in, name := a.In, "standard input"
	if file != "" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, cli.FileError("value", err)
		}
		defer opened.Close()
		in, name = opened, file
	}
	value, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(value) > maxInput {
		return nil, fmt.Errorf("%w: %s: more than %d bytes, which no network admits as a value", coco.ErrInvalid, name, maxInput)
	}
	return value, nil
}

func (a *app) delete() *cobra.Command {
	var f flags
	var condition client.Condition
	cmd := &cobra.Command{
		Use:     "delete KEY",
		Short:   "Remove a key",
		Long:    "Removes a key. What it had stays in the ledger, and `coco kv history` shows it.",
		Example: "  coco kv delete greeting\n  coco kv delete greeting --if-match 17",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			kv, c, err := a.connect(cmd.Context(), &f)
			if err != nil {
				return err
			}
			defer c.Close()
			w, err := kv.Delete(cmd.Context(), args[0], condition)
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(struct {
					Key  string    `json:"key"`
					TxID coco.TxID `json:"transaction_id"`
				}{args[0], w.TxID})
			}
			a.Out.OK("%s is deleted (transaction %s)", args[0], w.TxID)
			return nil
		},
	}
	conditions(cmd, &condition)
	a.add(cmd, &f)
	return cmd
}

// text is a value as JSON shows it beside its bytes, if it is text.
func text(value []byte) string {
	if !utf8.Valid(value) {
		return ""
	}
	return string(value)
}

// shown is a value for a row of a table.
func shown(value []byte) string {
	const most = 60
	if !utf8.Valid(value) {
		return strconv.Itoa(len(value)) + " bytes"
	}
	if r := []rune(string(value)); len(r) > most {
		return string(r[:most]) + "…"
	}
	return string(value)
}

// organisations asks for the constitution in force.
func organisations(ctx context.Context, c *client.Client) (*constitution.Constitution, error) {
	con, _, err := reach.Constitution(ctx, c)
	return con, err
}
