package sandbox

import (
	"fmt"

	"github.com/cocoframework/coco/host/local"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/ledger/chain"
)

// mend gives a node's ledger the chunks that it lacks, because the node was replaced and had not fetched all of the past when
// the network ended, or that its disk has damaged, from the ledgers of the sandbox's other nodes. A recovery needs the whole ledger,
// and audits it: what could not be mended is for the audit to say. No node may run meanwhile.
func (s *Sandbox) mend(node int) error {
	n := s.info.Nodes[node]
	disk, err := local.Open(n.Dir)
	if err != nil {
		return err
	}
	defer disk.Close()
	log, err := ledger.Open(disk, nodeconfig.LedgerDir, s.movedFrom(n))
	if err != nil {
		return err
	}
	defer log.Close()
	var others []*ledger.Log
	var names []string
	for i, other := range s.info.Nodes {
		if i == node {
			continue
		}
		disk, err := local.OpenReadOnly(other.Dir)
		if err != nil {
			continue // there is none
		}
		defer disk.Close()
		l, err := ledger.OpenReadOnly(disk, nodeconfig.LedgerDir)
		if err != nil {
			s.report(localnet.Step{Step: "recovering", Node: n.Name, Text: fmt.Sprintf("the ledger of %s does not help: %v", other.Name, err)})
			continue
		}
		defer l.Close()
		others, names = append(others, l), append(names, other.Name)
	}
	done, err := chain.Repair(log, others)
	for _, r := range done {
		text := fmt.Sprintf("%s takes entries %d to %d, which it lacked, from the ledger of %s", n.Name, r.First, r.Last, names[r.From])
		if r.Damage != nil {
			text = fmt.Sprintf("%s takes entries %d to %d, which are damaged in its ledger (%v), from that of %s", n.Name, r.First, r.Last, r.Damage, names[r.From])
		}
		s.report(localnet.Step{Step: "recovering", Node: n.Name, Text: text})
	}
	if err != nil {
		s.report(localnet.Step{Step: "damaged", Node: n.Name, Text: fmt.Sprintf("the ledger of %s is not whole: %v", n.Name, err)})
	}
	return nil
}

// movedFrom returns the folders to which chunks of a node's ledger were moved. The node itself says if one of them cannot be opened.
func (s *Sandbox) movedFrom(n localnet.Node) (o ledger.Options) {
	cfg, err := nodeconfig.Load(nodeconfig.Dir(n.Dir).Config())
	if err != nil {
		return o
	}
	for _, dir := range cfg.LedgerFolders {
		if disk, err := local.OpenReadOnly(dir); err == nil { // read-only disks hold no lock
			o.Extra = append(o.Extra, disk)
		}
	}
	return o
}
