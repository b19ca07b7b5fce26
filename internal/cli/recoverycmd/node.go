package recoverycmd

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/query"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/shell"
	"github.com/cocoframework/coco/wire"
)

// node is a node that recovers. The connection proves nothing, and need not: what a member releases is encrypted to a key that evidence binds to
// attested code, and anybody may read and bring it.
type node struct {
	address string
	hc      *http.Client
}

// patience bounds how long a node may take to answer, and maxAnswer what of it is read, or maxCertificate.
const (
	patience       = time.Minute
	maxAnswer      = 32 << 20
	maxCertificate = 1 << 20
)

func nodeFlag(cmd *cobra.Command, address *string) {
	cmd.Flags().StringVar(address, "node", "", "`host:port` where the node that recovers listens for members")
	_ = cmd.MarkFlagRequired("node")
}

func (a *app) node(address string) *node {
	return &node{network.Address(address), &http.Client{
		Timeout:   patience,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}},
	}}
}

func (n *node) close() { n.hc.CloseIdleConnections() }

// ask asks a node that recovers; a nil body is a GET.
func (n *node) ask(ctx context.Context, path string, body, v any) error {
	answer, err := n.do(ctx, path, body, maxAnswer, "no node recovers")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, v); err != nil {
		return fmt.Errorf("%w: %s of %s: %w", coco.ErrCorrupt, path, n.address, err)
	}
	return nil
}

// do makes a request, and returns at most so many bytes of the answer. none is what to say if there is none.
func (n *node) do(ctx context.Context, path string, body any, most int64, none string) ([]byte, error) {
	method, content := http.MethodGet, io.Reader(nil)
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		method, content = http.MethodPost, bytes.NewReader(b)
	}
	rq, err := http.NewRequestWithContext(ctx, method, "https://"+n.address+path, content)
	if err != nil {
		return nil, fmt.Errorf("%w: --node %q: expected host:port", coco.ErrInvalid, n.address)
	}
	resp, err := n.hc.Do(rq)
	if err != nil {
		if ctx.Err() != nil {
			return nil, cli.ErrInterrupted
		}
		return nil, fmt.Errorf("%w: %s at %s: %w", coco.ErrUnreachable, none, n.address, errors.Unwrap(err))
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, most))
	if err != nil {
		return nil, fmt.Errorf("%w: reading the answer of %s: %w", coco.ErrUnreachable, n.address, err)
	}
	if resp.StatusCode != http.StatusOK {
		if err := wire.FromAnswer(resp.StatusCode, answer); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s answers with the unexpected status %s", coco.ErrCorrupt, n.address, resp.Status)
	}
	return answer, nil
}

func (n *node) state(ctx context.Context) (s wire.Recovery, err error) {
	return s, n.ask(ctx, "/recovery", nil, &s)
}

func (n *node) request(ctx context.Context) (rq wire.RecoveryRequest, err error) {
	return rq, n.ask(ctx, "/recovery/request", nil, &rq)
}

func (n *node) submit(ctx context.Context, r wire.RecoveryRelease) (s wire.Recovery, err error) {
	return s, n.ask(ctx, "/recovery/releases", r, &s)
}

// unfinished is the error that a recovery still waits; nil once a threshold of members has released.
func unfinished(s wire.Recovery) error {
	switch {
	case s.State == wire.RecoveryVerifying:
		return fmt.Errorf("%w: the node verifies the ledger: %d of %d bytes", coco.ErrPending, s.Verified, s.Bytes)
	case s.State == wire.RecoveryCollecting && s.Remaining > 0:
		return fmt.Errorf("%w: %s must release still", coco.ErrPending, more(s.Remaining))
	}
	return nil
}

func more(n int) string {
	if n == 1 {
		return "1 more member"
	}
	return fmt.Sprintf("%d more members", n)
}

// showState shows a recovery to people.
func (a *app) showState(s wire.Recovery) {
	p := a.Out
	if s.Insecure {
		p.Insecure()
	}
	if s.Network != "" {
		p.Printf("%s goes on after transaction %s of %s\n  root   %s\n  point  %s\n", p.Bold(s.Network), s.Last, stamp(s.Time), s.Root, s.Point)
	}
	switch s.State {
	case wire.RecoveryOpening:
		p.OK("enough members have released: the node opens the ledger and replays it")
	case wire.RecoveryCollecting:
		p.Printf("%s opens with the parts of %d of %d members\n", s.Lock, s.Threshold, len(s.Members))
		for _, m := range s.Members {
			switch {
			case m.Released:
				p.Printf("  %s %-20s released\n", p.Green("✓"), m.Name)
			case m.Fault != "":
				p.Printf("  · %-20s not yet. What somebody brought in its name is no release of it (%s): anybody can bring that; ask the member whether it did\n", m.Name, m.Fault)
			default:
				p.Printf("  · %s\n", m.Name)
			}
		}
		a.warnOfOwner(s.Threshold, len(s.Members))
	}
}

// warnOfOwner says wherever members meet it that one of them alone opens a ledger.
func (a *app) warnOfOwner(threshold, members int) {
	if text := query.Owner(threshold, members); text != "" {
		a.Out.Printf("%s\n", a.Out.Red(text+"."))
	}
}

func (a *app) statusCommand() *cobra.Command {
	address := ""
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Who has released, and how many remain",
		Long: `Asks a node that recovers how far it is. Exits with 0 once enough members have released, with 5 while the ledger is verified or members are
missing, and with 6 if no node recovers there: then it serves already, or does not run.`,
		Example: "  coco recovery status --node 10.0.0.9:9000\n  coco recovery status --node 10.0.0.9:9000 -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n := a.node(address)
			defer n.close()
			s, err := n.state(cmd.Context())
			if errors.Is(err, coco.ErrUnreachable) {
				return fmt.Errorf("%w: it listens there until the ledger is open: if enough members have released, ask it where clients reach it (`coco recovery accept`, `coco node status`); if not, see whether `coco recovery start` runs", err)
			}
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				return errors.Join(a.Out.JSON(s), unfinished(s))
			}
			a.showState(s)
			return unfinished(s)
		},
	}
	nodeFlag(cmd, &address)
	a.OutputFlag(cmd)
	return cmd
}

func (a *app) requestCommand() *cobra.Command {
	var address, out string
	cmd := &cobra.Command{
		Use:   "request",
		Short: "Write what members without a network need for their releases into a file",
		Long: `Writes the request of a node that recovers to a file: where the ledger ends, what is to be opened, the key to release to, and evidence that
attested code holds it. Nothing in it is secret. A member verifies it with ` + "`coco recovery share seal`" + `.

It is of use as long as the node runs.`,
		Example: "  coco recovery request --node 10.0.0.9:9000 --out request.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := atomicfile.Free(out); err != nil {
				return err
			}
			n := a.node(address)
			defer n.close()
			rq, err := n.request(cmd.Context())
			if err != nil {
				return err
			}
			if err := writeJSON(out, rq); err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(map[string]string{"file": out})
			}
			a.Out.OK("%s is written", out)
			a.Out.Printf("Next, where a member's key is: coco recovery share seal --request %s --ledger COPY --key encryption.key --out MEMBER.release\n", shell.Quote(out))
			return nil
		},
	}
	nodeFlag(cmd, &address)
	cmd.Flags().StringVar(&out, "out", "", "`file` to write, which must not exist")
	_ = cmd.MarkFlagRequired("out")
	a.OutputFlag(cmd)
	return cmd
}
