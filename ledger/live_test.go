package ledger_test

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/ledger"
)

func TestReadersRunBesideTheAppender(t *testing.T) {
	disk := newMemDisk()
	l := openLog(t, disk, ledger.Options{ChunkBytes: 2000})
	want := entriesOf(1, 1, slices.Repeat([]int{100}, 400)...)
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				last := l.Last()
				if last == 0 {
					continue
				}
				got, err := l.Read(max(1, last-min(last-1, 25)), last+1, 1<<20)
				if errors.Is(err, coco.ErrNotFound) {
					continue // cut meanwhile
				}
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range got {
					if !equalEntries([]batch.Entry{e}, want[e.Index-1:e.Index]) {
						t.Errorf("entry %d is not what was written", e.Index)
						return
					}
				}
				l.ViewOf(last)
			}
		})
	}
	for i := 0; i < len(want); i++ {
		if err := l.Append(want[i : i+1]); err != nil {
			t.Fatal(err)
		}
		if i%50 == 49 && i < 300 {
			if err := l.TruncateAfter(uint64(i - 24)); err != nil {
				t.Fatal(err)
			}
			if err := l.Append(want[i-24 : i+1]); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	readers.Wait()
	mustHold(t, l, want)
}

func TestAuditRunsBesideAWriter(t *testing.T) {
	disk := newMemDisk()
	w := newWriter(t, disk, 3000)
	a := newSigner(t)
	w.batch(1, 0, a, nodeRecord(a))
	stop := make(chan struct{})
	var audits sync.WaitGroup
	audits.Go(func() {
		for last := uint64(0); ; {
			got, err := ledger.Audit(t.Context(), disk, dir, newChecker(), nil)
			if err != nil || got.Entries < last {
				t.Errorf("%d entries after %d: %v", got.Entries, last, err)
				return
			}
			last = got.Entries
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	for range 300 {
		w.batch(1, w.log.Last()-1, a, batch.Record{Private: []byte("p")})
	}
	close(stop)
	audits.Wait()
}

func TestLogOnARealDisk(t *testing.T) {
	disk, err := local.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	opts := ledger.Options{ChunkBytes: 1000}
	var l *ledger.Log
	reopen := func() {
		t.Helper()
		if l != nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if l, err = ledger.Open(disk, dir, opts); err != nil {
			t.Fatal(err)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	reopen()
	all := entriesOf(1, 1, slices.Repeat([]int{90}, 40)...)
	do(l.Append(all))
	do(l.Sync())
	reopen()
	mustHold(t, l, all)
	do(l.TruncateAfter(13))
	reopen()
	mustHold(t, l, all[:13])
	newer := entriesOf(2, 10, slices.Repeat([]int{300}, 12)...)
	do(l.Append(newer))
	do(l.Sync())
	reopen()
	mustHold(t, l, append(slices.Clone(all[:9]), newer...))
	do(l.TruncateAfter(0))
	reopen()
	mustHold(t, l, nil)
	do(l.Close())
	if names, err := disk.List(dir); err != nil || len(names) > 0 {
		t.Errorf("an emptied log leaves %v, %v", names, err)
	}
}
