package sandbox

import (
	"errors"
	"fmt"
	"io"

	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/ledger"
)

// fillGaps gives a node's ledger the chunks that it lacks and that other nodes of this sandbox have: the node
// was replaced, and had not fetched all of the past when the network ended. A recovery needs the whole ledger, and
// checks it. No node may run meanwhile.
func (s *Sandbox) fillGaps(node int) error {
	n := s.info.Nodes[node]
	disk, err := local.Open(n.Dir)
	if err != nil {
		return err
	}
	defer disk.Close()
	log, err := ledger.Open(disk, nodeconfig.LedgerDir, ledger.Options{})
	if err != nil {
		return err
	}
	defer log.Close()
	for i, other := range s.info.Nodes {
		missing := log.Missing()
		if len(missing) == 0 {
			return nil
		}
		if i == node {
			continue
		}
		if err := fillFrom(log, missing, other.Dir); err != nil {
			s.report(localnet.Step{Step: "recovering", Node: n.Name, Text: fmt.Sprintf("the ledger of %s does not help: %v", other.Name, err)})
		}
	}
	return nil
}

// fillFrom copies the complete chunks of another ledger that lie in the gaps.
func fillFrom(log *ledger.Log, missing []ledger.Range, dir string) (err error) {
	disk, err := local.OpenReadOnly(dir)
	if err != nil {
		return err
	}
	defer disk.Close()
	from, err := ledger.OpenReadOnly(disk, nodeconfig.LedgerDir)
	if err != nil {
		return err
	}
	defer from.Close()
	for _, c := range from.Chunks() {
		for _, gap := range missing {
			if c.Complete && gap.First <= c.First && c.Last <= gap.Last {
				err = errors.Join(err, log.Insert(c.First, c.Last, entriesOf(from, c)))
			}
		}
	}
	return err
}

// entriesOf returns the entries of a chunk one by one.
func entriesOf(log *ledger.Log, c ledger.Chunk) func() (batch.Entry, error) {
	var read []batch.Entry
	next := c.First
	return func() (batch.Entry, error) {
		if len(read) == 0 {
			if next > c.Last {
				return batch.Entry{}, io.EOF
			}
			var err error
			if read, err = log.Read(next, c.Last+1, 1<<20); err != nil {
				return batch.Entry{}, err
			}
			next += uint64(len(read))
		}
		e := read[0]
		read = read[1:]
		return e, nil
	}
}
