package development

import (
	"encoding/binary"
	"fmt"

	"github.com/ethereum/go-ethereum/rlp"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/rows"
)

// Journal is a rows.Sink that remembers what it replaces. It is of one block, or of one change between blocks. The rows of the mode are not
// written through it.
type Journal struct {
	src  rows.Source // as of before the next write
	to   rows.Sink
	seen map[string]struct{}
	old  []replaced
	size int
}

// replaced is a row as it was.
type replaced struct {
	Table string
	Key   []byte
	Value []byte
	Was   bool // there was a row
}

// NewJournal returns a journal that reads what there is from a source.
func NewJournal(src rows.Source) *Journal { return &Journal{src: src, seen: map[string]struct{}{}} }

// Over has the journal write to another sink from now on, and returns it.
func (j *Journal) Over(to rows.Sink) *Journal {
	j.to = to
	return j
}

// Put implements rows.Sink.
func (j *Journal) Put(table string, key, value []byte) {
	j.note(table, key)
	j.to.Put(table, key, value)
}

// Delete implements rows.Sink.
func (j *Journal) Delete(table string, key []byte) {
	j.note(table, key)
	j.to.Delete(table, key)
}

func (j *Journal) note(table string, key []byte) {
	name := table + "\x00" + string(key)
	if _, ok := j.seen[name]; ok || table == rows.Code { // code is named by its content, and stays
		return
	}
	j.seen[name] = struct{}{}
	value, was := j.src.Get(table, key)
	j.old = append(j.old, replaced{table, []byte(name[len(table)+1:]), value, was})
	j.size += rowBytes + len(key) + len(value)
}

// rowBytes is what a row takes beside its key and its value, at most.
const rowBytes = 64

// Size is how many bytes Close writes, at most.
func (j *Journal) Size() int { return j.size + rowBytes }

// Close writes what was replaced, and the mode. The journal MUST NOT be used after it.
func (j *Journal) Close(out rows.Sink, m *Mode) {
	if len(j.old) > 0 {
		out.Put(rows.Development, keyStep(m.Steps), encode(j.old))
		m.Steps++
	}
	m.Changes++
	m.Write(out)
}

func keyStep(step uint64) []byte { return binary.BigEndian.AppendUint64([]byte("step "), step) }

// takeBack puts back what the steps from one on have replaced, and ends them. room is how many bytes may be written. The errors are
// coco.ErrInvalid, and coco.ErrCorrupt; nothing is written then.
func (m *Mode) takeBack(tx Transaction, from uint64, room int) error {
	var list []replaced
	seen, size := map[string]struct{}{}, 0
	for step := from; step < m.Steps; step++ {
		row, ok := tx.Get(rows.Development, keyStep(step))
		var old []replaced
		if err := rlp.DecodeBytes(row, &old); !ok || err != nil {
			return fmt.Errorf("%w: what step %d of %d has replaced cannot be read: %w", coco.ErrCorrupt, step, m.Steps, err)
		}
		for _, r := range old {
			name := r.Table + "\x00" + string(r.Key)
			if _, newer := seen[name]; newer {
				continue // the earliest step has what was before all of them
			}
			seen[name] = struct{}{}
			list = append(list, r)
			size += rowBytes + len(r.Key) + len(r.Value)
		}
	}
	if size += int(m.Steps-from) * rowBytes; size > room {
		return fmt.Errorf("%w: %d bytes would be put back, expected at most %d in one transaction of the ledger: revert to a newer snapshot first, or begin anew (coco up --dev --fresh)", coco.ErrInvalid, size, room)
	}
	for _, r := range list {
		if r.Was {
			tx.Put(r.Table, r.Key, r.Value)
		} else {
			tx.Delete(r.Table, r.Key)
		}
	}
	for step := from; step < m.Steps; step++ {
		tx.Delete(rows.Development, keyStep(step))
	}
	m.Steps = from
	return nil
}
