// Package finding says how serious a thing is that a command looked at, in the words that all commands share.
//
// Trust: host
package finding

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cocoframework/coco/wire"
)

// How serious a finding is.
const (
	OK      = "ok"
	Warning = "warning" // it works, for now or not well
	Problem = "problem" // it does not
)

// Closed says what a node waits for that members have recovered their network on, and what they do.
const Closed = "the network was recovered and is closed: each member accepts its new service (coco recovery accept), and they vote to open it (coco gov propose open-network service.pem)"

// EndingSoon is how long before its end a certificate should be renewed.
const EndingSoon = 30 * 24 * time.Hour

// End judges the end of a certificate.
func End(ends, now time.Time) (level, message string) {
	day := ends.UTC().Format(time.DateOnly)
	switch {
	case !now.Before(ends):
		return Problem, "ended on " + day
	case ends.Sub(now) < EndingSoon:
		return Warning, "ends on " + day
	}
	return OK, "ends on " + day
}

// Quorum says how many organisations a quorum spans.
func Quorum(q wire.Quorum) string {
	names := slices.SortedFunc(maps.Keys(q.Votes), func(a, b string) int {
		if q.Votes[a] != q.Votes[b] {
			return q.Votes[b] - q.Votes[a]
		}
		return strings.Compare(a, b)
	})
	var each []string
	for _, name := range names {
		each = append(each, fmt.Sprintf("%s %d", name, q.Votes[name]))
	}
	return fmt.Sprintf("%s: a quorum spans at least %s; nothing commits without %d of them", strings.Join(each, ", "), organisations(q.Spans), q.Stops)
}

// JudgeQuorum says how serious it is that so many organisations hold the votes of a network.
func JudgeQuorum(q wire.Quorum) (level, message string) {
	if len(q.Votes) > 1 && q.Spans < 2 {
		return Warning, Quorum(q) + ": one organisation decides what is committed; let others run more nodes"
	}
	return OK, Quorum(q)
}

// Limit says how serious it is how far something of a network has grown.
func Limit(l wire.Limit) (level, message string) {
	message = fmt.Sprintf("%s: %d, and the limit is %d: see NearLimit in docs/operations.md", strings.ReplaceAll(l.Of, "_", " "), l.Now, l.Most)
	switch {
	case l.Now >= l.Most:
		return Problem, message
	case l.Now >= l.Most/2:
		return Warning, message
	}
	return OK, message
}

// Grant says how far a grant of epochs to an auditor is on the ledger.
func Grant(g *wire.Grant, now time.Time) string {
	what := fmt.Sprintf("grant %d to %s of %s", g.Number, g.Name, epochs(g.First, g.Last))
	if g.Complete {
		what += " is complete: the seats of " + strings.Join(g.Gave, ", ") + " have given their parts"
		if len(g.Waiting) > 0 {
			what += ", and those of " + strings.Join(g.Waiting, ", ") + " need not"
		}
		return what
	}
	what += " is not complete: "
	switch {
	case g.Committee == 0:
		what += "no committee gives parts yet, which needs a node with the package of each of as many seats as open something together"
	case len(g.Gave) < g.Threshold && len(g.Gave) == 0:
		what += fmt.Sprintf("%d parts are needed, and none of the seats of %s has given its", g.Threshold, strings.Join(g.Waiting, ", "))
	case len(g.Gave) < g.Threshold:
		what += fmt.Sprintf("%d parts are needed, those of the seats of %s are there, those of %s are not", g.Threshold, strings.Join(g.Gave, ", "), strings.Join(g.Waiting, ", "))
	default:
		what += fmt.Sprintf("what reads %d of its epochs is not there, from epoch %d on", len(g.Missing), g.Missing[0])
	}
	if now.After(g.Ends) {
		return what + ": it ended on " + g.Ends.UTC().Format(time.DateOnly) + ", and another vote is needed"
	}
	return what + ": nodes go on until " + g.Ends.UTC().Format(time.DateOnly)
}

func epochs(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("epoch %d", first)
	}
	return fmt.Sprintf("epochs %d-%d", first, last)
}

func organisations(n int) string {
	if n == 1 {
		return "1 organisation"
	}
	return fmt.Sprintf("%d organisations", n)
}

// Certificate names a certificate that a node tells of, as in "of member alpha".
func Certificate(c wire.Certificate) string {
	switch c.Of {
	case "node", "service":
		return "of the " + c.Of
	}
	return fmt.Sprintf("of %s %s", c.Of, c.Name)
}

// Threshold says how many seats of a committee open the past together.
func Threshold(k *wire.Keys) string {
	switch n := len(k.Seats); {
	case n == 1:
		return "its one member opens the past alone"
	case k.Threshold == 1:
		return fmt.Sprintf("RECOVERY OWNER: each of %d members opens the past, and recovers the network, alone", n)
	default:
		return fmt.Sprintf("%d of %d seats open the past together", k.Threshold, n)
	}
}
