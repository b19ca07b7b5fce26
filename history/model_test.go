package history

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cocoframework/coco/history/segment"
	"github.com/cocoframework/coco/store"
)

var (
	tables = []string{"public", "private", "coco.nodes"}
	names  = []string{"", "a", "b", "ab", "head"}
)

// short is a hash that collides all the time.
func short(table string, key []byte) (h segment.Hash) {
	full := segment.HashOf(table, key)
	h[0] = full[0] & 3
	return h
}

// model is a network, an index over its ledger, and all that can happen to both.
type model struct {
	*network
	x      *Index
	from   int // the batch that the index' state began with
	away   []string
	serial int
	hash   func(string, []byte) segment.Hash
}

func (m *model) commitSome(t *rapid.T) {
	for range rapid.IntRange(1, 6).Draw(t, "batches") {
		if rapid.IntRange(0, 9).Draw(t, "new leader") == 0 {
			m.lead()
		}
		if rapid.IntRange(0, 19).Draw(t, "new epoch") == 0 {
			m.epochs++
		}
		txs := make([][]store.Write, rapid.IntRange(1, 4).Draw(t, "transactions"))
		for i := range txs {
			used := map[string]bool{}
			for range rapid.IntRange(0, 4).Draw(t, "writes") {
				table, key := rapid.SampledFrom(tables).Draw(t, "table"), rapid.SampledFrom(names).Draw(t, "key")
				if used[table+"/"+key] {
					continue
				}
				used[table+"/"+key] = true
				m.serial++
				w := put(table, key, fmt.Sprintf("value %d", m.serial))
				if m.serial%5 == 0 {
					w = del(table, key)
				}
				txs[i] = append(txs[i], w)
			}
		}
		b := m.commit(txs...)
		m.x.Committed(b.at, b.first)
	}
}

func (m *model) open(from int) {
	if err := m.log.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.openLog()
	m.from = from
	m.x = m.index(from)
	m.x.hash = m.hash
	m.x.limits.records, m.x.limits.batches, m.x.limits.run = 60, 100, 16
}

func (m *model) work(t *rapid.T) {
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		if wait := m.x.step(t.Context()); wait > 0 {
			<-m.x.cfg.Clock.After(wait)
		}
	}
}

func (m *model) damage(t *rapid.T) {
	files := m.world.Files("n", indexDir)
	if len(files) == 0 {
		return
	}
	name := rapid.SampledFrom(slices.Sorted(keysOf(files))).Draw(t, "file")
	data := slices.Clone(files[name])
	if len(data) == 0 {
		return
	}
	switch rapid.IntRange(0, 2).Draw(t, "damage") {
	case 0:
		data = data[:rapid.IntRange(0, len(data)-1).Draw(t, "size")]
	case 1:
		data[rapid.IntRange(0, len(data)-1).Draw(t, "offset")] ^= 1
	case 2:
		if err := m.disk.Remove(name); err != nil {
			t.Fatal(err)
		}
		return
	}
	f, err := m.disk.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
}

func keysOf[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func (m *model) takeAway(t *rapid.T) {
	if names := m.chunks(); len(names) > 1 {
		name := rapid.SampledFrom(names[:len(names)-1]).Draw(t, "chunk")
		m.move(ledgerDir, awayDir, name)
		m.away = append(m.away, name)
	}
}

func (m *model) bringBack() {
	for _, name := range m.away {
		m.move(awayDir, ledgerDir, name)
	}
	m.away = nil
	m.x.Wake()
}

func (m *model) ask(t *rapid.T) {
	last := m.tree.Size()
	if last == 0 {
		return
	}
	for range 5 {
		at := rapid.Uint64Range(0, last).Draw(t, "at")
		m.checkGet(m.x, rapid.SampledFrom(tables).Draw(t, "table"), rapid.SampledFrom(names).Draw(t, "key"), at)
		m.checkPlace(m.x, max(1, at))
	}
}

func (m *model) askEverything(t *rapid.T) {
	for at := uint64(1); at <= m.tree.Size(); at++ {
		if !m.checkPlace(m.x, at) {
			t.Fatalf("seqno %d is not answered: %+v", at, m.x.Status())
		}
		for _, table := range tables {
			for _, name := range names {
				if !m.checkGet(m.x, table, name, at) {
					t.Fatalf("%s/%s at %d is not answered: %+v", table, name, at, m.x.Status())
				}
			}
		}
	}
	if s := m.x.Status(); s.Indexed != s.Committed || s.Building || len(s.Missing) > 0 || s.Fault != "" {
		t.Fatalf("status %+v", s)
	}
}

func checkModel(t *rapid.T, hash func(string, []byte) segment.Hash) {
	m := &model{network: newNetwork(t, 3000), hash: hash}
	m.lead()
	m.open(0)
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) {
			if names, _ := m.disk.List(ledgerDir); strings.Contains(strings.Join(names, " "), "damaged") {
				t.Fatalf("a healthy chunk was set aside: %s", names)
			}
		},
		"commit":  m.commitSome,
		"commit2": m.commitSome,
		"work":    m.work,
		"work2":   m.work,
		"ask":     m.ask,
		"damage":  m.damage,
		"away":    m.takeAway,
		"back":    func(*rapid.T) { m.bringBack() },
		"reopen":  func(t *rapid.T) { m.open(rapid.IntRange(0, len(m.done)).Draw(t, "start")) },
		"cut": func(t *rapid.T) {
			if rapid.IntRange(0, 3).Draw(t, "really") > 0 || len(m.done) == 0 {
				return
			}
			m.bringBack()
			m.open(m.from) // the log has to know all of its chunks when it is cut
			m.cut(rapid.IntRange(len(m.done)*3/4, len(m.done)).Draw(t, "to"))
			m.open(min(m.from, len(m.done)))
		},
	})
	m.bringBack()
	runOn(m.x)
	m.ask(t) // finds what is damaged on the disk
	for range 3 {
		for at := uint64(1); at <= m.tree.Size(); at++ {
			m.checkPlace(m.x, at)
			m.checkGet(m.x, "public", "a", at)
		}
		runOn(m.x)
	}
	m.askEverything(t)
}

func TestIndexEqualsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkModel(t, segment.HashOf) })
}

func TestCollidingHashesGiveNoWrongValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkModel(t, short) })
}
