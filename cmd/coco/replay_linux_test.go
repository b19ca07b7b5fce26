package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/internal/identity"
)

// TestReplayingAStatementDelaysNobody has one member send a proposal that the network knows again and again over 240 connections, by its
// certificate for governance, to the node through which another organisation writes, votes and reads. Three nodes are three processes.
func TestReplayingAStatementDelaysNobody(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes, and loads this machine for seconds")
	}
	const connections, lasts = 240, 6 * time.Second
	dir := t.TempDir()
	s := startNetwork(t, dir, nil)
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	share := granted(t)
	info := s.Info()
	at := func(as string) *officer.Officer {
		o, err := (&officer.Access{Verifiers: verifiers(), Flags: network.Flags{Dir: dir}, As: as}).Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	actions := func(n int) []action.Action {
		list, err := action.Parse(fmt.Appendf(nil, "[[actions]]\nkind = \"set\"\nsetting = \"limits.queue\"\nvalue = %d\n", 20_001+n))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	alpha, bravo := at("alpha"), at("bravo")
	known, err := alpha.Propose(t.Context(), officer.Terms{Note: "again", Expires: time.Hour}, actions(0))
	if err != nil {
		t.Fatal(err)
	}
	proposal, err := alpha.Proposal(t.Context(), known.ID.String())
	if err != nil || len(proposal.Envelope) == 0 {
		t.Fatalf("%d bytes: %v", len(proposal.Envelope), err)
	}

	member, err := info.Member("alpha")
	if err != nil {
		t.Fatal(err)
	}
	mine := identity.Dir(member.Dir)
	cert, err := tls.LoadX509KeyPair(mine.Gov(), mine.GovKey())
	if err != nil {
		t.Fatal(err)
	}
	node := info.Nodes[1] // bravo's
	flood := &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}},
	}}
	defer flood.CloseIdleConnections()

	ctx, stop := context.WithTimeout(t.Context(), lasts)
	defer stop()
	var wg sync.WaitGroup
	var refused, busy atomic.Int64
	for range connections {
		wg.Go(func() {
			for ctx.Err() == nil {
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+node.Admin+"/gov/submit", bytes.NewReader(proposal.Envelope))
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Content-Type", "application/cose")
				resp, err := flood.Do(req)
				if err != nil {
					if ctx.Err() == nil {
						t.Error(err)
					}
					return
				}
				text, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				switch {
				case resp.StatusCode == http.StatusBadRequest && bytes.Contains(text, []byte("known already")):
					refused.Add(1)
				case resp.StatusCode == http.StatusServiceUnavailable:
					busy.Add(1)
				case ctx.Err() == nil:
					t.Errorf("the proposal again: %s %s", resp.Status, text)
					return
				}
			}
		})
	}
	for refused.Load()+busy.Load() < connections && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	reader := connectAs(t, info, "bravo", node)
	kinds := []*watched{
		{name: "kv PUT", do: func(ctx context.Context, n int) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPut, fmt.Sprintf("%s/app/kv/key-%d", node.HTTP, n), strings.NewReader("value"))
			if err != nil {
				return err
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if text, _ := io.ReadAll(resp.Body); resp.StatusCode/100 != 2 {
				return fmt.Errorf("%s: %s", resp.Status, text)
			}
			return nil
		}},
		{name: "propose and withdraw", do: func(ctx context.Context, n int) error {
			out, err := bravo.Propose(ctx, officer.Terms{Note: "meanwhile", Expires: time.Hour}, actions(1+n))
			if err == nil {
				_, err = bravo.Vote(ctx, out.ID, envelope.Withdraw)
			}
			return err
		}},
		{name: "eth_blockNumber", do: func(ctx context.Context, _ int) error {
			_, err := reader.RPC(ctx, nil, "eth_blockNumber")
			return err
		}},
	}
	for _, k := range kinds {
		wg.Go(func() { k.watch(ctx, t) })
	}
	wg.Wait()
	bound := time.Duration(float64(time.Second) / min(1, share))
	for _, k := range kinds {
		t.Logf("%-21s %4d times: median %v, p99 %v (the bound is %v)", k.name, len(k.took), k.quantile(0.5), k.quantile(0.99), bound)
		if len(k.took) < 5 || k.quantile(0.99) > bound {
			t.Errorf("%s: %d times, p99 %v, expected below %v", k.name, len(k.took), k.quantile(0.99), bound)
		}
	}
	t.Logf("meanwhile the proposal was sent %d times, and refused as busy %d times", refused.Load(), busy.Load())
	if refused.Load() < connections {
		t.Error("the network was not attacked")
	}
}
