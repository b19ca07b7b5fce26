package catchup

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/channel"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/peer"
)

// entries makes a ledger of batches, with a leader's first entry as every fifth, the first one among them.
func entries(t *testing.T, count uint64) []batch.Entry {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := batch.NewKeys(1, [32]byte{1})
	var tree merkle.Frontier
	var chain coco.Digest
	out := make([]batch.Entry, count)
	for i := range out {
		index := uint64(i) + 1
		e := batch.Entry{View: 2, Index: index, Kind: batch.KindView}
		if i%5 != 0 {
			e.Kind = batch.KindBatch
			if e.Data, err = batch.Seal(batch.Header{
				View: 2, Index: index, First: tree.Size() + 1, Epoch: 1, Prev: chain, Time: index,
			}, []batch.Record{{Public: fmt.Append(nil, "record ", index)}}, &tree, keys, key); err != nil {
				t.Fatal(err)
			}
		}
		out[i], chain = e, e.Chain(chain)
	}
	return out
}

// node is one of a test's network: a ledger, and what serves it.
type node struct {
	Local
	identity *channel.Identity
	address  string
}

// withNodes runs a test in virtual time, with nodes that serve the ledgers given. They trust each other.
func withNodes(t *testing.T, ledgers [][]batch.Entry, test func(t *testing.T, nodes []*node)) {
	synctest.Test(t, func(t *testing.T) {
		w := sim.New(1)
		ctx, stop := context.WithCancel(t.Context())
		service, err := channel.NewService("test", true, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		verify := func(p channel.PeerCert) error { return p.EndorsedBy(service.Certificate(), time.Now()) }
		addresses := map[coco.NodeID]string{}
		var nodes []*node
		var transports []*peer.Transport
		for i, all := range ledgers {
			h := w.Host(fmt.Sprint("node", i))
			n := &node{identity: endorsed(t, service), address: fmt.Sprintf("node%d:7000", i)}
			addresses[n.identity.ID()] = n.address
			dialer := peer.Dialer{Net: h.Net, Identity: n.identity, Verify: verify}
			n.Local = Local{
				Log: slog.New(slog.DiscardHandler), Clock: h.Clock, Disk: h.Disk, Snapshots: "snapshots", Ledger: written(t, h, all),
				Fetcher: &peer.Fetcher{
					Clock: h.Clock, Dialer: dialer, Nodes: func() map[coco.NodeID]string { return addresses },
					Leader: func() coco.NodeID { return coco.NodeID{} },
				},
			}
			transport := peer.New(n.Log, h.Clock)
			transport.Open(ctx, peer.Config{
				Dialer: dialer, Standing: func(coco.NodeID) peer.Standing { return peer.Trusted },
				Fetches: peer.NewFetchServer(h.Clock, func(rq peer.FetchRequest) (peer.FetchAnswer, peer.Pieces, error) {
					return n.Answer(n.Ledger.Last(), rq)
				}),
			}, nil)
			l, err := h.Net.Listen(n.address)
			if err != nil {
				t.Fatal(err)
			}
			go func() { _ = transport.Serve(ctx, l) }()
			nodes, transports = append(nodes, n), append(transports, transport)
		}
		test(t, nodes)
		stop()
		for i, n := range nodes {
			transports[i].Wait()
			_ = n.Ledger.Close()
		}
	})
}

func endorsed(t *testing.T, service *channel.Service) *channel.Identity {
	t.Helper()
	id, err := channel.NewIdentity(true)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := service.Endorse(id.PublicKey(), id.ID(), []string{"node:1"}, true, time.Now(), time.Now())
	if err == nil {
		err = id.SetCertificate(cert)
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// written makes a ledger of small chunks.
func written(t *testing.T, h host.Host, all []batch.Entry) *ledger.Log {
	t.Helper()
	log, err := ledger.Open(h.Disk, "ledger", ledger.Options{ChunkBytes: 4 << 10})
	if err == nil && len(all) > 0 && all[0].Index > 1 {
		err = log.StartAt(all[0].Index)
	}
	for _, e := range all {
		if err == nil {
			err = log.Append([]batch.Entry{e})
		}
	}
	if err == nil {
		err = log.Sync()
	}
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestThePastIsFetchedFromANodeThatTellsTheTruth(t *testing.T) {
	all := entries(t, 60)
	liar := slices.Clone(all)
	liar[7] = entries(t, 60)[7]
	withNodes(t, [][]batch.Entry{all[49:], all, liar}, func(t *testing.T, nodes []*node) {
		n := nodes[0]
		if len(n.Ledger.Missing()) == 0 {
			t.Fatal("nothing is missing")
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended, chunks := make(chan error), 0
		go func() { ended <- n.Backfill(ctx, func() { chunks++ }) }()
		for range 100 {
			time.Sleep(10 * time.Second)
			if len(n.Ledger.Missing()) == 0 {
				break
			}
		}
		cancel()
		if err := <-ended; err != nil || chunks < 2 {
			t.Errorf("%d chunks were filled (%v)", chunks, err)
		}
		got, err := n.Ledger.Read(1, 61, 1<<20)
		if err != nil || len(got) != len(all) {
			t.Fatalf("%d entries, expected %d (%v)", len(got), len(all), err)
		}
		for i, e := range got {
			if !bytes.Equal(e.Data, all[i].Data) || e.Kind != all[i].Kind {
				t.Errorf("entry %d is not the network's", i+1)
			}
		}
	})
}

func TestSharedIsTheNewestEntryThatBothHave(t *testing.T) {
	all, other := entries(t, 40), entries(t, 40)
	fork := slices.Concat(all[:20], other[20:])
	withNodes(t, [][]batch.Entry{all, fork, other}, func(t *testing.T, nodes []*node) {
		for i, c := range []struct{ least, most uint64 }{{40, 40}, {9, 20}, {0, 0}} { // samples lie ever farther apart
			samples, err := nodes[i].Samples()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := nodes[0].Shared(40, samples); err != nil || got < c.least || got > c.most {
				t.Errorf("ledger %d shares entries up to %d (%v), expected %d to %d", i, got, err, c.least, c.most)
			}
		}
		samples, err := nodes[0].Samples()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := nodes[0].Shared(30, samples); err != nil || got == 0 || got > 30 {
			t.Errorf("of entries that are not applied beyond 30, those up to %d are shared (%v)", got, err)
		}
	})
}

func TestOnlyAppliedEntriesAreGivenOut(t *testing.T) {
	withNodes(t, [][]batch.Entry{entries(t, 20)}, func(t *testing.T, nodes []*node) {
		for _, c := range []struct {
			index, to uint64
			ok        bool
		}{{1, 11, true}, {10, 11, true}, {10, 12, false}, {0, 5, false}, {5, 5, false}, {6, 5, false}} {
			_, _, err := nodes[0].Answer(10, peer.FetchRequest{What: peer.FetchEntries, Index: c.index, To: c.to})
			if (err == nil) != c.ok {
				t.Errorf("entries %d to before %d, of 10 that are applied: %v", c.index, c.to, err)
			}
		}
		if _, _, err := nodes[0].Answer(10, peer.FetchRequest{What: peer.FetchSnapshot, Index: 5}); !errors.Is(err, coco.ErrNotFound) {
			t.Errorf("a snapshot that is not there: %v", err)
		}
		if _, _, err := nodes[0].Answer(10, peer.FetchRequest{What: 9}); !errors.Is(err, coco.ErrInvalid) {
			t.Errorf("a fetch of an unknown kind: %v", err)
		}
	})
}

func TestANodeWithoutAnyRecordedSnapshotReplaysTheLedger(t *testing.T) {
	withNodes(t, [][]batch.Entry{nil, entries(t, 5)}, func(t *testing.T, nodes []*node) {
		began := nodes[0].Clock.Elapsed()
		basis, err := nodes[0].Begin(t.Context(), coco.Digest{1}, []Record{{Index: 4, View: 2, Seqno: 3, Digest: coco.Digest{1}, Bytes: 100}}, 0)
		if basis != nil || err != nil {
			t.Errorf("it begins with %+v (%v)", basis, err)
		}
		if took := nodes[0].Clock.Elapsed() - began; took < (snapshotTries-1)*tryPause {
			t.Errorf("it gave up after %v", took)
		}
	})
}

func TestALedgerThatDoesNotLeadToItsSnapshotIsUnusable(t *testing.T) {
	all, other := entries(t, 20), entries(t, 20)
	withNodes(t, [][]batch.Entry{other[:8], all}, func(t *testing.T, nodes []*node) {
		b := &Basis{}
		b.Header.Index, b.Header.Chain = 12, chainAt(all, 12)
		var unusable *UnusableError
		if err := nodes[0].bridge(t.Context(), b, 0); !errors.As(err, &unusable) {
			t.Errorf("entries of another ledger before the snapshot's: %v", err)
		}
	})
	withNodes(t, [][]batch.Entry{all[:8], all}, func(t *testing.T, nodes []*node) {
		b := &Basis{}
		b.Header.Index, b.Header.Chain = 12, chainAt(all, 12)
		if err := nodes[0].bridge(t.Context(), b, 0); err != nil || nodes[0].Ledger.Last() != 12 {
			t.Errorf("the ledger ends with entry %d, expected 12 (%v)", nodes[0].Ledger.Last(), err)
		}
	})
}

// chainAt returns the chain digest of an entry.
func chainAt(all []batch.Entry, index uint64) (chain coco.Digest) {
	for _, e := range all[:index] {
		chain = e.Chain(chain)
	}
	return chain
}
