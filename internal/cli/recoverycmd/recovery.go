// Package recoverycmd is `coco recovery`: going on with a network of which no node is left, by copies of its ledger and the keys of its members.
//
//	an operator, on a new machine              a member, where its key is
//	   start ─▶ verifies, shows the end            share check      at any time: does my key open my part?
//	            and who is needed                  share submit     to the node that recovers
//	   status ─▶ who has released                  share seal       the same without a network: a file …
//	   request ─▶ a file for those without         share open       … that anybody brings to the node
//	              a network
//	accept ─▶ the new service, in the place of the one that is known
//	drill ─▶ all of it on copies, which touches no network
//
// A member releases its part to attested code alone, which the constitution of the member's own copy lists, and for one end of the ledger.
//
// Trust: host
package recoverycmd

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/ledgercmd"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/rehearsal"
)

// Command returns `coco recovery`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	cmd := &cobra.Command{
		Use: "recovery", Short: "Go on with a network of which no node is left, and rehearse it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	share := &cobra.Command{
		Use: "share", Short: "A member's part: check, submit, or carry it over an air gap", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	share.AddCommand(a.checkCommand(), a.submitCommand(), a.sealCommand(), a.openCommand())
	cmd.AddCommand(a.startCommand(), a.statusCommand(), a.requestCommand(), share, a.acceptCommand(), a.drillCommand())
	return cmd
}

// app is the program, as this group's commands see it.
type app struct{ *cli.App }

// source is how copies are verified. service may be nil.
func (a *app) source(service *x509.Certificate) rehearsal.Source {
	s := rehearsal.Source{Verifiers: a.Verifiers(), Progress: a.Err.Bar}
	if service != nil {
		s.Service = service.Raw
	}
	return s
}

// verify verifies a copy of a ledger without any key. service may be nil. It notes in which view the transactions of seqnos are.
func (a *app) verify(ctx context.Context, dir string, service *x509.Certificate, seqnos ...uint64) (*rehearsal.Copy, error) {
	found, err := ledgercmd.FindOne(dir)
	if err != nil {
		return nil, err
	}
	s := a.source(service)
	c, err := s.Verify(ctx, found.Path, seqnos...)
	a.Err.Line("")
	if ctx.Err() != nil {
		return nil, cli.ErrInterrupted
	}
	return c, err
}

// readService reads the certificate of the service that a network had; nil for no file.
func readService(file string) (*x509.Certificate, error) {
	if file == "" {
		return nil, nil
	}
	return network.ReadService(file)
}

// readJSON reads a file that another command of this group wrote.
func readJSON(file, what string, v any) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return cli.FileError(what, err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %s is no %s: %w", coco.ErrInvalid, file, what, err)
	}
	return nil
}

func stamp(ms uint64) string { return time.UnixMilli(int64(min(ms, 1<<52))).UTC().Format(time.RFC3339) }
