package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/sandbox"
)

// maxPage bounds a constitution's page.
const maxPage = 4 << 20

// askConstitution asks a node that the service endorsed for the constitution in force.
func askConstitution(ctx context.Context, addr string, service *x509.Certificate) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	tr := &http.Transport{TLSClientConfig: verifyEndorsed(service)}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+addr+"/node/constitution", nil)
	if err != nil {
		return nil, fmt.Errorf("%w: --node %q: expected host:port of the administrative listener", coco.ErrInvalid, addr)
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		if outer := (*url.Error)(nil); errors.As(err, &outer) {
			err = outer.Err
		}
		if errors.Is(err, coco.ErrVerify) {
			return nil, fmt.Errorf("node at %s: %w", addr, err)
		}
		return nil, fmt.Errorf("%w: node at %s: %w", coco.ErrUnreachable, addr, err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: node at %s: asked for its constitution it answers %s", coco.ErrUnreachable, addr, resp.Status)
	}
	return page, nil
}

// The rest of this file completes words of the command line. A network that does not answer completes nothing.

func (f *governing) completeMembers(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	info, err := sandbox.Load(f.dir)
	var names []string
	if err == nil {
		for _, m := range info.Members {
			names = append(names, m.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (f *governing) completeNodes(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	info, err := sandbox.Load(f.dir)
	var names []string
	if err == nil {
		for _, n := range info.Nodes {
			if !n.Retired {
				names = append(names, n.Name)
			}
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeProposals returns a function that completes the proposals in a state, at a position.
func (f *governing) completeProposals(state string, at int, before ...string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) < at {
			return before, cobra.ShellCompDirectiveNoFileComp
		}
		if len(args) > at {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
		defer cancel()
		var out []string
		if o, err := f.connect(ctx); err == nil {
			defer o.Close()
			list, _ := o.Proposals(ctx, state, 50)
			for _, p := range list {
				out = append(out, cobra.CompletionWithDesc(fmt.Sprint(p.Number), titleOf(p)))
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}
