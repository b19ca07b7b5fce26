package reopen_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/host/mem"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/reopen"
	"github.com/cocoframework/coco/store"
)

// past is a network of which nothing is left but its ledger and its members' keys.
type past struct {
	n       *govtest.Network
	disk    *mem.Disk
	log     *ledger.Log
	batches int
	root    coco.Digest
}

const dir = "ledger"

// newPast makes a ledger of a genesis and of batches of as many transactions each.
func newPast(t testing.TB, batches, transactions int) *past {
	t.Helper()
	n := govtest.New(t)
	rec := n.Genesis()
	p := &past{n: n, disk: mem.New(), batches: batches}
	var err error
	if p.log, err = ledger.Open(p.disk, dir, ledger.Options{ChunkBytes: 64 << 20}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.log.Close() })
	var tree merkle.Frontier
	var prev coco.Digest
	secrets, signer := batch.NewKeys(1, n.Secrets[1]), n.Signer(rec.ID)
	now, next := n.Times[0], uint64(1)
	add := func(index uint64, records []batch.Record) {
		h := batch.Header{View: 2, Index: index, First: next, Node: rec.ID, Time: now + index, Epoch: 1, Prev: prev, Committed: index - 1}
		if index == 1 {
			h.Time = now
		}
		data, err := batch.Seal(h, records, &tree, secrets, signer)
		if err != nil {
			t.Fatal(err)
		}
		e := batch.Entry{View: 2, Index: index, Kind: batch.KindBatch, Data: data}
		if err := p.log.Append([]batch.Entry{e}); err != nil {
			t.Fatal(err)
		}
		prev, next = e.Chain(prev), next+uint64(len(records))
	}
	g := n.Records[0]
	add(1, []batch.Record{{Public: g.Public, Private: g.Private, Claims: g.Claims}})
	for i := range batches {
		add(uint64(i+2), puts(t, i, transactions))
	}
	p.root = tree.Root()
	if err := p.log.Sync(); err != nil {
		t.Fatal(err)
	}
	return p
}

// puts are transactions that put a key each.
func puts(t testing.TB, batchNumber, transactions int) (out []batch.Record) {
	t.Helper()
	s := store.New()
	if err := s.Create(store.Table{Name: "kv.data", Private: true}); err != nil {
		t.Fatal(err)
	}
	set := s.Begin(2, 1)
	for i := range transactions {
		tx := set.Begin()
		tx.Put("kv.data", fmt.Appendf(nil, "key %d of %d", i, batchNumber), []byte(strings.Repeat("v", 100)))
		tx.Commit()
	}
	for _, r := range set.Records() {
		out = append(out, batch.Record{Public: r.Public, Private: r.Private})
	}
	return out
}

// open opens the ledger, with what the members given release.
func (p *past) open(t testing.TB, change func(*reopen.How), members ...int) (*reopen.Opened, *keys.Ring, error) {
	t.Helper()
	how := &reopen.How{Release: func(_ context.Context, round *recovery.Round) ([]error, error) {
		for _, i := range members {
			m := p.n.Members[i]
			r, err := recovery.New(round.Request(), round.Lock(), m.Actor(), m.Encryption)
			if err != nil {
				return nil, err
			}
			if err := round.Submit(r); err != nil {
				return nil, err
			}
		}
		return nil, nil
	}}
	if change != nil {
		change(how)
	}
	ring := keys.NewRing()
	l := reopen.Ledger{
		Log: slog.New(slog.DiscardHandler), Clock: local.Clock{}, Disk: p.disk, Dir: dir, Entries: p.log, Keys: ring, How: how,
		Audit: audit.Config{Verifiers: govtest.Verifiers, Service: p.n.Service.Certificate().Raw},
	}
	o, err := l.Open(t.Context())
	return o, ring, err
}

func TestAThresholdOfMembersOpensALedger(t *testing.T) {
	p := newPast(t, 3, 5)
	o, ring, err := p.open(t, nil, 0, 2)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err := ring.Secret(1); err != nil || !secret.Equal(p.n.Secrets[1]) {
		t.Errorf("epoch 1: %v", err)
	}
	if o.Last != (coco.TxID{View: 2, Seqno: 16}) || o.Transactions != 16 || o.Recovered != nil || !o.Service.Certificate().Equal(p.n.Service.Certificate()) {
		t.Errorf("opened: %+v", o)
	}
	if _, _, err := p.open(t, nil, 1); !errors.Is(err, coco.ErrInvalid) {
		t.Errorf("one member of three opens it: %v", err)
	}
}

func TestASuccessorNamesTheServiceAndTheEndThatItFollows(t *testing.T) {
	p := newPast(t, 2, 3)
	var asked recovery.Request
	o, _, err := p.open(t, func(how *reopen.How) {
		release := how.Release
		how.Successor = true
		how.Release = func(ctx context.Context, round *recovery.Round) ([]error, error) {
			asked = round.Request()
			return release(ctx, round)
		}
	}, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	if asked.Resume || o.Recovered == nil || o.Recovered.Last != o.Last || o.Recovered.Root != p.root || o.Service.Certificate().Equal(p.n.Service.Certificate()) {
		t.Errorf("asked for resuming: %v; recovered: %+v", asked.Resume, o.Recovered)
	}
	was, err1 := table.NetworkID(p.n.Service.Certificate().Raw)
	is, err2 := table.NetworkID(o.Service.Certificate().Raw)
	if err1 != nil || err2 != nil || was != is || asked.Point.Network != was {
		t.Errorf("the network is %s, and was %s", is.Short(), was.Short())
	}
}

func TestALedgerThatLacksWhatIsKnownIsShownToNobody(t *testing.T) {
	p := newPast(t, 2, 3)
	for _, known := range []coco.TxID{{View: 2, Seqno: 8}, {View: 3, Seqno: 7}} {
		var loss *reopen.LossError
		_, _, err := p.open(t, func(how *reopen.How) {
			how.AtLeast = known
			how.Show = func(reopen.Ending) error { t.Error("it is shown"); return nil }
		}, 0, 1)
		if !errors.As(err, &loss) || loss.Lacks != known || !errors.Is(err, coco.ErrVerify) {
			t.Errorf("it lacks %s: %v", known, err)
		}
	}
}

// Recovery of a million transactions: the audit without keys, opening, and reading every private part into a store, as a replay does.
func BenchmarkRecoveryOfAMillionTransactions(b *testing.B) {
	for _, size := range []int{1000, 100, 10} {
		b.Run(fmt.Sprintf("batches of %d", size), func(b *testing.B) {
			p := newPast(b, 1_000_000/size, size)
			for b.Loop() {
				began := time.Now()
				o, ring, err := p.open(b, nil, 0, 1)
				if err != nil {
					b.Fatal(err)
				}
				opened := time.Since(began)
				replay(b, p, ring)
				b.ReportMetric(opened.Seconds(), "s/audit")
				b.ReportMetric((time.Since(began) - opened).Seconds(), "s/replay")
				b.ReportMetric(float64(o.Transactions), "transactions")
			}
		})
	}
}

// replay applies what a ledger holds to a store.
func replay(t testing.TB, p *past, ring *keys.Ring) {
	t.Helper()
	s := store.New()
	if err := s.Create(append(table.All(), store.Table{Name: "kv.data", Private: true})...); err != nil {
		t.Fatal(err)
	}
	for index := uint64(1); index <= p.log.Last(); index++ {
		entries, err := p.log.Read(index, index+1, 0)
		if err != nil {
			t.Fatal(err)
		}
		x, err := batch.Decode(entries[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		k, err := ring.Of(x.Header.Epoch)
		if err != nil {
			t.Fatal(err)
		}
		records, err := x.Open(k)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range records {
			var writes []store.Write
			for _, part := range [][]byte{r.Public, r.Private} {
				w, err := store.DecodeWrites(part)
				if err != nil {
					t.Fatal(err)
				}
				writes = append(writes, w...)
			}
			if err := s.Apply(x.Header.First+uint64(i), writes); err != nil {
				t.Fatal(err)
			}
		}
		s.Commit(x.Header.Last())
	}
}
