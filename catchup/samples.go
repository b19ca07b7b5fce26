package catchup

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/peer"
)

// maxSamples bounds the samples of one joiner: they lie twice as far back each.
const maxSamples = 64

// Samples describes the ledger: its last batch, and batches ever farther back.
func (l *Local) Samples() ([]peer.Sample, error) {
	var out []peer.Sample
	log := l.Ledger
	for back, index := uint64(1), log.Last(); index > 0 && len(out) < maxSamples; {
		entries, err := log.Read(index, index+1, 0)
		if errors.Is(err, coco.ErrMissing) || errors.Is(err, coco.ErrCorrupt) {
			index -= min(index, back) // a chunk that was moved away, or is damaged: what is before it tells, too
			back *= 2
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read ledger entry %d: %w", index, err)
		}
		if entries[0].Kind != batch.KindBatch {
			index--
			continue
		}
		out = append(out, peer.Sample{Index: index, Digest: sha256.Sum256(entries[0].Data)})
		index -= min(index, back)
		back *= 2
	}
	return out, nil
}

// Shared returns the index of the newest sample that is in this node's ledger, too, among its entries up to
// applied; 0 if there is none.
func (l *Local) Shared(applied uint64, samples []peer.Sample) (uint64, error) {
	for _, s := range samples[:min(len(samples), maxSamples)] {
		if s.Index == 0 || s.Index > applied {
			continue
		}
		entries, err := l.Ledger.Read(s.Index, s.Index+1, 0)
		if errors.Is(err, coco.ErrMissing) || errors.Is(err, coco.ErrCorrupt) {
			continue // older ones may be here, and whole
		}
		if err != nil {
			return 0, fmt.Errorf("read ledger entry %d: %w", s.Index, err)
		}
		if entries[0].Kind == batch.KindBatch && sha256.Sum256(entries[0].Data) == s.Digest {
			return s.Index, nil
		}
	}
	return 0, nil
}
