package identitycmd

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/cli/network"
)

func (a *app) sessions() *cobra.Command {
	var f network.Flags
	var user string
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "List the sessions in browsers of the caller, and of its users",
		Long: `Lists the sessions that users of the caller's organisation have begun in browsers by Sign-In with Ethereum, and that have not ended:
who, for which pages, under which name, what they may do, and until when.`,
		Example: "  coco identity sessions\n  coco identity sessions --user kim",
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
				ID     coco.Digest `json:"id"`
				User   string      `json:"user"`
				Name   string      `json:"name"`
				Origin string      `json:"origin"`
				Scope  []string    `json:"scope"`
				Until  string      `json:"until"`
			}
			if err := network.Call(cmd.Context(), c, &all, "coco_sessions", params...); err != nil {
				return err
			}
			for _, s := range all {
				until, err := strconv.ParseInt(s.Until, 0, 64)
				if err != nil {
					return fmt.Errorf("%w: coco_sessions: %w", coco.ErrCorrupt, err)
				}
				a.Out.Printf("%s  user %q  %q of %q  may %q  until %s\n", s.ID, s.User, s.Name, s.Origin, strings.Join(s.Scope, ", "), time.UnixMilli(until).UTC().Format(time.RFC3339))
			}
			return nil
		},
	}
	f.AddConnect(cmd)
	cmd.Flags().StringVar(&user, "user", "", "only the sessions of this `user` of the organisation")
	return cmd
}

func (a *app) endSession() *cobra.Command {
	var f network.Flags
	cmd := &cobra.Command{
		Use:     "end-session ID",
		Short:   "End a session in a browser of the caller, or of one of its users",
		Long:    "Ends a session in a browser of the caller, or of one of its users, on every node with the transaction. `coco identity sessions` lists the ids.",
		Example: "  coco identity end-session 4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var id coco.Digest
			if err := id.UnmarshalText([]byte(args[0])); err != nil {
				return fmt.Errorf("a session's id: %w", err)
			}
			c, err := f.Connect(cmd.Context(), a.Verifiers())
			if err != nil {
				return err
			}
			var tx string
			if err := network.Call(cmd.Context(), c, &tx, "coco_endSession", id.String()); err != nil {
				return err
			}
			a.Out.OK("session %s has ended (transaction %s)", id.Short(), tx)
			return nil
		},
	}
	f.AddConnect(cmd)
	return cmd
}
