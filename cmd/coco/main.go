// Command coco is all of Coco in one program: a whole consortium on one machine (`coco up`), the
// validating node, and the tools that look at a network, check its ledger and load it.
//
// It is wiring only: which adapters and attestation drivers the program contains is decided here,
// and each command calls the package that does the work.
//
// Trust: host
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco/wire"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := wire.ExitCode(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	stop()
	os.Exit(code)
}

// run executes a command line. Its error has been shown to the user already.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	a := &app{in: stdin, out: newPrinter(stdout), err: newPrinter(stderr)}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return nil
	}
	if !a.started {
		if askedForJSON(args) {
			a.output = outputJSON
		}
		err = &usageError{err: err, cmd: cmd.CommandPath()}
	}
	a.showError(err)
	return err
}

// app is what all commands share.
type app struct {
	in       io.Reader
	out, err *printer
	output   string // the -o flag of the command that runs
	started  bool   // the command line was understood
}

// root makes the tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "coco",
		Short: "Confidential consortium ledgers",
		Long: `Coco runs confidential consortium ledgers: organisations that do not trust one
another run one network whose nodes prove their code to each other.

Start with ` + "`coco up`" + `: it runs a network of three members on this machine.`,
		Example: `  coco up                 # a network of three members, until Ctrl-C
  coco demo               # what it can do, in half a minute
  coco status             # nodes, roles, commit, lag`,
		SilenceErrors: true, SilenceUsage: true,
		Version: version(),
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddGroup(
		&cobra.Group{ID: "network", Title: "A network on this machine:"},
		&cobra.Group{ID: "govern", Title: "Governing a network:"},
		&cobra.Group{ID: "check", Title: "Checking what a network did:"},
		&cobra.Group{ID: "measure", Title: "Measuring:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("network", a.upCommand(), a.statusCommand(), a.downCommand(), a.restartCommand(), a.nodeCommand(), a.demoCommand())
	add("govern", a.govCommand(), a.memberCommand())
	add("check", a.ledgerCommand(), a.receiptCommand())
	add("measure", a.benchCommand(), a.doctorCommand())
	root.AddCommand(a.versionCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	explainUsage(root)
	a.markStart(root)
	return root
}

// markStart notes when a command line was understood: what fails before is a usage error.
func (a *app) markStart(cmd *cobra.Command) {
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

// errInterrupted is what Ctrl-C makes of a command that was not done.
var errInterrupted = errors.New("interrupted")
