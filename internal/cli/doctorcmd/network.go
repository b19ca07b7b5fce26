package doctorcmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/internal/balance"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/internal/cli/finding"
	"github.com/cocoframework/coco/internal/cli/network"
	"github.com/cocoframework/coco/internal/cli/officer"
	"github.com/cocoframework/coco/internal/identity"
	"github.com/cocoframework/coco/internal/localnet"
	"github.com/cocoframework/coco/internal/nodeconfig"
	"github.com/cocoframework/coco/internal/reach"
	"github.com/cocoframework/coco/wire"
)

// examineFiles looks at certificates in files. dir is what they are named relative to.
func (d *diagnosis) examineFiles(dir string, files []string, now time.Time) {
	var first time.Time
	good := 0
	for _, file := range files {
		name := readable(dir, file)
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

// sandboxFiles are the certificates of a sandbox.
func sandboxFiles(info localnet.Info) []string {
	files := []string{info.ServicePEM}
	for _, m := range info.Members {
		dir := identity.Dir(m.Dir)
		files = append(files, dir.Org(), dir.User())
	}
	return files
}

// ownFiles are the certificates of a node of one's own: what it was approved with, its owner's, and those beside that one which commands show.
func ownFiles(cfg *nodeconfig.Config) []string {
	files := []string{cfg.OwnerCertificate}
	if cfg.Service != "" {
		files = append(files, cfg.Service)
	}
	dir := identity.Dir(filepath.Dir(cfg.OwnerCertificate))
	for _, file := range []string{dir.User(), dir.Gov()} {
		if _, err := os.Stat(file); err == nil {
			files = append(files, file)
		}
	}
	return files
}

// examineNetwork asks all nodes of a network, those of others too, and judges what they say of themselves and of each other.
func (d *diagnosis) examineNetwork(ctx context.Context, n *network.Network, now time.Time) {
	answers := n.Ask(ctx, n.Own())
	others, err := n.Others(ctx, answers)
	if err != nil {
		d.add("nodes", finding.Warning, "there may be more than these: %v", err)
	}
	answers = append(answers, n.Ask(ctx, others)...)
	asked := false
	for _, a := range answers {
		if a.Node.Retired {
			continue
		}
		level, message := judgeNode(a, n, now)
		d.add("nodes", level, "%s", message)
		if a.Err != nil {
			continue
		}
		d.addEnds(a.Node.String(), a.Status.Certificates, now)
		d.examineClock(ctx, n, a)
		d.addResident(a)
		if !asked && a.Serves() == nil {
			d.addLimits(a.Status.NearLimits)
			if a.Status.Notice != "" {
				d.add("notices", finding.OK, "%s", a.Status.Notice)
			}
			d.addOwner(a.Status.Keys)
			asked = d.examineConstitution(ctx, n, a.Node, now)
		}
	}
	d.addVoters(answers, err == nil)
}

// judgeNode says what is wrong with a node, and what to do about it.
func judgeNode(a network.Answer, n *network.Network, now time.Time) (level, message string) {
	bad := finding.Problem
	log := "its log is " + nodeconfig.Dir(a.Node.Dir).Log()
	if a.Node.Elsewhere { // it is for another operator to mend
		bad = finding.Warning
		log = "ask who runs it"
		if a.Node.Owner != "" {
			log = "ask " + a.Node.Owner + ", who runs it"
		}
	}
	start := "start it by `coco node join" + n.Hint() + "`"
	if n.Sandbox != nil {
		start = "`coco up` starts it again by itself; if it does not"
	}
	waits := ""
	if a.Err != nil && a.Node.Dir != "" {
		waits = nodeconfig.Dir(a.Node.Dir).Waits(now)
	}
	switch s := a.Status; {
	case errors.Is(a.Err, coco.ErrVerify):
		return finding.Problem, fmt.Sprintf("%s does not prove what it should: %v: send it nothing; %s", a.Node, a.Err, log)
	case a.Err != nil && a.Node.Elsewhere:
		return bad, fmt.Sprintf("%s does not answer here: %v: if it has ended, the network is one failure nearer to a stop; %s", a.Node, a.Err, log)
	case waits != "":
		return bad, fmt.Sprintf("%s runs and does not serve yet: %s", a.Node, waits)
	case a.Err != nil:
		return bad, fmt.Sprintf("%s does not answer: %v: %s, %s", a.Node, a.Err, start, log)
	case s.Role == "joining":
		return bad, fmt.Sprintf("%s is joining and does not serve yet: if that stays so, its last refusal says why; %s", a.Node, log)
	case s.Problem != "":
		return bad, fmt.Sprintf("%s cannot serve as it should: %s; %s", a.Node, s.Problem, log)
	case s.Closed:
		return finding.Problem, fmt.Sprintf("%s serves no client: %s", a.Node, finding.Closed)
	case s.Age > staleSeconds:
		return bad, fmt.Sprintf("%s shows a state that may be %.0f s old: it hears of no majority of the voters; look at the links between it and each of the others", a.Node, s.Age)
	case s.Known > s.Committed.Seqno+farBehind:
		return finding.Warning, fmt.Sprintf("%s is %s behind: if the number does not fall, look at the disk and the processor of its machine", a.Node, cli.Plural(s.Known-s.Committed.Seqno, "transaction"))
	case !s.Voter && !s.Learns:
		return finding.Warning, fmt.Sprintf("%s does not vote yet: it catches up; if that stays so for half an hour, %s", a.Node, log)
	case s.Warning != "":
		return finding.Warning, fmt.Sprintf("%s: %s", a.Node, s.Warning)
	case s.Learns:
		return finding.OK, fmt.Sprintf("%s serves and does not vote: its organisation would have too many of the votes", a.Node)
	default:
		return finding.OK, fmt.Sprintf("%s serves as %s in view %d", a.Node, s.Role, s.View)
	}
}

// What is said of a node whose state is old, as the alarms Stale and Behind of docs/operations.md have it.
const (
	staleSeconds = 10
	farBehind    = 64 // transactions
)

// addVoters says how many voters answer. all says that the answers are of all nodes: of some it does not follow how many votes are needed.
func (d *diagnosis) addVoters(answers []network.Answer, all bool) {
	voters, well := 0, 0
	for _, a := range answers {
		switch {
		case a.Node.Retired, a.Err == nil && !a.Status.Voter, a.Err != nil && a.Node.Elsewhere && !a.Node.Voter:
			continue
		}
		voters++
		if a.Serves() == nil {
			well++
		}
	}
	majority := voters/2 + 1
	switch {
	case voters == 0:
	case !all:
		d.add("quorum", finding.Warning, "%d of the %d voters that are known here answer and serve: there may be more, so how many are needed is not known", well, voters)
	case well < majority:
		d.add("quorum", finding.Problem, "%d of %d voters answer here and serve, and %d are needed to commit anything: bring others back first, see NoLeader in docs/operations.md", well, voters, majority)
	case well == majority && voters > 1:
		level := finding.Warning
		if well == voters {
			level = finding.OK // a network of two has no spare, and nothing is wrong with it
		}
		d.add("quorum", level, "%d of %d voters answer here and serve: if one more ends, nothing commits", well, voters)
	default:
		d.add("quorum", finding.OK, "%d of %d voters answer here and serve; %d are needed", well, voters, majority)
	}
}

// examineConstitution looks at what a node says of the organisations and of whose nodes vote. It reports whether the node answered.
func (d *diagnosis) examineConstitution(ctx context.Context, n *network.Network, node network.Node, now time.Time) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := n.Look(node)
	if err != nil {
		return false
	}
	defer c.Close()
	if !d.addListed(ctx, c, now) {
		return false
	}
	d.addSigners(ctx, c, now)
	if known, err := n.Connect(node); err == nil {
		d.addQuorum(ctx, known)
		known.Close()
	}
	return true
}

// patience bounds how long one node may take to say one thing.
const patience = 5 * time.Second

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

// addOwner warns of a committee of which each member alone opens the past.
func (d *diagnosis) addOwner(k *wire.Keys) {
	if k != nil && k.Committee > 0 && k.Threshold == 1 && len(k.Seats) > 1 {
		d.add("keys", finding.Warning, "%s: vote for a higher threshold (set shares.threshold 2, set recovery.owner none) unless that is what members want", finding.Threshold(k))
	}
}

// addLimits names what the network has grown half way to the limit of.
func (d *diagnosis) addLimits(near []wire.Limit) {
	if len(near) == 0 {
		d.add("limits", finding.OK, "the network's own tables are far from their limits")
	}
	for _, l := range near {
		level, message := finding.Limit(l)
		d.add("limits", level, "%s", message)
	}
}

// addResident says which values of resident rows a node lacks.
func (d *diagnosis) addResident(a network.Answer) {
	switch r := a.Status.Resident; {
	case r == nil:
	case r.Unheld > 0:
		d.add("resident rows", finding.Warning, "%s lacks %d values of rows that reside with its organisation and others, and no node has %d of them that it can ask: start the nodes of the other organisations, or put back the files of folder resident from a backup", a.Node, r.Lacking, r.Unheld)
	default:
		d.add("resident rows", finding.OK, "%s fetches %d values of rows that reside with its organisation and others", a.Node, r.Lacking)
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

// examineClock compares this machine's clock with a node's, and that with the ledger's time.
func (d *diagnosis) examineClock(ctx context.Context, n *network.Network, a network.Answer) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	apart, err := clockOf(ctx, n, a.Node)
	if err != nil {
		d.add("clock", finding.Warning, "node %s does not tell its time: %v", a.Node, err)
		return
	}
	level, message := judgeClock(apart)
	d.add("clock", level, "node %s: %s", a.Node, message)
	level, message = judgeLag(time.Duration(a.Status.ClockLag * float64(time.Second)))
	d.add("ledger time", level, "node %s: %s", a.Node, message)
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

// clockOf is how far a node's clock is ahead of this one, by the date of its answer.
func clockOf(ctx context.Context, n *network.Network, node network.Node) (time.Duration, error) {
	c, err := n.Look(node)
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
