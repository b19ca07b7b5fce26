package nodecmd

import (
	"fmt"
	"strings"

	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/resume"
)

// waitsText says what a node waits for that resumes, and what its operator can do.
func waitsText(w resume.Waiting) string {
	if w.Needed > w.Nodes {
		return fmt.Sprintf("all nodes of the network have stopped, and a network of %s does not go on by itself: members recover it (`coco recovery start`)", cli.Plural(w.Nodes, "node"))
	}
	text := fmt.Sprintf("%d of %d nodes wait, and %d are needed: all nodes of the network have stopped, or this one does not reach them. ", w.Here, w.Nodes, w.Needed)
	if w.Lacks {
		text += "This one has lost its snapshots, and gets one from another node before it waits. "
	}
	if len(w.Missing) > 0 {
		text += fmt.Sprintf("Start those at %s (`coco node join`), or have their operators start them, and see to it that this node reaches them there", strings.Join(w.Missing, ", "))
	} else {
		text += "The others answer and do not wait yet: they get a snapshot first, or begin"
	}
	return text + "; if too few have kept what they need to go on, members recover the network (`coco recovery start`)"
}
