// Package cli is what all groups of commands share: the program they are part of, how they write for people
// and for programs, and how a command line that cannot be understood is explained.
//
//	cmd/coco ── Program: adapters, platforms ──▶ App ──▶ cli/GROUP.Command(app) ──▶ *cobra.Command
//	                                              │
//	                       Run: parse ─ do ─ show the error ─ exit code (package wire)
//
// Each group of commands is a package below this one. A group reaches the terminal through the App only.
//
// Trust: host
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/wire"
)

// Program is what a binary contains, as package main lists it.
type Program struct {
	Version   string
	Adapters  []adapter.Adapter
	Platforms []Platform // at least one; nodes run on the first unless their settings name another
}

// Own is the platform that nodes run on unless their settings name another.
func (p *Program) Own() Platform { return p.Platforms[0] }

// Verifiers are the platforms whose evidence the program reads.
func (p *Program) Verifiers() attest.Verifiers {
	var all attest.Verifiers
	for _, platform := range p.Platforms {
		all = append(all, platform.Verifier)
	}
	return all
}

// App is the program while it runs one command line.
type App struct {
	Program
	In       io.Reader
	Out, Err *Printer
	output   string // the -o flag of the command that runs
	started  bool   // the command line was understood
}

// Group is a heading of `coco --help`, and the commands below it.
type Group struct {
	Title    string // empty for commands without a heading
	Commands []func(*App) *cobra.Command
}

// Add adds groups of commands to the root command.
func (a *App) Add(root *cobra.Command, groups []Group) {
	for _, g := range groups {
		if g.Title != "" {
			root.AddGroup(&cobra.Group{ID: g.Title, Title: g.Title})
		}
		for _, command := range g.Commands {
			c := command(a)
			c.GroupID = g.Title
			root.AddCommand(c)
		}
	}
}

// Run runs a command line and returns the exit code. It shows the error.
func (a *App) Run(ctx context.Context, root *cobra.Command, args []string) int {
	explainUsage(root)
	a.markStart(root)
	root.SetArgs(args)
	root.SetIn(a.In)
	root.SetOut(a.Out.W)
	root.SetErr(a.Err.W)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return wire.ExitOK
	}
	if ctx.Err() != nil && errors.Is(err, coco.ErrUnreachable) {
		err = ErrInterrupted // no node was waited for any longer; an outcome that is unknown is of another kind
	}
	var unknown unknownWord
	if errors.As(err, &unknown) {
		if hint := didYouMean(unknown.Word()); hint != "" {
			err = fmt.Errorf("%w%s", err, hint)
		}
	}
	if !a.started {
		if askedForJSON(args) {
			a.output = OutputJSON
		}
		err = &usageError{err: err, cmd: cmd.CommandPath()}
	}
	a.showError(err)
	return wire.ExitCode(err)
}

// markStart notes when a command line was understood: what fails before is a usage error.
func (a *App) markStart(cmd *cobra.Command) {
	if work := cmd.RunE; work != nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if err := a.checkOutput(cmd); err != nil {
				return err
			}
			a.started = true
			return work(cmd, args)
		}
	}
	for _, sub := range cmd.Commands() {
		a.markStart(sub)
	}
}

// usageError is a command line that cannot be understood. Whatever else it is, its exit code is
// that of a usage error.
type usageError struct {
	err error
	cmd string
}

func (e *usageError) Error() string { return e.err.Error() + "\nSee `" + e.cmd + " --help`." }

// ErrInterrupted is what Ctrl-C makes of a command that was not done.
var ErrInterrupted = errors.New("interrupted")

// UseJSON has the command that runs write for programs, as with -o json.
func (a *App) UseJSON() { a.output = OutputJSON }
