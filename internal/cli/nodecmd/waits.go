package nodecmd

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/resume"
)

// recovered reports whether settings are of a node that recovered its network, which members have opened since: `coco recovery start` has noted the constitution then.
func recovered(cfg nodeconfig.Config) bool {
	return cfg.Start == nodeconfig.StartRecover && cfg.Approve != (coco.Digest{}) && len(cfg.RecoverKeys) == 0
}

// takesPart has the settings of such a node say that it takes part in its network as any other. If they name no other node it knows those of its ledger, once it has
// found there what it needs to go on.
func (a *app) takesPart(file string, cfg *nodeconfig.Config) error {
	cfg.Start = nodeconfig.StartJoin
	if len(cfg.Join) == 0 {
		cfg.Join = []string{cmp.Or(cfg.PeerAddress, cfg.Peer)}
		a.Err.Printf("  %s %s names no other node: this one looks for those of its ledger; put their addresses into join and ask\n", a.Err.Bold("!"), file)
	}
	return cfg.Save(file)
}

// waitsText says what a node waits for that resumes, and what its operator can do.
func waitsText(w resume.Waiting) string {
	if w.Needed > w.Nodes {
		return fmt.Sprintf("all nodes of the network have stopped, and a network of %s does not go on by itself: members recover it (`coco recovery start`)", cli.Plural(w.Nodes, "node"))
	}
	text := fmt.Sprintf("%d of %d nodes wait, and %d are needed: all nodes of the network have stopped, or this one does not reach them. ", w.Here, w.Nodes, w.Needed)
	if w.Lacks {
		text += "This one has no snapshot yet that it can begin with, and gets one from another node before it waits. "
	}
	if len(w.Missing) > 0 {
		text += fmt.Sprintf("Start those at %s (`coco node join`), or have their operators start them, and see to it that this node reaches them there", strings.Join(w.Missing, ", "))
	} else {
		text += "The others answer and do not wait yet: they get a snapshot first, or begin"
	}
	return text + "; if too few have kept what they need to go on, members recover the network (`coco recovery start`)"
}
