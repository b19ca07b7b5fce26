package ledger_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/ledger/check"
	"github.com/cocoframework/coco/merkle"
)

// checker lets those nodes sign whose keys stand in public records, of batches before, that begin with
// "node "; the first batch names its own.
type checker struct {
	nodes map[coco.NodeID]*ecdsa.PublicKey
	since map[coco.NodeID]uint64 // index of the batch that lists the node
	calls []string
}

func newChecker() *checker {
	return &checker{nodes: map[coco.NodeID]*ecdsa.PublicKey{}, since: map[coco.NodeID]uint64{}}
}

func (c *checker) Signer(h batch.Header) (*ecdsa.PublicKey, error) {
	c.calls = append(c.calls, fmt.Sprint("signer ", h.Index))
	if pub := c.nodes[h.Node]; pub != nil && (c.since[h.Node] < h.Index || h.Index == 1) {
		return pub, nil
	}
	return nil, fmt.Errorf("node %s is not listed", h.Node.Short())
}

func (c *checker) Apply(b *batch.Batch, public [][]byte) error {
	c.calls = append(c.calls, fmt.Sprint("apply ", b.Header.Index))
	for _, p := range public {
		der, ok := bytes.CutPrefix(p, []byte("node "))
		if !ok {
			continue
		}
		key, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return err
		}
		s := signer{PrivateKey: &ecdsa.PrivateKey{PublicKey: *key.(*ecdsa.PublicKey)}}
		c.nodes[s.nodeID()], c.since[s.nodeID()] = &s.PublicKey, b.Header.Index
	}
	return nil
}

// writer writes a ledger as a network's leaders do.
type writer struct {
	t     testing.TB
	disk  host.Disk
	log   *ledger.Log
	tree  merkle.Frontier
	chain coco.Digest
	keys  *batch.Keys
}

func newWriter(t testing.TB, disk host.Disk, chunkBytes int64) *writer {
	t.Helper()
	l, err := ledger.Open(disk, dir, ledger.Options{ChunkBytes: chunkBytes})
	if err != nil {
		t.Fatal(err)
	}
	return &writer{t: t, disk: disk, log: l, keys: batch.NewKeys(1, [32]byte{1})}
}

func (w *writer) entry(view uint64, kind batch.Kind, data []byte) {
	w.t.Helper()
	e := batch.Entry{View: view, Index: w.log.Last() + 1, Kind: kind, Data: data}
	if err := w.log.Append([]batch.Entry{e}); err != nil {
		w.t.Fatal(err)
	}
	w.chain = e.Chain(w.chain)
}

func (w *writer) batch(view, committed uint64, s signer, recs ...batch.Record) {
	w.t.Helper()
	w.entry(view, batch.KindBatch, w.seal(view, committed, s, recs...))
}

func (w *writer) seal(view, committed uint64, s signer, recs ...batch.Record) []byte {
	w.t.Helper()
	h := batch.Header{
		View: view, Index: w.log.Last() + 1, First: w.tree.Size() + 1, Node: s.id, Time: 1, Epoch: 1, Committed: committed, Prev: w.chain,
	}
	data, err := batch.Seal(h, recs, &w.tree, w.keys, s.PrivateKey)
	if err != nil {
		w.t.Fatal(err)
	}
	return data
}

func nodeRecord(s signer) batch.Record {
	der, err := x509.MarshalPKIXPublicKey(&s.PublicKey)
	if err != nil {
		panic(err)
	}
	return batch.Record{Public: append([]byte("node "), der...)}
}

// writeSample writes a ledger of two leaders: seven entries in two chunks, five batches, 2.1 to 4.9.
func writeSample(t testing.TB) (*memDisk, *writer, [2]signer) {
	t.Helper()
	disk := newMemDisk()
	w := newWriter(t, disk, 2000)
	a, b := newSigner(t), newSigner(t)
	w.batch(2, 0, a, nodeRecord(a))
	w.batch(2, 1, a, nodeRecord(b), batch.Record{Public: []byte("x")})
	w.batch(2, 2, a, makeRecords(1, 3, 80)...)
	w.entry(4, batch.KindView, nil)
	w.entry(4, batch.KindMembers, []byte("members"))
	w.batch(4, 3, b, makeRecords(2, 2, 80)...)
	w.batch(4, 5, b, makeRecords(3, 1, 80)...)
	if names, _ := disk.List(dir); !slices.Equal(names, []string{"ledger_1-6", "ledger_7"}) {
		t.Fatalf("files %v: the tests expect two chunks", names)
	}
	return disk, w, [2]signer{a, b}
}

// audit audits a ledger one entry after the other, and on many cores, and panics where the results differ.
func audit(disk host.Disk) (ledger.Report, error) {
	got, err := ledger.AuditWith(context.Background(), 0, 1, disk, dir, newChecker(), nil)
	if ahead, aerr := ledger.AuditWith(context.Background(), 3, 2, disk, dir, newChecker(), nil); !reflect.DeepEqual(ahead, got) || !reflect.DeepEqual(aerr, err) {
		panic(fmt.Sprintf("ahead: %+v, %v\none after the other: %+v, %v", ahead, aerr, got, err))
	}
	return got, err
}

// mustFault checks that the error is a fault in the entry.
func mustFault(t *testing.T, err error, file string, index uint64) *ledger.Fault {
	t.Helper()
	var f *ledger.Fault
	if !errors.As(err, &f) || !errors.Is(err, coco.ErrVerify) {
		t.Fatalf("expected a fault in entry %d of %s, got %v", index, file, err)
	}
	if f.File != dir+"/"+file || f.Index != index || f.Reason == "" {
		t.Fatalf("expected a fault in entry %d of %s, got %v", index, file, err)
	}
	return f
}

func TestAuditReportsWhatItChecked(t *testing.T) {
	disk, w, nodes := writeSample(t)
	before := disk.writes
	var done []int64
	c := newChecker()
	got, err := ledger.Audit(context.Background(), disk, dir, c, func(d, total int64) {
		if total != 2000+int64(len(disk.Data(dir+"/ledger_1-6"))) {
			t.Errorf("total of %d bytes", total)
		}
		done = append(done, d)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := ledger.Report{
		Files: 2, Bytes: done[len(done)-1], Counts: check.Counts{
			Entries: 7, Batches: 5, Transactions: 9,
			Last: coco.TxID{View: 4, Seqno: 9}, Committed: coco.TxID{View: 2, Seqno: 6}, CommittedIndex: 5,
			Root: w.tree.Root(), Signed: map[coco.NodeID]uint64{nodes[0].id: 3, nodes[1].id: 2},
		},
	}
	if !maps.Equal(got.Signed, want.Signed) {
		t.Errorf("signed: got %v, want %v", got.Signed, want.Signed)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("report:\n got %+v\nwant %+v", got, want)
	}
	if !slices.IsSorted(done) || got.Bytes != 2000+int64(len(disk.Data(dir+"/ledger_1-6"))) {
		t.Errorf("progress %v, report of %d bytes", done, got.Bytes)
	}
	if wantCalls := []string{
		"apply 1", "signer 1", "apply 2", "signer 2", "apply 3", "signer 3", "apply 6", "signer 6", "apply 7", "signer 7",
	}; !slices.Equal(c.calls, wantCalls) {
		t.Errorf("the checker was called %v", c.calls)
	}
	if disk.writes != before {
		t.Error("the audit wrote")
	}
	w.entry(5, batch.KindView, nil)
	if got, err = audit(disk); err != nil || got.Unsigned != 1 || got.Last != want.Last {
		t.Errorf("with an entry after the last batch: %+v, %v", got, err)
	}
}

// framesOf returns the offsets of the frames of a file and of their end, and the first one's index.
func framesOf(data []byte) (offsets []int, first uint64) {
	first = binary.BigEndian.Uint64(data[17:])
	at := 0
	for at+4 <= len(data) {
		n := int(binary.BigEndian.Uint32(data[at:]))
		if n == 0 {
			break
		}
		offsets = append(offsets, at)
		at += 8 + n
	}
	return append(offsets, at), first
}

// indexAt returns the index of the entry whose frame holds the byte; the next one's behind the last.
func indexAt(data []byte, at int) uint64 {
	offsets, index := framesOf(data)
	for _, end := range offsets[1:] {
		if at < end {
			break
		}
		index++
	}
	return index
}

func TestAuditFindsEveryFlippedByte(t *testing.T) {
	disk, _, _ := writeSample(t)
	files := 0
	for _, name := range disk.Names() {
		f := disk.Data(name)
		files++
		file := strings.TrimPrefix(name, dir+"/")
		for at := range f {
			f[at] ^= 0x20
			_, err := audit(disk)
			f[at] ^= 0x20
			mustFault(t, err, file, indexAt(f, at))
		}
	}
	if files != 2 {
		t.Errorf("%d files", files)
	}
	if _, err := audit(disk); err != nil {
		t.Errorf("restored: %v", err)
	}
}

func fixChecksums(data []byte) {
	offsets, _ := framesOf(data)
	for i, at := range offsets[:len(offsets)-1] {
		frame := data[at:offsets[i+1]]
		crc := crc32.Checksum(append(bytes.Clone(frame[:4]), frame[8:]...), crc32.MakeTable(crc32.Castagnoli))
		binary.BigEndian.PutUint32(frame[4:], crc)
	}
}

func TestAuditFindsEveryFlippedByteUnderRightChecksums(t *testing.T) {
	disk, _, _ := writeSample(t)
	for _, name := range disk.Names() {
		f := disk.Data(name)
		file := strings.TrimPrefix(name, dir+"/")
		offsets, first := framesOf(f)
		for i, start := range offsets[:len(offsets)-1] {
			index := first + uint64(i)
			for at := start + 8; at < offsets[i+1]; at++ {
				original := bytes.Clone(f)
				f[at] ^= 0x01
				fixChecksums(f)
				_, err := audit(disk)
				copy(f, original)
				// Entries 4 and 5 are not signed themselves: batch 6 covers them.
				want := index
				if (index == 4 || index == 5) && errors.As(err, new(*ledger.Fault)) {
					var fault *ledger.Fault
					errors.As(err, &fault)
					if want = fault.Index; want < index || want > 6 {
						t.Fatalf("byte %d of entry %d: found in entry %d", at-start, index, want)
					}
				}
				fault := mustFault(t, err, file, want)
				if want == 3 && at > start+25+200 && (fault.First != coco.TxID{View: 2, Seqno: 4} || fault.Last != coco.TxID{View: 2, Seqno: 6}) {
					t.Fatalf("byte %d of entry %d: transactions %s to %s", at-start, index, fault.First, fault.Last)
				}
			}
		}
	}
}

// rewrite replaces a ledger's entries by others, with right frames and file names.
func rewrite(t *testing.T, disk *memDisk, change func([]batch.Entry) []batch.Entry) *memDisk {
	t.Helper()
	l, err := ledger.OpenReadOnly(disk, dir)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := l.Read(1, l.Last()+1, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	changed := newMemDisk()
	if err := openLog(t, changed, ledger.Options{ChunkBytes: 1 << 20}).Append(change(entries)); err != nil {
		t.Fatal(err)
	}
	return changed
}

func TestAuditFindsForgedHistories(t *testing.T) {
	disk, _, nodes := writeSample(t)
	stranger := newSigner(t)
	// at returns the state of a writer that is about to write the index.
	at := func(index int) *writer {
		c := newWriter(t, newMemDisk(), 1<<20)
		rewrite(t, disk, func(e []batch.Entry) []batch.Entry {
			for _, e := range e[:index-1] {
				if e.Kind == batch.KindBatch {
					b, err := batch.Decode(e.Data)
					if err == nil {
						err = b.VerifyPlace(e, c.chain)
					}
					if err == nil {
						err = b.VerifyRoot(&c.tree)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if err := c.log.Append([]batch.Entry{e}); err != nil {
					t.Fatal(err)
				}
				c.chain = e.Chain(c.chain)
			}
			return e
		})
		return c
	}
	replace := func(index int, data []byte) func([]batch.Entry) []batch.Entry {
		return func(e []batch.Entry) []batch.Entry {
			e[index-1].Data = data
			return e
		}
	}
	renumber := func(e []batch.Entry) []batch.Entry {
		for i := range e {
			e[i].Index = uint64(i + 1)
		}
		return e
	}
	for name, c := range map[string]struct {
		change func([]batch.Entry) []batch.Entry
		index  uint64
		reason string
	}{
		"unsigned entry dropped":   {func(e []batch.Entry) []batch.Entry { return renumber(slices.Delete(e, 3, 4)) }, 5, "header is for"},
		"unsigned entry altered":   {replace(5, []byte("other members")), 6, "chain digest"},
		"unsigned entry added":     {func(e []batch.Entry) []batch.Entry { return renumber(slices.Insert(e, 5, e[4])) }, 7, "header is for"},
		"batch dropped":            {func(e []batch.Entry) []batch.Entry { return renumber(slices.Delete(e, 1, 2)) }, 2, "header is for"},
		"batch repeated":           {func(e []batch.Entry) []batch.Entry { return renumber(slices.Insert(e, 2, e[1])) }, 3, "header is for"},
		"batches swapped":          {func(e []batch.Entry) []batch.Entry { e[1].Data, e[2].Data = e[2].Data, e[1].Data; return e }, 2, "header is for"},
		"batch as another kind":    {func(e []batch.Entry) []batch.Entry { e[2].Kind = batch.KindView; return e }, 6, "chain digest"},
		"other kind as a batch":    {func(e []batch.Entry) []batch.Entry { e[4].Kind = batch.KindBatch; return e }, 5, "batch"},
		"in another view":          {func(e []batch.Entry) []batch.Entry { e[2].View = 3; return e }, 3, "header is for"},
		"signed by a stranger":     {replace(7, at(7).seal(4, 5, stranger, batch.Record{})), 7, "not listed"},
		"signed for another":       {replace(7, at(7).seal(4, 5, signer{stranger.PrivateKey, nodes[1].id}, batch.Record{})), 7, "signature"},
		"a second genesis":         {replace(2, at(1).seal(2, 0, nodes[0], nodeRecord(nodes[0]))), 2, "header is for"},
		"other batch in its place": {replace(3, at(3).seal(2, 2, nodes[0], batch.Record{Public: []byte("other")})), 6, "chain digest"},
		"not yet listed":           {replace(2, at(2).seal(2, 1, nodes[1], batch.Record{})), 2, "not listed"},
		"lists itself":             {replace(2, at(2).seal(2, 1, nodes[1], nodeRecord(nodes[1]))), 2, "not listed"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := rewrite(t, disk, c.change)
			_, err := audit(changed)
			f := mustFault(t, err, "ledger_1", c.index)
			if !strings.Contains(f.Reason, c.reason) || !strings.Contains(err.Error(), "entry") {
				t.Errorf("got %v, expected %q", err, c.reason)
			}
		})
	}
	// Without its end a ledger is still sound: the report says where it ends.
	cut := rewrite(t, disk, func(e []batch.Entry) []batch.Entry { return e[:3] })
	if got, err := audit(cut); err != nil || got.Last != (coco.TxID{View: 2, Seqno: 6}) {
		t.Errorf("without its end: %+v, %v", got, err)
	}
}

func TestAuditNamesMissingFiles(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*memDisk) error
		index  uint64
	}{
		"the first": {func(d *memDisk) error { return d.Remove(dir + "/ledger_1-6") }, 1},
		"renamed":   {func(d *memDisk) error { return d.Rename(dir+"/ledger_1-6", dir+"/ledger_1-5") }, 7}, // its frames end with entry 6, before what is missing
	} {
		t.Run(name, func(t *testing.T) {
			disk, _, _ := writeSample(t)
			if err := c.change(disk); err != nil {
				t.Fatal(err)
			}
			var f *ledger.Fault
			if _, err := audit(disk); !errors.As(err, &f) || f.Index != c.index {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := audit(newMemDisk()); !errors.Is(err, coco.ErrNotFound) {
		t.Errorf("an empty folder: got %v", err)
	}
}

// A report of a ledger with a gap is the one of the ledger that ends before the gap.
func TestAuditCountsExactlyWhatPrecedesAMissingChunk(t *testing.T) {
	disk := newMemDisk()
	w := newWriter(t, disk, 1000)
	a := newSigner(t)
	w.batch(2, 0, a, nodeRecord(a))
	for i := range 12 {
		w.batch(2, uint64(i+1), a, makeRecords(uint64(i), 2, 200)...)
	}
	names, err := disk.List(dir)
	if err != nil || len(names) < 4 {
		t.Fatalf("files %v: the test expects four chunks or more (%v)", names, err)
	}
	first := func(name string) (n uint64) {
		if _, err := fmt.Sscanf(name, "ledger_%d", &n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	slices.SortFunc(names, func(x, y string) int { return cmp.Compare(first(x), first(y)) })
	for missing := 1; missing < len(names)-1; missing++ {
		gap, cut := disk.clone(), disk.clone()
		for i, name := range names {
			if i == missing {
				err = errors.Join(err, gap.Remove(dir+"/"+name))
			}
			if i >= missing {
				err = errors.Join(err, cut.Remove(dir+"/"+name))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		want, err := audit(cut)
		if err != nil || want.Transactions == 0 {
			t.Fatalf("without what follows the gap: %+v, %v", want, err)
		}
		got, err := audit(gap)
		fault := mustFault(t, err, names[missing+1], first(names[missing]))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is missing: reported %+v, expected %+v", names[missing], got, want)
		}
		if fault.First.Seqno != want.Transactions+1 {
			t.Errorf("%s is missing: the fault begins with seqno %d, expected %d", names[missing], fault.First.Seqno, want.Transactions+1)
		}
	}
}

func TestAuditRefusesALedgerWithoutATransaction(t *testing.T) {
	put := func(content []byte) *memDisk {
		disk := newMemDisk()
		f, err := disk.Create(dir + "/ledger_1")
		if err == nil {
			_, err = f.WriteAt(content, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		return disk
	}
	unsigned := newMemDisk()
	newWriter(t, unsigned, 1<<20).entry(1, batch.KindView, nil)
	for name, disk := range map[string]*memDisk{
		"zeros": put(make([]byte, 4096)), "one zero": put([]byte{0}), "an entry that nobody signed": unsigned,
	} {
		_, err := audit(disk)
		var fault *ledger.Fault
		if !errors.As(err, &fault) || !errors.Is(err, coco.ErrVerify) || fault.File != dir+"/ledger_1" || !strings.Contains(fault.Reason, "holds no transaction") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAuditStopsWhenAsked(t *testing.T) {
	disk, _, _ := writeSample(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ledger.Audit(ctx, disk, dir, newChecker(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
