package node

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
)

// sample names one entry of a joiner's ledger by its contents. A batch names everything before
// itself, so a leader that has the same one has the same ledger up to it.
type sample struct {
	_      struct{} `cbor:",toarray"`
	Index  uint64
	Digest coco.Digest // SHA-256 of the entry's data
}

// maxSamples bounds the samples of one joiner: they lie twice as far back each.
const maxSamples = 64

// samples describes this node's own ledger: its last batch, and batches ever farther back.
func (n *node) samples() ([]sample, error) {
	var out []sample
	log := n.ledgerLog
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
		out = append(out, sample{Index: index, Digest: sha256.Sum256(entries[0].Data)})
		index -= min(index, back)
		back *= 2
	}
	return out, nil
}

// shared returns the index of the newest sample that is in this node's ledger, too, and committed.
func (n *node) shared(samples []sample) (uint64, error) {
	for _, s := range samples[:min(len(samples), maxSamples)] {
		if s.Index == 0 || s.Index > n.replica.Applied() {
			continue
		}
		entries, err := n.ledgerLog.Read(s.Index, s.Index+1, 0)
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
