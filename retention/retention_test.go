package retention_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/govtest"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/host/mem"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/retention"
	"github.com/cocoframework/coco/snapshot"
	"github.com/cocoframework/coco/store"
)

// node is the keys of a node, on a ledger whose epoch e was announced by transaction 10·e, at minute e.
type node struct {
	*retention.Keys
	govtest.Rows
	disk   *mem.Disk
	host   *lying
	ring   *keys.Ring
	now    time.Time
	keep   time.Duration
	leads  bool
	nobody bool // an opening does not end
	fails  error
	shut   uint64     // an epoch that does not open
	opened [][]uint64 // what openings were asked for
	erased []uint64
	asked  int // snapshots
}

type clock struct{ host.Clock }

func (clock) Elapsed() time.Duration                 { return time.Since(start) }
func (clock) After(d time.Duration) <-chan time.Time { return time.After(d) }

var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func secret(epoch uint64) keys.Secret { return keys.Secret{byte(epoch), 1} }

func minute(m uint64) time.Time { return time.UnixMilli(int64(m * 60_000)) }

// simulate plays a node that keeps secrets for three minutes, in virtual time.
func simulate(t *testing.T, test func(*testing.T, *node)) {
	synctest.Test(t, func(t *testing.T) {
		n := &node{Rows: govtest.Rows{T: t, Store: store.New()}, disk: mem.New(), ring: keys.NewRing(), keep: 3 * time.Minute}
		if _, err := n.Store.Scope("coco", table.All()...); err != nil {
			t.Fatal(err)
		}
		n.host = &lying{Disk: n.disk, other: "forged"}
		n.Keys = retention.New(retention.Config{
			Log: slog.New(slog.DiscardHandler), Clock: clock{}, Disk: n.host, Snapshots: "snapshots", Ring: n.ring, Store: n.Store, Most: 3,
			Keep: func() time.Duration { return n.keep }, Now: func() time.Time { return n.now }, Leads: func() bool { return n.leads },
			Open: func(epoch uint64, ahead ...uint64) error {
				n.opened = append(n.opened, append([]uint64{epoch}, ahead...))
				if n.fails != nil || n.nobody || epoch == n.shut {
					return errors.Join(n.fails, coco.ErrPending)
				}
				s := secret(epoch)
				n.Opened(epoch, &s)
				if s != (keys.Secret{}) {
					t.Error("the secret is left where it came from")
				}
				return nil
			},
			Ended: func(r store.Reader) func(uint64) (time.Time, bool) {
				newest := table.LastEpoch(r)
				return func(epoch uint64) (time.Time, bool) { return minute(epoch + 1), epoch < newest }
			},
			Expired: func(epochs []uint64) { n.erased = append(n.erased, epochs...) }, Woken: func() {},
			Snapshot: func(context.Context) error { n.asked++; return nil },
		})
		test(t, n)
	})
}

// epochs announces epochs up to one, and has the ring hold and use them.
func (n *node) epochs(to uint64) {
	n.T.Helper()
	for e := uint64(1); e <= to; e++ {
		n.Write(table.EpochsTable, table.EpochKey(e), table.EpochRecord{Epoch: e, Since: 10 * e, Sealed: []byte{1}, Time: uint64(minute(e).UnixMilli())})
		n.ring.Add(e, secret(e))
		n.ring.Use(e)
	}
}

// snapshot writes the file of a snapshot of an epoch, and has the ledger record it if it shall.
func (n *node) snapshot(index, epoch uint64, recorded bool) string {
	n.T.Helper()
	var tree merkle.Frontier
	for i := range n.Seqno {
		tree.Append(coco.Digest{byte(i)})
	}
	raw, err := tree.MarshalBinary()
	if err != nil {
		n.T.Fatal(err)
	}
	s := n.Store.Snapshot()
	h := snapshot.Header{Epoch: epoch, Index: index, View: 2, First: n.Seqno, Seqno: n.Seqno, Tree: raw, Voters: []uint64{1}}
	i, err := snapshot.Write(n.T.Context(), n.disk, "snapshots", h, secret(epoch), s, table.All())
	s.Release()
	if err == nil {
		err = snapshot.Confirm(n.disk, "snapshots", i, []byte("receipt"))
	}
	if err != nil {
		n.T.Fatal(err)
	}
	i.Pending = false
	if recorded {
		n.Write(table.SnapshotsTable, binary.BigEndian.AppendUint64(nil, index), table.SnapshotRecord{Index: index, View: 2, Seqno: i.Seqno, Digest: i.Digest, Bytes: i.Bytes, Since: n.Seqno + 1})
	}
	return "snapshots/" + i.Name()
}

func (n *node) expire(at time.Time) []uint64 {
	n.T.Helper()
	n.now, n.erased = at, nil
	if err := n.Expire(n.T.Context()); err != nil {
		n.T.Fatal(err)
	}
	return n.erased
}

func TestSecretsGoOnceTheirEpochHasEndedLongAgo(t *testing.T) {
	simulate(t, func(t *testing.T, n *node) {
		n.epochs(4) // they end at the minutes 2, 3, 4 and never
		n.keep = 0
		if got := n.expire(minute(1000)); got != nil {
			t.Errorf("epochs %v have expired though secrets are kept for ever", got)
		}
		n.keep = 3 * time.Minute
		for _, c := range []struct {
			at   time.Time
			want []uint64
		}{{minute(5).Add(-1), nil}, {minute(5), []uint64{1}}, {minute(6), []uint64{2}}, {minute(1000), []uint64{3}}} {
			if got := n.expire(c.at); !slices.Equal(got, c.want) {
				t.Errorf("at %v: epochs %v expired, expected %v", c.at, got, c.want)
			}
		}
		if got := n.ring.Epochs(); !slices.Equal(got, []uint64{4}) {
			t.Errorf("the node holds %v, expected the epoch in use", got)
		}
	})
}

func TestAnEpochThatIsOpenedAgainStaysAsLongAsOneThatHasEnded(t *testing.T) {
	simulate(t, func(t *testing.T, n *node) {
		n.epochs(4)
		n.expire(minute(100))
		if _, err := n.Of(2); err != nil || len(n.opened) != 1 {
			t.Fatalf("opened %v, %v", n.opened, err)
		}
		if _, err := n.Of(2); err != nil || len(n.opened) != 1 {
			t.Errorf("held, and opened again: %v, %v", n.opened, err)
		}
		if got := n.expire(minute(103).Add(-1)); got != nil {
			t.Errorf("epochs %v have expired early", got)
		}
		if got := n.expire(minute(103)); !slices.Equal(got, []uint64{2}) {
			t.Errorf("epochs %v have expired, expected 2", got)
		}
	})
}

func TestWhoGoesThroughTheLedgerHasTheNextEpochsOpenedAlong(t *testing.T) {
	simulate(t, func(t *testing.T, n *node) {
		n.epochs(8)
		n.expire(minute(100))
		if _, err := n.Of(3); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Ahead(2); err != nil {
			t.Fatal(err)
		}
		if got := n.opened[1]; !slices.Equal(got, []uint64{2, 4, 5, 6}) {
			t.Errorf("opened %v, expected 2 and the next three that the node does not hold", got)
		}
		if _, err := n.SecretAhead(1, []uint64{7}); err != nil || !slices.Equal(n.opened[2], []uint64{1, 7}) {
			t.Errorf("opened %v, %v", n.opened, err)
		}
		n.nobody = true
		if _, err := n.SecretAhead(5, nil); !errors.Is(err, coco.ErrPending) {
			t.Errorf("an opening that is not done: %v", err)
		}
		n.keep = 0
		if _, err := n.Of(6); !errors.Is(err, coco.ErrNotFound) || len(n.opened) != 4 {
			t.Errorf("where secrets are kept for ever none is opened: %v, %v", n.opened, err)
		}
	})
}

// A node that joins is given what this one keeps, and the secrets of recorded snapshots. Others that were opened again are not passed on.
func TestANodeThatJoinsIsGivenTheEpochsOfRecordedSnapshots(t *testing.T) {
	simulate(t, func(t *testing.T, n *node) {
		n.epochs(5)
		n.snapshot(100, 2, true)
		n.snapshot(200, 1, false)
		n.expire(minute(100))
		if _, err := n.Of(3); err != nil {
			t.Fatal(err)
		}
		n.opened = nil
		for range 2 {
			got, err := n.Granted(t.Context())
			if want := []uint64{2, 5}; err != nil || !slices.Equal(slices.Sorted(maps.Keys(got)), want) {
				t.Errorf("given %v, %v; expected %v", slices.Sorted(maps.Keys(got)), err, want)
			}
		}
		if fmt.Sprint(n.opened) != "[[2]]" {
			t.Errorf("opened %v, expected epoch 2 once", n.opened)
		}
	})
}

// lying answers the first reads of a file with another one's bytes.
type lying struct {
	host.Disk
	other string
	times int
}

func (d *lying) Open(name string) (host.File, error) {
	f, err := d.Disk.Open(name)
	if err != nil || d.times == 0 {
		return f, err
	}
	other, err := d.Disk.Open(d.other)
	return &twoFaced{f, other, d}, err
}

type twoFaced struct {
	host.File
	other host.File
	disk  *lying
}

func (f *twoFaced) ReadAt(b []byte, off int64) (int, error) {
	if f.disk.times > 0 {
		f.disk.times--
		return f.other.ReadAt(b, off)
	}
	return f.File.ReadAt(b, off)
}

// forged has the ledger record a snapshot of epoch 4, and returns its file with one of epoch 1 that has the same name.
func (n *node) forged() (name string, right, forged []byte) {
	n.T.Helper()
	n.epochs(5)
	name = n.snapshot(100, 1, false)
	forged = n.disk.Data(name)
	n.disk.Delete(name)
	if again := n.snapshot(100, 4, true); again != name {
		n.T.Fatalf("the files are %s and %s, expected one name", name, again)
	}
	n.disk.Put("forged", forged)
	n.expire(minute(100))
	return name, n.disk.Data(name), forged
}

// The host has put another file in the place of a recorded snapshot's, whose header names an old epoch. That one is not opened, and who joins does not wait for it.
func TestAForgedSnapshotOpensNoEpoch(t *testing.T) {
	simulate(t, func(t *testing.T, n *node) {
		name, right, forged := n.forged()
		n.nobody = true // an opening would not end
		n.disk.Put(name, forged)
		began := time.Now()
		if got, err := n.Granted(t.Context()); err != nil || len(got) != 1 || len(n.opened) > 0 || time.Since(began) > 0 {
			t.Errorf("given %d secrets after %v, %v; opened %v, expected none", len(got), time.Since(began), err, n.opened)
		}
		n.nobody = false
		n.disk.Put(name, right)
		if got, err := n.Granted(t.Context()); err != nil || len(got) != 2 || fmt.Sprint(n.opened) != "[[4]]" {
			t.Errorf("the right file: given %d secrets, %v; opened %v, expected epoch 4", len(got), err, n.opened)
		}
	})
}

// The host shows the other file in the first reads alone.
func TestAHostThatAnswersEachReadInAnotherWayHasNoOldEpochOpened(t *testing.T) {
	lied := false
	for reads := range 12 {
		simulate(t, func(t *testing.T, n *node) {
			n.forged()
			n.host.times = reads
			if _, err := n.Granted(t.Context()); err != nil {
				t.Fatal(err)
			}
			switch fmt.Sprint(n.opened) {
			case "[[4]]":
				lied = lied || reads > 0
			case "[]":
			default:
				t.Errorf("a host that lies in %d reads has %v opened", reads, n.opened)
			}
		})
	}
	if !lied {
		t.Error("no lie went unnoticed at first, so the test shows nothing")
	}
}

// A node joins with the newest snapshot: an older one's epoch is opened only if the newest one's does not open, or its file is of no use.
func TestTheNewestSnapshotIsEnoughToJoin(t *testing.T) {
	simulate(t, func(t *testing.T, n *node) {
		n.epochs(5)
		n.snapshot(100, 2, true)
		newest := n.snapshot(200, 3, true)
		n.expire(minute(100))
		check := func(what string, want ...uint64) {
			t.Helper()
			got, err := n.Granted(t.Context())
			if given := slices.Sorted(maps.Keys(got)); err != nil || !slices.Equal(given, want) {
				t.Errorf("%s: given %v, %v; expected %v", what, given, err, want)
			}
		}
		check("both are there", 3, 5)
		if fmt.Sprint(n.opened) != "[[3]]" {
			t.Errorf("opened %v, expected epoch 3", n.opened)
		}
		n.expire(minute(200))
		n.shut = 3
		check("the newest one's epoch does not open", 2, 5)
		n.shut = 0
		n.expire(minute(300))
		n.disk.Delete(newest)
		check("the newest file is gone", 2, 5)
	})
}

// A node that joins waits for a snapshot's epoch a while, and is told why it gets none.
func TestAnEpochThatDoesNotOpenIsWaitedForAWhile(t *testing.T) {
	simulate(t, func(t *testing.T, n *node) {
		n.epochs(3)
		n.snapshot(100, 1, true)
		n.expire(minute(100))
		n.fails = coco.ErrBusy
		began := time.Now()
		_, err := n.Granted(t.Context())
		if took := time.Since(began); !errors.Is(err, coco.ErrBusy) || took < 3*time.Second || took > 4*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		ctx, end := context.WithCancel(t.Context())
		end()
		if _, err := n.Granted(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("who joins has gone: %v", err)
		}
	})
}

// Where epochs are so short that none is in use for half of the time that secrets are kept, as after votes or under load, a snapshot is written in time all the same: nodes that go on together
// after all have stopped could not begin with one of an epoch that they have erased.
func TestTheLeaderHasASnapshotWrittenInTimeHoweverShortEpochsAre(t *testing.T) {
	simulate(t, func(t *testing.T, n *node) {
		n.keep, n.leads = 10*time.Minute, true
		n.epochs(20) // one each minute; epoch e ended at minute e+1
		for n.Seqno < 31 {
			n.Write("coco.nodes", []byte{byte(n.Seqno)}, 1)
		}
		n.snapshot(100, 3, true) // of epoch 3, which ended at minute 4
		time.Sleep(time.Hour)
		if n.expire(minute(9).Add(-1)); n.asked != 0 {
			t.Error("half of the time has not passed since its epoch ended")
		}
		if n.expire(minute(9)); n.asked != 1 {
			t.Errorf("asked for %d snapshots when half of the time had passed, expected 1", n.asked)
		}
		for n.Seqno <= 200 {
			n.Write("coco.nodes", []byte{byte(n.Seqno)}, 1)
		}
		n.snapshot(200, 20, true)
		time.Sleep(time.Hour)
		if n.expire(minute(20)); n.asked != 1 {
			t.Error("there is a snapshot of the epoch in use")
		}
	})
}

// Half-way to an epoch's end the node that leads has a snapshot of a later one written, unless there is one, and asks again after a minute.
func TestTheLeaderHasASnapshotWrittenInTime(t *testing.T) {
	simulate(t, func(t *testing.T, n *node) {
		n.epochs(2) // epoch 1 ended at minute 2
		time.Sleep(time.Second)
		half := minute(2).Add(90 * time.Second)
		for i, c := range []struct {
			at    time.Time
			leads bool
			sleep time.Duration
			want  int
		}{{half, false, 0, 0}, {half.Add(-1), true, 0, 0}, {half, true, 0, 1}, {half, true, time.Minute - 1, 1}, {half, true, 1, 2}} {
			time.Sleep(c.sleep)
			n.leads = c.leads
			if n.expire(c.at); n.asked != c.want {
				t.Errorf("case %d: asked for %d snapshots, expected %d", i, n.asked, c.want)
			}
		}
		for n.Seqno <= 20 {
			n.Write("coco.nodes", []byte{byte(n.Seqno)}, 1)
		}
		n.snapshot(100, 2, true)
		time.Sleep(time.Hour)
		if n.expire(half); n.asked != 2 {
			t.Errorf("there is a snapshot of the epoch in use, and %d were asked for", n.asked-2)
		}
	})
}
