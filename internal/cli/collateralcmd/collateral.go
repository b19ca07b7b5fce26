// Package collateralcmd is `coco attest collateral`: it fills the folder from which nodes and verifiers take what vendors say about their TEEs, and shows how old it is.
//
// Trust: host
package collateralcmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/collateral"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/vendors"
)

type app struct{ *cli.App }

// Command returns `coco attest collateral`.
func Command(c *cli.App) *cobra.Command {
	a := &app{c}
	cmd := &cobra.Command{
		Use:   "collateral",
		Short: "Keep what AMD and Intel say about their TEEs in a folder",
		Long: `Evidence of a TEE is checked by what its vendor says: certificates, lists of revoked ones, and which
firmware is good enough. It is kept in a folder, because what checks evidence has no network. Nothing in
the folder is believed before a signature of the vendor was checked, so it may come from anywhere.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.importCommand(), a.fetchCommand(), a.listCommand())
	return cmd
}

func (a *app) importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FOLDER FILE...",
		Short: "Take collateral from files into a folder, for machines without internet",
		Long: `Takes collateral from files into a folder, which is made if it is absent. A file may be certificates
and CRLs in PEM or DER, Intel's TCB info and identities of quoting enclaves as Intel's service answers
them, all collateral of a quote in one JSON object, or ` + "`-`" + ` for standard input. What the folder has newer is kept.`,
		Example: "  coco attest collateral import collateral tcbinfo.json qe.json root.crl\n  coco attest collateral import collateral quote_collateral.json",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			var all []collateral.Item
			for _, name := range args[1:] {
				b, err := a.read(name)
				if err != nil {
					return err
				}
				items, err := collateral.Parse(b)
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				all = append(all, items...)
			}
			return a.store(args[0], all)
		},
	}
	a.OutputFlag(cmd)
	return cmd
}

// read reads a file that a person named, and no more of it than may be collateral.
func (a *app) read(name string) ([]byte, error) {
	return cli.ReadFile(a.In, "collateral", name, collateral.MaxSet)
}

func (a *app) fetchCommand() *cobra.Command {
	var s vendors.Services
	cmd := &cobra.Command{
		Use:   "fetch FOLDER [EVIDENCE...]",
		Short: "Fetch collateral from Intel and AMD, or from a mirror, into a folder",
		Long: `Fetches the collateral that evidence needs into a folder. EVIDENCE is a file with a quote of SGX or TDX, or a
report of SEV-SNP. Without evidence the folder is refreshed: what it has from Intel is fetched
again, for the same processors. Run it once a day: Intel's collateral is valid for 30 days.

--intel names a mirror with the paths of Intel's service, such as a PCCS.`,
		Example: "  coco attest collateral fetch collateral quote.bin\n  coco attest collateral fetch collateral --intel https://pccs.example:8081",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			items, err := a.fetch(cmd.Context(), s, args[0], args[1:])
			if stored := a.store(args[0], items); err == nil || stored != nil && len(items) > 0 {
				err = errors.Join(err, stored)
			}
			return err
		},
	}
	cmd.Flags().StringVar(&s.Intel, "intel", "", "`address` of a mirror of Intel's service")
	cmd.Flags().StringVar(&s.IntelRootCRL, "intel-root-crl", "", "`address` of the CRL of Intel's root CA, if it is not the mirror's")
	cmd.Flags().StringVar(&s.AMD, "amd", "", "`address` of a mirror of AMD's key distribution service")
	a.OutputFlag(cmd)
	return cmd
}

// fetch fetches what evidence needs, or what a folder has. What could be fetched is returned beside the error.
func (a *app) fetch(ctx context.Context, s vendors.Services, dir string, evidence []string) ([]collateral.Item, error) {
	var all []collateral.Item
	var errs []error
	if len(evidence) == 0 {
		set, err := collateral.Read(os.DirFS(dir))
		wanted := vendors.Wanted(set)
		if len(wanted) == 0 {
			return nil, errors.Join(err, fmt.Errorf("%w: %s has no TCB info of Intel's that could be refreshed: name evidence", coco.ErrInvalid, dir))
		}
		for _, p := range wanted {
			items, err := s.FetchIntel(ctx, p)
			all, errs = append(all, items...), append(errs, err)
		}
	}
	for _, name := range evidence {
		b, err := a.read(name)
		var items []collateral.Item
		if err == nil {
			items, err = s.Fetch(ctx, b)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		all, errs = append(all, items...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// row is an item as it is printed.
type row struct {
	Kind  string    `json:"kind"`
	About string    `json:"about"`
	File  string    `json:"file,omitempty"`
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
	State string    `json:"state"`
}

func (a *app) store(dir string, items []collateral.Item) error {
	stored, err := vendors.Store(dir, items)
	for _, s := range stored {
		state := "stored"
		if s.Kept {
			state = "kept: the folder has it, or a newer one"
		}
		if werr := a.print(row{Kind: s.Item.Kind.String(), About: s.Item.About, File: s.File, From: s.Item.From, Until: s.Item.Until, State: state}); werr != nil {
			return werr
		}
	}
	return err
}

func (a *app) print(r row) error {
	if a.WantsJSON() {
		return a.Out.JSON(r)
	}
	until := ""
	if !r.Until.IsZero() {
		until = ", until " + r.Until.UTC().Format(time.DateOnly)
	}
	a.Out.Printf("%s of %s%s: %s\n", r.Kind, r.About, until, r.State)
	return nil
}

func (a *app) listCommand() *cobra.Command {
	var at string
	cmd := &cobra.Command{
		Use:     "list FOLDER",
		Short:   "Show the collateral of a folder, its age and when it ends",
		Long:    "Shows the collateral of a folder, its age and when it ends. The exit code is 3 if some has ended.",
		Example: "  coco attest collateral list collateral\n  coco attest collateral list collateral --at 2026-12-01T00:00:00Z",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			now, err := cli.ParseTime("--at", at)
			if err != nil {
				return err
			}
			if _, err := os.Stat(args[0]); err != nil {
				return cli.FileError("folder of collateral", err)
			}
			set, err := collateral.Read(os.DirFS(args[0]))
			ended := 0
			for _, it := range set.Items() {
				state, over := age(it, now)
				if over {
					ended++
				}
				if err := a.print(row{Kind: it.Kind.String(), About: it.About, From: it.From, Until: it.Until, State: state}); err != nil {
					return err
				}
			}
			switch {
			case err != nil:
				return err
			case ended > 0:
				return fmt.Errorf("%w: %d of %s have ended: fetch or import newer ones", coco.ErrVerify, ended, cli.Plural(len(set.Items()), "item"))
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&at, "at", "", "`time` to judge by, as in RFC 3339 (default: now)")
	a.OutputFlag(cmd)
	return cmd
}

// age says how old an item is and how long it lasts, and whether it is over.
func age(it collateral.Item, now time.Time) (state string, over bool) {
	days := func(d time.Duration) string { return cli.Plural(int(d/(24*time.Hour)), "day") }
	switch {
	case it.From.IsZero():
		return "has no dates", false
	case now.Before(it.From):
		return "begins in " + days(it.From.Sub(now)), false
	case it.Until.IsZero():
		return days(now.Sub(it.From)) + " old", false
	case now.After(it.Until):
		return "ended " + days(now.Sub(it.Until)) + " ago", true
	default:
		return days(now.Sub(it.From)) + " old, ends in " + days(it.Until.Sub(now)), false
	}
}
