package history

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/history/segment"
	"github.com/cocoframework/coco/merkle"
	"github.com/cocoframework/coco/store"
)

// opened is a batch as it was read. It is not changed once others may see it.
type opened struct {
	*batch.Batch
	size    int
	records []batch.Record   // nil if it was not decrypted
	tree    *merkle.Frontier // before it; nil if it was not asked for
}

// batchAt reads the batch at an entry. What it holds is not checked against anything but itself.
func (x *Index) batchAt(index uint64) (*opened, error) {
	if o, ok := x.caches.opened.Get(index); ok {
		return o, nil
	}
	entries, err := x.cfg.Ledger.Read(index, index+1, 0)
	if errors.Is(err, coco.ErrCorrupt) {
		return nil, x.suspect(index, err)
	}
	if err != nil {
		return nil, err
	}
	o, err := decodeEntry(entries[0])
	if err != nil {
		return nil, x.suspect(index, err)
	}
	return o, nil
}

func decodeEntry(e batch.Entry) (*opened, error) {
	if e.Kind != batch.KindBatch {
		return nil, fmt.Errorf("%w: entry %d is of kind %s, expected a batch", coco.ErrVerify, e.Index, e.Kind)
	}
	batch, err := batch.Decode(e.Data)
	if err != nil {
		return nil, err
	}
	return &opened{Batch: batch, size: len(e.Data)}, nil
}

// suspect has the chunk of an entry set aside, and returns the error for the caller to answer.
func (x *Index) suspect(index uint64, err error) error {
	x.mu.Lock()
	x.found.damaged = append(x.found.damaged, damage{index, err})
	x.mu.Unlock()
	x.Wake()
	return fmt.Errorf("%w: entry %d is damaged on this node, and will be fetched again: %w", coco.ErrMissing, index, err)
}

// keep puts a batch into the cache.
func (x *Index) keep(index uint64, o *opened) {
	size := o.size
	if o.records != nil {
		size = 2*size + 72*len(o.records)
	}
	x.caches.opened.Put(index, o, size)
}

// recordsAt reads and decrypts the batch of a directory.
func (x *Index) recordsAt(at segment.Ref) (*opened, error) {
	o, err := x.batchAt(at.Index)
	if err != nil {
		return nil, err
	}
	if digest := sha256.Sum256(o.HeaderBytes); !bytes.Equal(digest[:segment.DigestSize], at.Digest[:]) {
		return nil, x.suspect(at.Index, fmt.Errorf("%w: its header is not the one that was indexed", coco.ErrVerify))
	}
	if o.records != nil {
		return o, nil
	}
	k, err := x.cfg.Keys(o.Header.Epoch)
	if err != nil {
		return nil, err
	}
	records, err := o.Open(k)
	if err != nil {
		return nil, x.suspect(at.Index, err)
	}
	o = &opened{Batch: o.Batch, size: o.size, records: records, tree: o.tree}
	x.keep(at.Index, o)
	return o, nil
}

// lastWrite finds the last write of a key in a batch, by a transaction up to a seqno.
func (o *opened) lastWrite(table string, key []byte, at uint64) (w store.Write, seqno uint64, err error) {
	var writes []store.Write
	for seqno = min(at, o.Header.Last()); seqno >= o.Header.First; seqno-- {
		r := &o.records[seqno-o.Header.First]
		for _, part := range [2][]byte{r.Private, r.Public} { // as they are applied, the private part is the later one
			if !bytes.Contains(part, key) {
				continue
			}
			if writes, err = store.AppendWrites(writes[:0], part); err != nil {
				return w, 0, err
			}
			for i := len(writes) - 1; i >= 0; i-- {
				if writes[i].Table == table && bytes.Equal(writes[i].Key, key) {
					return writes[i], seqno, nil
				}
			}
		}
	}
	return w, 0, nil
}
