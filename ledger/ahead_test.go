package ledger_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger"
)

// outcome is all that an audit lets be seen.
type outcome struct {
	report   ledger.Report
	err      error
	calls    []string
	progress []int64
}

func auditWith(workers int, room uint64, disk host.Disk) (o outcome) {
	c := newChecker()
	o.report, o.err = ledger.AuditWith(context.Background(), workers, room, disk, dir, c, func(done, total int64) { o.progress = append(o.progress, done, total) })
	o.calls = c.calls
	return o
}

// writeYears writes a ledger of many chunks, views and nodes, of which each node is listed by a batch of another one.
func writeYears(t testing.TB) *memDisk {
	t.Helper()
	disk := newMemDisk()
	w := newWriter(t, disk, 6000)
	nodes := []signer{newSigner(t), newSigner(t), newSigner(t), newSigner(t)}
	w.batch(1, 0, nodes[0], nodeRecord(nodes[0]))
	for i := range uint64(80) {
		view := 1 + i/10
		if i%10 == 0 {
			w.entry(view, batch.KindView, nil)
		}
		by := nodes[min(int(view-1), 5)%len(nodes)]
		records := makeRecords(i, 1+int(i%4), 60)
		if next := int(view); i%10 == 5 && next < len(nodes) {
			records[0] = nodeRecord(nodes[next])
		}
		w.batch(view, i, by, records...)
	}
	if o := auditWith(0, 1, disk); o.err != nil || len(o.report.Signed) != 4 || o.report.Files < 5 {
		t.Fatalf("%+v", o)
	}
	return disk
}

// An audit on many cores reports what one does that checks one entry after the other, whatever is damaged.
func TestAuditOnManyCoresReportsWhatOneCoreDoes(t *testing.T) {
	whole := writeYears(t)
	stranger := newSigner(t)
	damages := map[string]func(r *rand.Rand, disk *memDisk) *memDisk{
		"nothing": func(_ *rand.Rand, d *memDisk) *memDisk { return d },
		"bytes":   func(r *rand.Rand, d *memDisk) *memDisk { meddle(r, d); return d },
		"bytes under right checksums": func(r *rand.Rand, d *memDisk) *memDisk {
			fixChecksums(meddle(r, d))
			return d
		},
		"files": func(r *rand.Rand, d *memDisk) *memDisk {
			names := d.Names()
			if err := d.Remove(names[r.IntN(len(names))]); err != nil {
				t.Fatal(err)
			}
			return d
		},
		"signatures": func(r *rand.Rand, d *memDisk) *memDisk {
			return rewrite(t, d, func(e []batch.Entry) []batch.Entry {
				for range 1 + r.IntN(3) {
					x := &e[r.IntN(len(e))]
					if x.Kind == batch.KindBatch {
						x.Data = bytes.Clone(x.Data)
						x.Data[len(x.Data)-1-r.IntN(20)] ^= 1 << r.IntN(8)
					}
				}
				return e
			})
		},
		"entries": func(r *rand.Rand, d *memDisk) *memDisk {
			return rewrite(t, d, func(e []batch.Entry) []batch.Entry {
				i, j := r.IntN(len(e)), r.IntN(len(e))
				e[i].Data, e[j].Data = e[j].Data, e[i].Data
				return e
			})
		},
		"a stranger's batch": func(r *rand.Rand, d *memDisk) *memDisk { return forge(t, r, d, stranger) },
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			faults := map[string]bool{}
			for seed := range uint64(20) {
				disk := damage(rand.New(rand.NewPCG(seed, 7)), whole.clone())
				want := auditWith(0, 1, disk)
				faults[fmt.Sprint(want.err)] = true
				for _, c := range []struct {
					workers int
					room    uint64
				}{{0, 9}, {1, 1}, {2, 5}, {4, 256}} {
					if got := auditWith(c.workers, c.room, disk); !reflect.DeepEqual(got, want) {
						t.Fatalf("seed %d, %d goroutines, room for %d:\n got %+v\nwant %+v", seed, c.workers, c.room, got, want)
					}
				}
			}
			if name != "nothing" && len(faults) < 5 { // of an undamaged ledger there is one result
				t.Errorf("the damages led to %v only", faults)
			}
		})
	}
}

// meddle changes one to three bytes of a file, and returns its contents.
func meddle(r *rand.Rand, d *memDisk) []byte {
	names := d.Names()
	data := d.Data(names[r.IntN(len(names))])
	offsets, _ := framesOf(data)
	for range 1 + r.IntN(3) {
		i := r.IntN(len(offsets) - 1)
		data[offsets[i]+8+r.IntN(offsets[i+1]-offsets[i]-8)] ^= 1 << r.IntN(8)
	}
	return data
}

// forge puts the batch that another key has signed in the place of one, for the node that signed it.
func forge(t *testing.T, r *rand.Rand, d *memDisk, by signer) *memDisk {
	t.Helper()
	return rewrite(t, d, func(e []batch.Entry) []batch.Entry {
		at := 1 + r.IntN(len(e)-1)
		for e[at].Kind != batch.KindBatch {
			at--
		}
		c := newWriter(t, newMemDisk(), 1<<20)
		for _, before := range e[:at] {
			if before.Kind == batch.KindBatch {
				b, err := batch.Decode(before.Data)
				if err == nil {
					err = b.VerifyPlace(before, c.chain)
				}
				if err == nil {
					err = b.VerifyRoot(&c.tree)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			c.entry(before.View, before.Kind, before.Data)
		}
		h, err := batch.DecodeHeader(e[at].Data)
		if err != nil {
			t.Fatal(err)
		}
		e[at].Data = c.seal(h.View, h.Committed, signer{by.PrivateKey, h.Node}, makeRecords(1, 2, 40)...)
		return e
	})
}

// replacing is a checker by which the first node's key is another one from a batch on.
type replacing struct {
	*checker
	from uint64
	key  *ecdsa.PublicKey
}

func (r replacing) Signer(h batch.Header) (*ecdsa.PublicKey, error) {
	if h.Index >= r.from {
		return r.key, nil
	}
	return r.checker.Signer(h)
}

// The key that must have signed counts, not the one that the node used before and that was tried ahead.
func TestAuditAheadRefusesTheKeyThatANodeHadBefore(t *testing.T) {
	old, fresh := newSigner(t), newSigner(t)
	for name, c := range map[string]struct {
		later *ecdsa.PrivateKey
		fault uint64
	}{"signed by the new key": {fresh.PrivateKey, 0}, "signed by the old key": {old.PrivateKey, 20}} {
		t.Run(name, func(t *testing.T) {
			disk := newMemDisk()
			w := newWriter(t, disk, 1<<20)
			w.batch(1, 0, old, nodeRecord(old))
			for i := uint64(2); i < 40; i++ {
				by := old
				if i >= 20 {
					by.PrivateKey = c.later
				}
				w.batch(1, 0, by, batch.Record{})
			}
			for _, workers := range []int{0, 1, 4} {
				_, err := ledger.AuditWith(t.Context(), workers, 8, disk, dir, replacing{newChecker(), 20, &fresh.PublicKey}, nil)
				if c.fault == 0 {
					if err != nil {
						t.Errorf("%d goroutines: %v", workers, err)
					}
					continue
				}
				if f := mustFault(t, err, "ledger_1", c.fault); !strings.Contains(f.Reason, "signature") {
					t.Errorf("%d goroutines: %v", workers, err)
				}
			}
		})
	}
}

// stopping is a checker that does something when it comes to a batch.
type stopping struct {
	*checker
	at uint64
	do func() error
}

func (s stopping) Apply(b *batch.Batch, public [][]byte) error {
	if b.Header.Index == s.at {
		if err := s.do(); err != nil {
			return err
		}
	}
	return s.checker.Apply(b, public)
}

// However an audit ends, its goroutines have ended: synctest fails where one is left.
func TestAuditLeavesNoGoroutine(t *testing.T) {
	disk := writeYears(t)
	for name, do := range map[string]func(stop func()) error{
		"cancelled":              func(stop func()) error { stop(); return nil },
		"cancelled by a failure": func(stop func()) error { stop(); return errors.New("interrupted") },
		"fault":                  func(func()) error { return errors.New("refused") },
		"panic":                  func(func()) error { panic("a checker's fault") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				defer func() {
					if p := recover(); (p != nil) != (name == "panic") {
						t.Errorf("recovered %v", p)
					}
				}()
				report, err := ledger.AuditWith(ctx, 4, 256, disk, dir, stopping{newChecker(), 30, func() error { return do(stop) }}, nil)
				if cancelled := errors.Is(err, context.Canceled); cancelled != (ctx.Err() != nil) || err == nil {
					t.Errorf("got %v", err)
				}
				if report.Entries < 29 || report.Entries > 30 {
					t.Errorf("counted %d entries", report.Entries)
				}
			})
		})
	}
}

// reads notes how far a disk's files were read.
type reads struct {
	host.Disk
	to *int64
}

func (d reads) Open(name string) (host.File, error) {
	f, err := d.Disk.Open(name)
	return readsFile{f, d.to}, err
}

type readsFile struct {
	host.File
	to *int64
}

func (f readsFile) ReadAt(b []byte, off int64) (int, error) {
	*f.to = max(*f.to, off+int64(len(b)))
	return f.File.ReadAt(b, off)
}

// An audit holds little of a ledger: what was read and not checked is bounded in bytes and in entries.
func TestAuditReadsAheadNoFurtherThanItSays(t *testing.T) {
	for name, c := range map[string]struct {
		size, most int64
		count      int
	}{
		"large batches": {600 << 10, 16<<20 + 3<<20, 40},
		"small batches": {2 << 10, 256*(3<<10) + 3<<20, 2500},
	} {
		t.Run(name, func(t *testing.T) {
			disk := newMemDisk()
			w := newWriter(t, disk, 1<<30)
			a := newSigner(t)
			w.batch(1, 0, a, nodeRecord(a))
			record := batch.Record{Public: make([]byte, c.size)}
			for range c.count {
				w.batch(1, 0, a, record)
			}
			var read, checked, most int64
			progress := &positions{newChecker(), func(b *batch.Batch) {
				checked += c.size
				most = max(most, read-checked)
			}}
			if _, err := ledger.AuditWith(t.Context(), 2, 256, reads{disk, &read}, dir, progress, nil); err != nil {
				t.Fatal(err)
			}
			if all := c.size * int64(c.count); most > c.most || all <= c.most {
				t.Errorf("at most %d of %d bytes were read ahead, expected at most %d", most, all, c.most)
			}
		})
	}
}

type positions struct {
	*checker
	at func(*batch.Batch)
}

func (p *positions) Apply(b *batch.Batch, public [][]byte) error {
	p.at(b)
	return p.checker.Apply(b, public)
}
