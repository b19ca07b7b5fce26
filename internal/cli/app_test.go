package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/wire"
)

// What a command asks after Ctrl-C gets no answer. That is no fault of the network, but an outcome that is unknown stays so.
func TestCtrlCIsNoUnreachableNetwork(t *testing.T) {
	for _, tc := range []struct {
		kind  error
		after bool // Ctrl-C
		text  string
		exit  int
	}{
		{coco.ErrUnreachable, true, "coco: interrupted\n", wire.ExitError},
		{coco.ErrUnreachable, false, "coco: unreachable: asking\n", wire.ExitUnreachable},
		{coco.ErrUnknown, true, "coco: outcome unknown: asking\n", wire.ExitCode(coco.ErrUnknown)},
		{coco.ErrVerify, true, "coco: verification failed: asking\n", wire.ExitVerify},
	} {
		ctx, stop := context.WithCancel(t.Context())
		var shown bytes.Buffer
		a := &App{In: strings.NewReader(""), Out: NewPrinter(new(bytes.Buffer)), Err: NewPrinter(&shown)}
		root := &cobra.Command{Use: "coco", SilenceErrors: true, SilenceUsage: true, RunE: func(*cobra.Command, []string) error {
			if tc.after {
				stop()
			}
			return fmt.Errorf("%w: asking", tc.kind)
		}}
		if exit := a.Run(ctx, root, nil); exit != tc.exit || shown.String() != tc.text {
			t.Errorf("%v, Ctrl-C %v: exit code %d, %q", tc.kind, tc.after, exit, shown.String())
		}
		stop()
	}
}
