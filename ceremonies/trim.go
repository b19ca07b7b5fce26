package ceremonies

import (
	"context"

	"github.com/cocoframework/coco/gov/ceremony"
	"github.com/cocoframework/coco/store"
)

// trim has a leader reduce rows of epochs that the archives of replaced committees open, some with each tick, as long as there are such rows. A crash in between leaves the rest to the next one.
func (d *Driver) trim(ctx context.Context) {
	d.mu.Lock()
	due := d.ledger.trimmable
	d.mu.Unlock()
	if !due || !d.cfg.Replica.Leads() {
		return
	}
	_, err := d.cfg.Replica.Do(ctx, func(tx *store.Tx) ([]byte, error) { return nil, ceremony.Trim(tx) })
	d.uncommitted(ctx, "the reduction of epochs", err)
}
