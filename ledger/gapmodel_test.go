package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/ledger"
)

// life is a log whose chunks are moved, lost, damaged, fetched and skipped, beside the network's log,
// which has them all, and a model of what the first one must hold.
type life struct {
	t          *rapid.T
	opts       ledger.Options
	netDisk    *memDisk
	net        *ledger.Log
	all        []batch.Entry // of the network
	disk, away *memDisk
	log        *ledger.Log
	has        map[uint64]bool // what the log must hold
	base       uint64          // the entry before a run that has not begun
	synced     uint64          // what survives a crash, of what is at the end
	view       uint64
}

func newLife(t *rapid.T) *life {
	m := &life{t: t, netDisk: newMemDisk(), disk: newMemDisk(), away: newMemDisk(), has: map[uint64]bool{}, view: 1}
	m.opts.ChunkBytes = int64(rapid.SampledFrom([]int{1, 150, 400}).Draw(t, "chunk"))
	m.net = openLog(t, m.netDisk, m.opts)
	m.open()
	return m
}

func (m *life) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *life) open() {
	opts := m.opts
	opts.Extra = []host.Disk{m.away}
	m.log = openLog(m.t, m.disk, opts)
}

func (m *life) last() uint64 { return max(m.base, m.lastEntry()) }

// lastEntry does not count a run that has not begun, which is not durable.
func (m *life) lastEntry() (last uint64) {
	for i := range m.has {
		last = max(last, i)
	}
	return last
}

// first is the beginning of the last run.
func (m *life) first() uint64 {
	last := m.last()
	if last > 0 && !m.has[last] {
		return last + 1
	}
	first := last
	for first > 1 && m.has[first-1] {
		first--
	}
	return first
}

// complete draws one of the log's complete chunks, not the last chunk.
func (m *life) complete() (c ledger.Chunk, ok bool) {
	chunks := m.log.Chunks()
	if n := len(chunks); n > 0 {
		chunks = chunks[:n-1]
	}
	if len(chunks) == 0 {
		return c, false
	}
	return rapid.SampledFrom(chunks).Draw(m.t, "which"), true
}

func fileOf(c ledger.Chunk) string { return fmt.Sprintf("ledger_%d-%d", c.First, c.Last) }

func (m *life) set(c ledger.Chunk, there bool) {
	for i := c.First; i <= c.Last; i++ {
		if delete(m.has, i); there {
			m.has[i] = true
		}
	}
	for m.synced > 0 && !m.has[m.synced] {
		m.synced--
	}
}

// grow makes the network go on.
func (m *life) grow() {
	m.view += uint64(rapid.IntRange(0, 1).Draw(m.t, "new view"))
	sizes := rapid.SliceOfN(rapid.IntRange(0, 150), 1, 6).Draw(m.t, "sizes")
	entries := entriesOf(m.view, uint64(len(m.all))+1, sizes...)
	m.must(m.net.Append(entries))
	m.all = append(m.all, entries...)
}

// follow appends what the network has.
func (m *life) follow() {
	last := m.last()
	if n := uint64(len(m.all)) - last; n > 0 {
		n = rapid.Uint64Range(1, n).Draw(m.t, "entries")
		m.must(m.log.Append(m.all[last : last+n]))
		m.set(ledger.Chunk{First: last + 1, Last: last + n}, true)
		m.base = 0
	}
}

// truncate cuts both logs, as a new leader may make them.
func (m *life) truncate() {
	low := uint64(0) // what was moved away is committed
	for _, name := range m.away.Names() {
		var from, to uint64
		fmt.Sscanf(name, "ledger_%d-%d", &from, &to)
		low = max(low, to)
	}
	if low > uint64(len(m.all)) {
		m.t.Fatal("the test moved what the network does not have")
	}
	keep := rapid.Uint64Range(low, uint64(len(m.all))).Draw(m.t, "keep")
	m.must(errors.Join(m.net.TruncateAfter(keep), m.log.TruncateAfter(keep)))
	m.all = slices.Clip(m.all[:keep])
	m.view++
	if keep >= m.last() {
		return
	}
	if m.base != keep {
		m.base = 0
	}
	if m.has[keep+1] && !m.has[keep] {
		m.base = keep
	}
	for i := range m.has {
		if i > keep {
			delete(m.has, i)
		}
	}
	m.synced = min(m.synced, m.lastEntry())
}

// skip begins a new run with one of the network's chunks.
func (m *life) skip() {
	chunks := slices.DeleteFunc(m.net.Chunks(), func(c ledger.Chunk) bool { return c.First <= m.last()+1 })
	if len(chunks) == 0 {
		return
	}
	at := rapid.SampledFrom(chunks).Draw(m.t, "at").First
	if mine := m.log.Chunks(); len(mine) > 0 {
		if c := mine[len(mine)-1]; !c.Complete {
			m.set(c, false)
		}
	}
	m.must(m.log.StartAt(at))
	m.base, m.synced = at-1, min(m.synced, m.lastEntry())
}

// fetch inserts a chunk of the network that the log does not have.
func (m *life) fetch() {
	m.check()
	chunks := slices.DeleteFunc(m.net.Chunks(), func(c ledger.Chunk) bool { return !c.Complete || m.has[c.First] || c.Last > m.last() })
	if len(chunks) == 0 {
		return
	}
	c := rapid.SampledFrom(chunks).Draw(m.t, "which")
	m.must(m.log.Insert(c.First, c.Last, feed(m.all[c.First-1:c.Last])))
	m.set(c, true)
}

// crash lets the machine fail. The further folder is another machine's.
func (m *life) crash() {
	m.disk = m.disk.crash(func(n int) int { return rapid.IntRange(0, n).Draw(m.t, "survives") })
	m.open()
	n := m.log.Last()
	if n < m.synced || n > m.last() {
		m.t.Fatalf("after a crash the log ends with entry %d, of %d written and %d synced", n, m.last(), m.synced)
	}
	for i := range m.has {
		if i > n {
			delete(m.has, i)
		}
	}
	m.base, m.synced = 0, n
}

// check compares everything that the log says with the model.
func (m *life) check() {
	last := m.last()
	for i := uint64(1); i <= last; i++ {
		got, err := m.log.Read(i, i+1, 0)
		view, ok := m.log.ViewOf(i)
		var missing *ledger.MissingError
		switch {
		case m.has[i] && (err != nil || !equalEntries(got, m.all[i-1:i]) || !ok || view != m.all[i-1].View):
			m.t.Fatalf("entry %d: view %d %v, %v", i, view, ok, err)
		case !m.has[i] && (!errors.As(err, &missing) || ok || i < missing.First || i > missing.Last):
			m.t.Fatalf("entry %d, which is missing: %v, %v", i, ok, err)
		}
	}
	if m.log.Last() != last || m.log.First() != m.first() {
		m.t.Fatalf("log says %d to %d, expected %d to %d", m.log.First(), m.log.Last(), m.first(), last)
	}
	absent := map[uint64]bool{}
	for _, r := range m.log.Missing() {
		for i := r.First; i <= r.Last; i++ {
			absent[i] = true
		}
	}
	if len(absent)+len(m.has) != int(last) {
		m.t.Fatalf("%d entries of %d are missing, and %d are not", len(absent), last, len(m.has))
	}
	if len(m.has) > 0 && last >= m.first() {
		got, err := m.log.Read(m.first(), last+1, 1<<20)
		if err != nil || !equalEntries(got, m.all[m.first()-1:last]) {
			m.t.Fatalf("read %d to %d: %d entries, %v", m.first(), last, len(got), err)
		}
	}
	m.must(m.log.Load(1))
}

func TestLogWithGapsEqualsItsModelThroughCrashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newLife(t)
		with := func(do func(c ledger.Chunk)) func(*rapid.T) {
			return func(t *rapid.T) {
				m.t = t
				if c, ok := m.complete(); ok {
					do(c)
				}
			}
		}
		on := func(do func()) func(*rapid.T) { return func(t *rapid.T) { m.t = t; do() } }
		t.Repeat(map[string]func(*rapid.T){
			"grow": on(m.grow), "follow": on(m.follow), "truncate": on(m.truncate), "skip": on(m.skip),
			"fetch": on(m.fetch), "crash": on(m.crash),
			"sync": on(func() {
				m.must(m.log.Sync())
				m.synced = m.lastEntry()
			}),
			"reopen": on(func() {
				m.must(m.log.Close())
				m.open()
				m.base = 0
			}),
			"move away": with(func(c ledger.Chunk) {
				if m.disk.Data(dir+"/"+fileOf(c)) != nil {
					moveFile(m.disk, dir+"/"+fileOf(c), m.away, fileOf(c))
				}
			}),
			"bring back": with(func(c ledger.Chunk) {
				if m.away.Data(fileOf(c)) != nil {
					moveFile(m.away, fileOf(c), m.disk, dir+"/"+fileOf(c))
				}
			}),
			"lose": with(func(c ledger.Chunk) {
				m.disk.Delete(dir + "/" + fileOf(c))
				m.away.Delete(fileOf(c))
				m.set(c, false)
			}),
			"damage": with(func(c ledger.Chunk) {
				if f := m.disk.Data(dir + "/" + fileOf(c)); f != nil {
					f[rapid.IntRange(0, len(f)-1).Draw(m.t, "at")] ^= 1
					if _, err := m.log.Read(c.First, c.Last+1, 1<<20); !errors.Is(err, coco.ErrCorrupt) {
						m.t.Fatalf("read a damaged chunk: %v", err)
					}
					m.must(m.log.Quarantine(c.First))
					m.set(c, false)
				}
			}),
			"": on(m.check),
		})
		m.sameFiles()
	})
}

// sameFiles fetches all that is missing: then the complete files are those of the network.
func (m *life) sameFiles() {
	m.check()
	if n := uint64(len(m.all)); n > m.last() {
		m.must(m.log.Append(m.all[m.last():]))
		m.set(ledger.Chunk{First: m.last() + 1, Last: n}, true)
		m.base = 0
	}
	for _, c := range m.net.Chunks() {
		if c.Complete && !m.has[c.First] {
			m.must(m.log.Insert(c.First, c.Last, feed(m.all[c.First-1:c.Last])))
			m.set(c, true)
		}
	}
	m.check()
	for _, c := range m.net.Chunks() {
		if !c.Complete {
			continue
		}
		f := m.disk.Data(dir + "/" + fileOf(c))
		if f == nil {
			f = m.away.Data(fileOf(c))
		}
		if f == nil || !bytes.Equal(f, m.netDisk.Data(dir+"/"+fileOf(c))) {
			m.t.Fatalf("%s is not the network's file", fileOf(c))
		}
	}
}
