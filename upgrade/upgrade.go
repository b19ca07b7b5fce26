// Package upgrade knows which rules the programs of a network's nodes know, so that members leave no node behind when they raise the rules.
//
// While a network is upgraded node by node, two builds take part in it. A constitution by rules that a build does not know stops its nodes. So each
// node tells every other one, first of all on each connection, up to which version its program knows the rules. The leader lets a vote take effect that raises the
// rules once it has heard that of every node that the network trusts. A build that tells nothing is an older one; a node that is down may come back as one.
// What was told holds for as long as the node is there: a program that is exchanged joins as another node.
//
// The ledger holds nothing of it: a vote that is refused is not recorded, and may be cast again. What the end of voting decides waits, and holds up nothing else.
//
// Trust: enclave
package upgrade

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/table"
	"github.com/cocoframework/coco/store"
)

// Programs is what the nodes have told of their programs. It is safe for concurrent use.
type Programs struct {
	self coco.NodeID
	mu   sync.Mutex
	told map[coco.NodeID]uint64 // the newest rules that a node knows; under mu
}

// New returns what a node knows that has heard of no other one.
func New(self coco.NodeID) *Programs {
	return &Programs{self: self, told: map[coco.NodeID]uint64{self: constitution.CurrentRules}}
}

// Hear notes up to which version a node's program knows the rules.
func (p *Programs) Hear(from coco.NodeID, rules uint64) {
	if from == p.self {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told[from] = rules
}

// Follow forgets the nodes that are not of the network any more.
func (p *Programs) Follow(nodes map[coco.NodeID]string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range p.told {
		if _, there := nodes[id]; !there && id != p.self {
			delete(p.told, id)
		}
	}
}

// Check says whether the rules of a state's constitution may come into force after others, which are before. The error is coco.ErrInvalid if they are later ones,
// and some node that the network trusts has not told that its program knows them: it names these nodes.
func (p *Programs) Check(r store.Reader, before uint64) error {
	c, err := table.LoadCore(r)
	if err != nil || c.Rules <= before {
		return err
	}
	if err := p.lacking(r, c); err != nil {
		return fmt.Errorf("%w, and cast this vote again", err)
	}
	return nil
}

// Waits returns a function that says whether rules may not come into force yet, by Check of a state. It logs why, and what to do.
func (p *Programs) Waits(r store.Reader, log *slog.Logger) func(proposal coco.Digest, rules uint64) bool {
	return func(proposal coco.Digest, rules uint64) bool {
		c, err := table.LoadCore(r)
		if err == nil {
			c.Rules = rules
			err = p.lacking(r, c)
		}
		if err != nil {
			log.Warn("a proposal waits though its time is over", "proposal", proposal.Short(), "error", err)
		}
		return err != nil
	}
}

// lacking says which nodes have not told that their programs know the rules of c.
func (p *Programs) lacking(r store.Reader, c *constitution.Constitution) error {
	nodes, err := table.TrustedNodes(r)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var lacking []string
	for _, n := range nodes {
		if p.told[n.ID] < c.Rules {
			lacking = append(lacking, fmt.Sprintf("%s of %s at %s", n.ID.Short(), c.Name(n.Owner), n.Address))
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	return fmt.Errorf("%w: rules %d would stop each node whose program does not know them, and these have not told that theirs does: %s. Each is of an older build, or down: upgrade or start it, or remove it by a vote",
		coco.ErrInvalid, c.Rules, strings.Join(lacking, "; "))
}
