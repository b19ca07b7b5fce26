package benchcmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/bench"
	"github.com/cocoframework/coco/internal/cli"
)

// What failed before anything was measured has an error, and no figures.
func TestAReportIsToldWhereThereIsOne(t *testing.T) {
	differs := fmt.Errorf("%w: a node lacks what others acknowledged", coco.ErrVerify)
	for _, c := range []struct {
		what   string
		report bench.Report
		err    error
		told   bool
	}{
		{"a run", bench.Report{Work: bench.KV, Nodes: 3, Clients: 8}, nil, true},
		{"a run whose nodes differ", bench.Report{Work: bench.KV, Nodes: 3, Clients: 8}, differs, true},
		{"preparing found a difference", bench.Report{}, differs, false},
		{"preparing found nobody", bench.Report{}, fmt.Errorf("%w: no node", coco.ErrUnreachable), false},
	} {
		var out bytes.Buffer
		err := (&app{&cli.App{Out: cli.NewPrinter(&out), Err: cli.NewPrinter(io.Discard)}}).told(c.report, c.err)
		if !errors.Is(err, c.err) || (out.Len() > 0) != c.told {
			t.Errorf("%s: %v, told %q", c.what, err, out.String())
		}
	}
}
