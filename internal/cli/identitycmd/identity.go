// Package identitycmd is `coco identity`: it links Ethereum addresses to the caller, lists and unlinks them, and lists and ends the sessions of users
// who have signed in in browsers.
//
// Trust: host
package identitycmd

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/linking"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/network"
)

// app is the program, as this group's commands see it.
type app struct{ *cli.App }

// Command returns `coco identity`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	cmd := &cobra.Command{
		Use:   "identity",
		Short: "Link Ethereum addresses to an organisation or its users, and see to their sessions in browsers",
		Long: `Links Ethereum addresses to the caller. An address belongs to one organisation, or one of its users, at a time; in a
closed network they see what the address may see. The address's key signs the link, so whoever holds it agrees; the caller's
certificate says whose it becomes.

Users sign in to pages in browsers by an address that is linked to them (docs/access.md): the sessions that begin so are listed and
ended here.`,
	}
	cmd.AddCommand(a.link(), a.unlink(), a.list(), a.sessions(), a.endSession())
	return cmd
}

func (a *app) link() *cobra.Command {
	var f network.Flags
	var key, message, signature, user string
	cmd := &cobra.Command{
		Use:   "link [ADDRESS]",
		Short: "Link an address to the caller",
		Long: `Links an address to the caller. With --key, a file that holds the address's private key in hexadecimal, it is signed here, and
one command does all. Without, the typed data (EIP-712) is printed for a wallet to sign (eth_signTypedData_v4); what was printed and
the wallet's signature are then given by --message and --signature, within ten minutes.

A link that the address had ends by it.`,
		Example: "  coco identity link --key account.key\n  coco identity link 0xf39F…2266 > message.json\n  coco identity link --message message.json --signature 0x…",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 1) == (key != "" || message != "") || key != "" && message != "" || (message != "") != (signature != "") {
				return fmt.Errorf("%w: expected an ADDRESS, or --key, or --message with --signature", coco.ErrInvalid)
			}
			c, err := f.Connect(cmd.Context(), a.Verifiers())
			if err != nil {
				return err
			}
			switch {
			case message != "":
				text, err := os.ReadFile(message)
				if err != nil {
					return err
				}
				sig, err := linking.ParseSignature(signature)
				if err != nil {
					return err
				}
				s, _, err := linking.ParseTypedData(text)
				if err != nil {
					return fmt.Errorf("%s: %w", message, err)
				}
				tx, err := send(cmd.Context(), c, s, sig)
				if err != nil {
					return err
				}
				a.linked(s, tx)
				return nil
			case key != "":
				return a.sign(cmd.Context(), c, key, user)
			}
			address, err := linking.ParseAddress(args[0])
			if err != nil {
				return err
			}
			var text json.RawMessage
			if err := network.Call(cmd.Context(), c, &text, "coco_linkMessage", address); err != nil {
				return err
			}
			a.Out.Printf("%s\n", text)
			return nil
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&key, "key", "", "`file` with the address's private key, in hexadecimal")
	fl.StringVar(&message, "message", "", "`file` with what a wallet has signed")
	fl.StringVar(&signature, "signature", "", "the wallet's `signature`, in hexadecimal")
	fl.StringVar(&user, "user", "", "with --key: the organisation's `user` whose address it becomes (default: the caller)")
	f.AddConnect(cmd)
	_ = cmd.MarkFlagFilename("key")
	_ = cmd.MarkFlagFilename("message", "json")
	return cmd
}

// sign links the address of a key.
func (a *app) sign(ctx context.Context, c *client.Client, file, user string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	wallet, err := linking.ParseWallet(text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	s, tx, err := Link(ctx, c, wallet, user)
	if err != nil {
		return err
	}
	a.linked(s, tx)
	return nil
}

// linked says whose an address is.
func (a *app) linked(s linking.Statement, tx string) {
	whose := s.Organisation
	if s.User != "" {
		whose = fmt.Sprintf("the user %q of %s", s.User, whose)
	}
	a.Out.OK("%v belongs to %s (transaction %s)", s.Address, whose, tx)
}

// Link links a wallet's address to the caller, or to a user of the caller's organisation. It returns what the wallet has signed, and the transaction.
func Link(ctx context.Context, c *client.Client, wallet linking.Wallet, user string) (s linking.Statement, tx string, err error) {
	var message json.RawMessage
	if err := network.Call(ctx, c, &message, "coco_linkMessage", wallet.Address()); err != nil {
		return s, "", err
	}
	s, of, err := linking.ParseTypedData(message)
	if err != nil {
		return s, "", err
	}
	if user != "" {
		s.User = user
	}
	sig, err := wallet.Sign(s, of)
	if err != nil {
		return s, "", err
	}
	tx, err = send(ctx, c, s, sig)
	return s, tx, err
}

// send sends a statement with its signature, and returns the transaction that links the address.
func send(ctx context.Context, c *client.Client, s linking.Statement, sig []byte) (tx string, err error) {
	err = network.Call(ctx, c, &tx, "coco_linkAddress", s, "0x"+hex.EncodeToString(sig))
	return tx, err
}

func (a *app) unlink() *cobra.Command {
	var f network.Flags
	cmd := &cobra.Command{
		Use:     "unlink ADDRESS",
		Short:   "End the link of an address to the caller, or to one of its users",
		Example: "  coco identity unlink 0xf39F…2266",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			address, err := linking.ParseAddress(args[0])
			if err != nil {
				return err
			}
			c, err := f.Connect(cmd.Context(), a.Verifiers())
			if err != nil {
				return err
			}
			var tx string
			if err := network.Call(cmd.Context(), c, &tx, "coco_unlinkAddress", address); err != nil {
				return err
			}
			a.Out.OK("%v is nobody's any more (transaction %s)", address, tx)
			return nil
		},
	}
	f.AddConnect(cmd)
	return cmd
}

func (a *app) list() *cobra.Command {
	var f network.Flags
	var user string
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the addresses of the caller, and of its users",
		Example: "  coco identity list\n  coco identity list --user kim",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.Connect(cmd.Context(), a.Verifiers())
			if err != nil {
				return err
			}
			params := []any{}
			if user != "" {
				params = append(params, user)
			}
			var all []struct {
				Address string `json:"address"`
				User    string `json:"user"`
				Since   string `json:"since"`
			}
			if err := network.Call(cmd.Context(), c, &all, "coco_linkedAddresses", params...); err != nil {
				return err
			}
			for _, l := range all {
				whose := "the organisation"
				if l.User != "" {
					whose = fmt.Sprintf("user %q", l.User)
				}
				address, err := linking.ParseAddress(l.Address)
				if err != nil {
					return fmt.Errorf("%w: coco_linkedAddresses: %w", coco.ErrCorrupt, err)
				}
				since, err := strconv.ParseUint(l.Since, 0, 64)
				if err != nil {
					return fmt.Errorf("%w: coco_linkedAddresses: %w", coco.ErrCorrupt, err)
				}
				a.Out.Printf("%v  %s  since transaction %d\n", address, whose, since)
			}
			return nil
		},
	}
	f.AddConnect(cmd)
	cmd.Flags().StringVar(&user, "user", "", "only the addresses of this `user` of the organisation")
	return cmd
}
