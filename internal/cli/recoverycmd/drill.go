package recoverycmd

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/cli/drill"
	"github.com/cocoframework/coco/internal/cli/ledgercmd"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/keyfile"
	"github.com/cocoframework/coco/internal/rehearsal"
)

func (a *app) drillCommand() *cobra.Command {
	var ledgers, files []string
	var service, atLeast string
	cmd := &cobra.Command{
		Use:   "drill",
		Short: "Rehearse a recovery on copies, and say what would fail in earnest",
		Long: `Verifies copies of a ledger as a recovery does, opens the parts of the members whose keys are given, and says what would fail in earnest: damaged
or missing chunks, copies that lack what is known, keys that do not open, members that are missing, a program that the constitution does not list.

With the keys of a threshold of members it opens the ledger and every batch of it, in this process, and forgets it. Members who do not want their
keys in one place rehearse with their own key alone, run ` + "`coco recovery share check`" + `, or hold a drill among separate machines: begin, seal, end.

Copies are only read, no node is started, and no network is asked. Exits with 0 if a recovery would succeed with what was given, and with 3 if it would not.`,
		Example: "  coco recovery drill --ledger /backup/alpha --ledger /backup/bravo --key alpha/encryption.key --key bravo/encryption.key\n  coco recovery drill --ledger /backup/alpha --key alpha/encryption.key --at-least 2.1733 -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.rehearsed(ledgers, service, atLeast)
			if err != nil {
				return err
			}
			for _, file := range files {
				key, err := identity.ReadMemberKey(file, keyfile.Read)
				cfg.Keys = append(cfg.Keys, rehearsal.Key{File: file, Key: key, Err: err})
			}
			return drill.Run(cmd.Context(), a.App, cfg)
		},
	}
	a.copiesFlags(cmd, &ledgers, &service, &atLeast)
	cmd.Flags().StringArrayVar(&files, "key", nil, "a member's encryption key, a PEM `file`; may be given several times")
	_ = cmd.MarkFlagFilename("key")
	a.OutputFlag(cmd)
	cmd.AddCommand(a.drillBeginCommand(), a.drillSealCommand(), a.drillEndCommand())
	return cmd
}

// copiesFlags are for commands that rehearse with copies.
func (a *app) copiesFlags(cmd *cobra.Command, ledgers *[]string, service, atLeast *string) {
	fl := cmd.Flags()
	fl.StringArrayVar(ledgers, "ledger", nil, "`folder` of a copy of the ledger, of a node, or of a sandbox; may be given several times")
	fl.StringVar(service, "service", "", "the service certificate that the network must have, a PEM `file`")
	fl.StringVar(atLeast, "at-least", "", "`transaction`, as view.seqno, that is known to be committed")
	_ = cmd.MarkFlagRequired("ledger")
	_ = cmd.MarkFlagFilename("service")
}

// rehearsed says what to rehearse with, without keys.
func (a *app) rehearsed(ledgers []string, service, atLeast string) (cfg rehearsal.Config, err error) {
	if atLeast != "" {
		if cfg.AtLeast, err = coco.ParseTxID(atLeast); err != nil {
			return cfg, fmt.Errorf("--at-least: %w", err)
		}
	}
	cert, err := readService(service)
	if err != nil {
		return cfg, err
	}
	cfg.Source = a.source(cert)
	for _, dir := range ledgers {
		found, err := ledgercmd.Find(dir)
		if err != nil {
			return cfg, err
		}
		for _, f := range found {
			cfg.Ledgers = append(cfg.Ledgers, f.Path)
		}
	}
	return cfg, nil
}
