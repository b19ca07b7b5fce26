package custody

import (
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host/mem"
	"github.com/cocoframework/coco/ledger"
)

// Seals are all batches that were ever found on a disk, committed or not, by what their key and nonce come from. The zero value is ready. It belongs to one goroutine.
type Seals struct {
	found map[place]coco.Digest
	from  map[string]uint64 // the first entry to look at next time, by host
}

type place struct{ epoch, view, index uint64 }

// tail is how many of the last entries of a ledger may be replaced by others: of so many a node is never ahead of what is committed.
const tail = 256

// Look reads what the ledger in a folder of a host's files holds beyond what the last look has found there. The error is coco.ErrVerify if two batches are sealed with one key and nonce;
// another one says that the ledger does not open.
func (s *Seals) Look(name string, files map[string][]byte, dir string) error {
	disk := mem.New()
	disk.SetFiles(files)
	log, err := ledger.OpenReadOnly(disk, dir)
	if err != nil {
		return err
	}
	defer log.Close()
	if s.found == nil {
		s.found, s.from = map[place]coco.Digest{}, map[string]uint64{}
	}
	last, from := log.Last(), max(1, log.First(), s.from[name])
	if from > last {
		from = max(1, log.First())
	}
	for from <= last {
		entries, err := log.Read(from, last+1, 1<<20)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := s.add(name, e); err != nil {
				return err
			}
		}
		from += uint64(len(entries))
	}
	s.from[name] = max(1, last-min(last, tail))
	return nil
}

func (s *Seals) add(name string, e batch.Entry) error {
	if e.Kind != batch.KindBatch {
		return nil
	}
	b, err := batch.Decode(e.Data)
	if err != nil || b.Header.View != e.View || b.Header.Index != e.Index {
		return nil // a host has changed it: nobody has sealed this
	}
	p := place{b.Header.Epoch, b.Header.View, b.Header.Index}
	if known, ok := s.found[p]; ok && known != b.Header.Sealed {
		return fmt.Errorf("%w: on %s a batch of epoch %d, view %d and index %d is another one than was found before: two texts under one key and nonce", coco.ErrVerify, name, p.epoch, p.view, p.index)
	}
	s.found[p] = b.Header.Sealed
	return nil
}

// Found returns how many batches were found.
func (s *Seals) Found() int { return len(s.found) }
