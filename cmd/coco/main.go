// Command coco is all of Coco in one program: a whole consortium on one machine (`coco up`), the
// validating node, and the tools that look at a network, check its ledger and load it.
//
// It is wiring only. Which adapters, attestation drivers and commands the program contains is decided
// here; the commands are below internal/cli.
//
// Trust: host
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/adapter/ethereum"
	"github.com/cocoframework/coco/adapter/kv"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/attestcmd"
	"github.com/cocoframework/coco/internal/cli/benchcmd"
	"github.com/cocoframework/coco/internal/cli/democmd"
	"github.com/cocoframework/coco/internal/cli/doctorcmd"
	"github.com/cocoframework/coco/internal/cli/ethcmd"
	"github.com/cocoframework/coco/internal/cli/govcmd"
	"github.com/cocoframework/coco/internal/cli/identitycmd"
	"github.com/cocoframework/coco/internal/cli/kvcmd"
	"github.com/cocoframework/coco/internal/cli/ledgercmd"
	"github.com/cocoframework/coco/internal/cli/membercmd"
	"github.com/cocoframework/coco/internal/cli/nodecmd"
	"github.com/cocoframework/coco/internal/cli/proxycmd"
	"github.com/cocoframework/coco/internal/cli/receiptcmd"
	"github.com/cocoframework/coco/internal/cli/recoverycmd"
	"github.com/cocoframework/coco/internal/cli/sandboxcmd"
)

func main() {
	withoutCore()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run executes a command line and returns its exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &cli.App{Program: program(), In: stdin, Out: cli.NewPrinter(stdout), Err: cli.NewPrinter(stderr)}
	root := root(a.Version)
	a.Add(root, groups())
	return a.Run(ctx, root, args)
}

// program lists what this binary contains.
func program() cli.Program {
	return cli.Program{
		Version:   version(),
		Adapters:  []adapter.Adapter{ethereum.New(), kv.Adapter{}},
		Platforms: platforms(),
	}
}

// groups lists the commands, as help shows them.
func groups() []cli.Group {
	type commands = []func(*cli.App) *cobra.Command
	return []cli.Group{
		{Title: "A network on this machine:", Commands: commands{sandboxcmd.Up, sandboxcmd.Status, sandboxcmd.Down, sandboxcmd.Restart, nodecmd.Command, democmd.Command}},
		{Title: "Using a network:", Commands: commands{proxycmd.Command, kvcmd.Command, identitycmd.Command, ethcmd.Command}},
		{Title: "Governing a network:", Commands: commands{govcmd.Command, membercmd.Command}},
		{Title: "Checking what a network did, and going on after a catastrophe:", Commands: commands{ledgercmd.Command, receiptcmd.Command, attestcmd.Command, recoverycmd.Command}},
		{Title: "Measuring:", Commands: commands{benchcmd.Command, doctorcmd.Command}},
		{Commands: commands{versionCommand}},
	}
}

// root is the command without a name.
func root(version string) *cobra.Command {
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
		Version: version,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}
