package nodecmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/keyfile"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/rolling"
	"github.com/cocoframework/coco/node"
)

// checkPatience bounds the check of a program.
const checkPatience = time.Minute

func (a *app) checkCommand() *cobra.Command {
	var page string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check that this program can be a network's node on this machine",
		Long: `Checks this program before members are asked to list it: it reads the network's constitution with the
settings of every ledger, attests itself, and starts a node of a network of its own, in a folder
that it removes. No other network is touched.

` + "`coco node upgrade`" + ` has a new program do this before it is proposed.`,
		Example: "  coco gov constitution show > page.toml\n  ./coco-v2 node check --constitution page.toml\n  ./coco-v2 node check -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeoutCause(cmd.Context(), checkPatience, fmt.Errorf("it took longer than %v", checkPatience))
			defer cancel()
			got, err := a.check(ctx, page)
			if err != nil {
				return err
			}
			if a.WantsJSON() {
				return a.Out.JSON(got)
			}
			a.Out.OK("coco %s for %s, %s", got.Version, got.Platform, got.Measurement)
			if page != "" {
				a.Out.OK("it reads the constitution, and the settings of its ledgers")
			}
			a.Out.OK("it attests itself, and a node of its own has started")
			return nil
		},
	}
	cmd.Flags().StringVar(&page, "constitution", "", "the network's constitution, a `file` (default: that of a new network)")
	_ = cmd.MarkFlagFilename("constitution", "toml")
	a.OutputFlag(cmd)
	return cmd
}

// check checks this program.
func (a *app) check(ctx context.Context, page string) (rolling.Candidate, error) {
	code, err := a.Own().Measure()
	if err != nil {
		return rolling.Candidate{}, err
	}
	got := rolling.Candidate{Version: a.Version, Platform: runtime.GOOS + "/" + runtime.GOARCH, Measurement: code}
	dir, err := os.MkdirTemp("", "coco-check-")
	if err != nil {
		return got, err
	}
	defer os.RemoveAll(dir)
	c, err := a.trialConstitution(page, identity.Dir(filepath.Join(dir, "org")), code)
	if err != nil {
		return got, err
	}
	file := filepath.Join(dir, "constitution.toml")
	if err := os.WriteFile(file, c.TOML(), 0o600); err != nil {
		return got, err
	}
	org := identity.Dir(filepath.Join(dir, "org"))
	cfg := nodeconfig.Config{
		Name: "check", Dir: filepath.Join(dir, "node"), Peer: "127.0.0.1:0", Client: "127.0.0.1:0",
		OwnerCertificate: org.Org(), OwnerKey: org.OrgKey(), Start: nodeconfig.StartGenesis, Constitution: file,
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ready := false
	if err := a.startNode(ctx, cfg, keyfile.ReadUnattended, nodeEvents{log: newLog(io.Discard, cfg), ready: func(node.Info) { ready = true; cancel() }}); err != nil {
		return got, fmt.Errorf("a node of a network of its own does not start: %w", err)
	}
	if !ready {
		return got, fmt.Errorf("a node of a network of its own does not start: %w", context.Cause(ctx))
	}
	return got, nil
}

// trialConstitution is that of a network of one node, with the settings of a constitution that this program must be able to read.
func (a *app) trialConstitution(page string, org identity.Dir, code coco.Measurement) (*constitution.Constitution, error) {
	made, err := identity.Make("check", org, time.Now())
	if err != nil {
		return nil, err
	}
	c := &constitution.Constitution{Adapters: map[string]map[string]any{}}
	if page != "" {
		text, err := os.ReadFile(page)
		if err != nil {
			return nil, fmt.Errorf("%w: constitution: %w", coco.ErrInvalid, err)
		}
		read, err := constitution.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", page, err)
		}
		c = &constitution.Constitution{Limits: read.Limits, Consensus: read.Consensus, Ledger: read.Ledger, Snapshots: read.Snapshots, Adapters: read.Adapters}
		if platform := a.Own().Verifier.Platform(); !slices.ContainsFunc(read.TEE, func(t constitution.TEE) bool { return t.Platform == platform }) {
			return nil, fmt.Errorf("%w: this program runs in a TEE of the platform %q, which the constitution does not list", coco.ErrDenied, platform)
		}
	}
	c.Network = constitution.Network{Name: "check", Insecure: true}
	c.Members = []constitution.Member{{Name: "check", Certificate: made.Certificate, EncryptionKey: made.EncryptionKey}}
	c.Code = []constitution.Code{{Measurement: code}}
	c.TEE = []constitution.TEE{{Platform: a.Own().Verifier.Platform()}}
	return c, c.CompleteNew(adapter.Completer(a.Adapters))
}

// TryProgram has another program check itself, under the page of a constitution, and returns what it says of itself.
func TryProgram(ctx context.Context, file string, page []byte) (rolling.Candidate, error) {
	var got rolling.Candidate
	dir, err := os.MkdirTemp("", "coco-")
	if err != nil {
		return got, err
	}
	defer os.RemoveAll(dir)
	constitution := filepath.Join(dir, "constitution.toml")
	if err := os.WriteFile(constitution, page, 0o600); err != nil {
		return got, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 2*checkPatience, fmt.Errorf("it took longer than %v", 2*checkPatience))
	defer cancel()
	cmd := exec.CommandContext(ctx, file, "node", "check", "--constitution", constitution, "-o", "json")
	cmd.WaitDelay = time.Second
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		var why struct {
			Error struct {
				Message string `json:"message"`
			} `json:"error"`
		}
		text := said.String()
		if json.Unmarshal([]byte(text), &why) == nil {
			text = why.Error.Message
		}
		return got, fmt.Errorf("%w: %s does not pass `coco node check`: %w", coco.ErrInvalid, file, errors.Join(err, errText(text)))
	}
	if err := json.Unmarshal(out, &got); err != nil || got.Measurement == "" {
		return got, fmt.Errorf("%w: %s does not answer `node check` as this program does: expected its version, platform and measurement, found %.100q", coco.ErrInvalid, file, out)
	}
	return got, nil
}

// errText is what another program said, clipped; nil if it said nothing.
func errText(text string) error {
	if text = strings.TrimSpace(text); text == "" {
		return nil
	}
	return fmt.Errorf("it says %.500q", text)
}
