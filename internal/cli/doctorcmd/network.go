package doctorcmd

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/balance"
	"github.com/cocoframework/coco/internal/cli/finding"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/reach"
	"github.com/cocoframework/coco/wire"
)

func (d *diagnosis) examineCertificates(info localnet.Info, now time.Time) {
	files := []string{info.ServicePEM}
	for _, m := range info.Members {
		dir := identity.Dir(m.Dir)
		files = append(files, dir.Org(), dir.User())
	}
	var first time.Time
	good := 0
	for _, file := range files {
		name := readable(info.Dir, file)
		cert, err := identity.ReadLeaf(file)
		if err != nil {
			d.add("certificates", finding.Problem, "%s: %v", name, err)
			continue
		}
		level, message := judgeCertificate(cert.NotBefore, cert.NotAfter, now)
		if level != finding.OK {
			d.add("certificates", level, "%s: %s", name, message)
			continue
		}
		if good++; first.IsZero() || cert.NotAfter.Before(first) {
			first = cert.NotAfter
		}
	}
	if good > 0 {
		d.add("certificates", finding.OK, "%d are valid, the first one ends on %s", good, first.UTC().Format(time.DateOnly))
	}
}

// examineNodes looks at the certificates that the network's nodes show, and at those that its constitution
// lists: what the network issued renews itself in time, so one that ends soon says that it does not.
func (d *diagnosis) examineNodes(ctx context.Context, info localnet.Info, verifiers attest.Verifiers, now time.Time) {
	if _, err := localnet.GetStatus(ctx, info); err != nil {
		return // nothing runs
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	listed := false
	for _, n := range info.Nodes {
		if n.Retired {
			continue
		}
		c, err := info.Connect(n, verifiers)
		if err != nil {
			d.add("certificates", finding.Warning, "node %s is not asked: %v", n.Name, err)
			continue
		}
		s, err := c.Status(ctx)
		if err == nil {
			d.addEnds(n.Name, s.Certificates, now)
		}
		if err == nil && !listed {
			listed = d.addListed(ctx, c, now)
			d.addQuorum(ctx, c)
			d.addSigners(ctx, c, now)
		}
		c.Close()
	}
}

func (d *diagnosis) addEnds(node string, all []wire.Certificate, now time.Time) {
	for _, c := range all {
		if c.Of != "node" && c.Of != "service" {
			continue // addListed looks at all of them
		}
		level, message := finding.End(c.NotAfter, now)
		if level != finding.OK {
			message += ": it should have renewed itself; look for \"not renewed\" in the node's log"
		}
		if c.Of == "node" || level != finding.OK {
			d.add("certificates", level, "the %s's that node %s shows %s", c.Of, node, message)
		}
	}
}

// addQuorum looks at whose nodes vote in consensus.
func (d *diagnosis) addQuorum(ctx context.Context, c *client.Client) {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return
	}
	votes, names := balance.Votes{}, map[string]int{}
	for _, n := range nodes {
		if n.Voter {
			votes[n.Owner]++
			names[cmp.Or(n.OwnerName, n.Owner.Short())]++
		}
	}
	level, message := finding.JudgeQuorum(wire.Quorum{Votes: names, Spans: votes.Spans(), Stops: votes.Stops()})
	d.add("votes", level, "%s", message)
}

// addSigners counts the members that can sign statements now, and when a vote that begins now ends.
func (d *diagnosis) addSigners(ctx context.Context, c *client.Client, now time.Time) {
	con, _, err := reach.Constitution(ctx, c)
	if err != nil {
		return
	}
	level, message := finding.Signers(con, now, officer.DefaultVoting)
	d.add("members", level, "%s", message)
}

// addListed looks at the organisations' certificates.
func (d *diagnosis) addListed(ctx context.Context, c *client.Client, now time.Time) bool {
	con, _, err := reach.Constitution(ctx, c)
	if err != nil {
		return false
	}
	for _, a := range con.Certificates() {
		if level, message := finding.End(a.Certificate.NotAfter, now); level != finding.OK {
			d.add("certificates", level, "%s's in the constitution %s: have members vote for a new one (add-certificate)", a.Name, message)
		}
	}
	return true
}

func judgeCertificate(begins, ends, now time.Time) (level, message string) {
	switch {
	case now.Before(begins):
		return finding.Problem, fmt.Sprintf("begins on %s, and this machine's clock says %s: set the clock right",
			begins.UTC().Format(time.DateTime), now.UTC().Format(time.DateTime))
	case !now.Before(ends):
		return finding.Problem, "ended on " + ends.UTC().Format(time.DateOnly) + ": renew it"
	case ends.Sub(now) < finding.EndingSoon:
		return finding.Warning, "ends on " + ends.UTC().Format(time.DateOnly) + ": renew it soon"
	}
	return finding.OK, "ends on " + ends.UTC().Format(time.DateOnly)
}

// How far two clocks may be apart. A node tells its time in whole seconds.
const (
	clockApart    = 3 * time.Second
	clockFarApart = time.Minute
)

// examineClocks compares this machine's clock with that of every node that runs.
func (d *diagnosis) examineClocks(ctx context.Context, info localnet.Info, verifiers attest.Verifiers) {
	if _, err := localnet.GetStatus(ctx, info); err != nil {
		return // nothing runs
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, n := range info.Nodes {
		if n.Retired {
			continue
		}
		apart, err := clockOf(ctx, info, n, verifiers)
		if err != nil {
			d.add("clock", finding.Warning, "node %s does not tell its time: %v", n.Name, err)
			continue
		}
		level, message := judgeClock(apart)
		d.add("clock", level, "node %s: %s", n.Name, message)
		if lag, err := lagOf(ctx, info, n, verifiers); err == nil {
			level, message := judgeLag(lag)
			d.add("ledger time", level, "node %s: %s", n.Name, message)
		}
	}
}

func judgeClock(apart time.Duration) (level, message string) {
	switch off := apart.Abs(); {
	case off >= clockFarApart:
		return finding.Problem, fmt.Sprintf("its clock and this one are %v apart: certificates and the ledger's times go by them; run NTP", off.Round(time.Second))
	case off >= clockApart:
		return finding.Warning, fmt.Sprintf("its clock and this one are %v apart: run NTP", off.Round(time.Second))
	}
	return finding.OK, "its clock agrees with this one"
}

// judgeLag judges by how much the ledger's time is behind a node's clock. A statement of a member that is signed more than ten minutes ahead of
// the ledger's time is refused.
func judgeLag(lag time.Duration) (level, message string) {
	switch off := lag.Abs().Round(time.Second); {
	case off < 30*time.Second:
		return finding.OK, "the ledger's time and its clock agree"
	case lag > 0:
		return finding.Problem, fmt.Sprintf("the ledger's time is %v behind its clock; it follows the clocks of a majority of the nodes: compare those, and run NTP", off)
	default:
		return finding.Problem, fmt.Sprintf("the ledger's time is %v ahead of its clock, and never goes back: run NTP; if the clock is right, the time stands still until then", off)
	}
}

// lagOf is by how much the ledger's time is behind a node's clock, as the node says.
func lagOf(ctx context.Context, info localnet.Info, n localnet.Node, verifiers attest.Verifiers) (time.Duration, error) {
	c, err := info.Connect(n, verifiers)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	s, err := c.Status(ctx)
	if err != nil {
		return 0, err
	}
	return time.Duration(s.ClockLag * float64(time.Second)), nil
}

// clockOf is how far a node's clock is ahead of this one, by the date of its answer.
func clockOf(ctx context.Context, info localnet.Info, n localnet.Node, verifiers attest.Verifiers) (time.Duration, error) {
	c, err := info.Connect(n, verifiers)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Verify(ctx); err != nil { // not within what is timed
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://node/livez", nil)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	resp, err := c.HTTPClient().Do(req)
	if err != nil {
		return 0, err
	}
	took := time.Since(began)
	_ = resp.Body.Close()
	theirs, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return 0, fmt.Errorf("its answer has no date: %w", err)
	}
	return theirs.Add(500 * time.Millisecond).Sub(began.Add(took / 2)), nil
}
