package ledgercmd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/query"
	"github.com/cocoframework/coco/host"
	"github.com/cocoframework/coco/internal/cli"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/wire"
)

// decisions is what a ledger holds of governance, all of which is public.
type decisions struct {
	Last          coco.TxID                  `json:"last"` // the transaction up to which it holds
	Constitutions []wire.ConstitutionVersion `json:"constitutions"`
	Proposals     []wire.Proposal            `json:"proposals"` // the oldest first, with actions, ballots and envelopes
	Nodes         []wire.Node                `json:"nodes"`
	Fault         *faultJSON                 `json:"fault,omitempty"` // what follows is not verified
}

// decisionsOf reads what an auditor has followed.
func decisionsOf(a *audit.Auditor, last coco.TxID) (*decisions, error) {
	r, c := a.Tables(), a.Constitution()
	if c == nil {
		return nil, fmt.Errorf("%w: the ledger holds no transaction that verifies: expected the network's first one, its genesis", coco.ErrNotFound)
	}
	out := &decisions{Last: last, Proposals: []wire.Proposal{}}
	var err error
	if out.Constitutions, err = query.Versions(r, 0, 0); err != nil {
		return nil, err
	}
	if out.Nodes, err = query.Nodes(r, c); err != nil {
		return nil, err
	}
	list, err := query.Proposals(r, c, wire.ProposalQuery{})
	for i := len(list) - 1; i >= 0 && err == nil; i-- {
		var p wire.Proposal
		if p, err = query.Proposal(r, c, list[i].ID); err == nil {
			out.Proposals = append(out.Proposals, p)
		}
	}
	return out, err
}

// errPrefix ends an audit of the entries before a fault.
var errPrefix = errors.New("the part that was asked for ends here")

// prefix is an auditor of the entries before one.
type prefix struct {
	*audit.Auditor
	end uint64 // the index of the first entry that is not followed; 0 for none
}

// Apply implements ledger.Checker.
func (p prefix) Apply(b *batch.Batch, public [][]byte) error {
	if p.end != 0 && b.Header.Index >= p.end {
		return errPrefix
	}
	return p.Auditor.Apply(b, public)
}

// follow audits a ledger and returns an auditor that has followed what verifies, and nothing else. It follows a batch before the
// batch's signature is checked: so where there is a fault, what precedes it is followed again, by another auditor.
func (a *app) follow(ctx context.Context, d ledgerDir, cfg audit.Config, extra []host.Disk) (*audit.Auditor, ledger.Report, error) {
	disk, dir, err := d.open()
	if err != nil {
		return nil, ledger.Report{}, err
	}
	defer disk.Close()
	found := audit.New(cfg)
	report, err := ledger.Audit(ctx, disk, dir, found, a.Err.Bar("verifying "+d.name), extra...)
	a.Err.Line("")
	var fault *ledger.Fault
	if !errors.As(err, &fault) {
		return found, report, err
	}
	before := audit.New(cfg)
	if fault.Index > 1 {
		_, again := ledger.Audit(ctx, disk, dir, prefix{before, fault.Index}, nil, extra...)
		if ctx.Err() != nil {
			return nil, report, again
		}
	}
	return before, report, err
}

// readDecisions returns what a ledger holds of governance. Where the error is a *ledger.Fault, it is what precedes the fault, and nil
// if nothing does.
func (a *app) readDecisions(ctx context.Context, d ledgerDir, extra []host.Disk) (*decisions, *audit.Auditor, error) {
	cfg, err := a.auditorConfig(nil, "", "")
	if err != nil {
		return nil, nil, err
	}
	found, report, failure := a.follow(ctx, d, cfg, extra)
	if ctx.Err() != nil {
		return nil, nil, cli.ErrInterrupted
	}
	var fault *ledger.Fault
	if failure != nil && !errors.As(failure, &fault) {
		return nil, nil, failure
	}
	out, err := decisionsOf(found, report.Last)
	if err != nil {
		if failure != nil {
			err = failure
		}
		return nil, nil, err
	}
	if fault != nil {
		out.Fault = faultOf(fault)
	}
	return out, found, failure
}

// showDecisions prints every version of the constitution, and every proposal with its votes.
func (a *app) showDecisions(ctx context.Context, d ledgerDir, extra []host.Disk) error {
	all, _, failure := a.readDecisions(ctx, d, extra)
	if all == nil {
		return failure
	}
	if a.WantsJSON() {
		return errors.Join(a.Out.JSON(all), failure)
	}
	printDecisions(a.Out, all)
	return failure
}

// showConstitution prints one version of the constitution as a page; 0 is the last one.
func (a *app) showConstitution(ctx context.Context, d ledgerDir, extra []host.Disk, version uint64) error {
	all, found, failure := a.readDecisions(ctx, d, extra)
	if all == nil {
		return failure
	}
	page, is, err := query.ConstitutionAt(found.Tables(), version)
	switch {
	case errors.Is(err, coco.ErrNotFound):
		return errors.Join(fmt.Errorf("%w: the ledger has the constitutions 1 to %d up to transaction %s, not %d", coco.ErrNotFound, len(all.Constitutions), all.Last, version), failure)
	case err != nil:
		return err
	case a.WantsJSON():
		return errors.Join(a.Out.JSON(map[string]any{"version": is.Version, "digest": is.Digest, "page": string(page)}), failure)
	}
	a.Err.Printf("%s\n", a.Err.Dim(fmt.Sprintf("# version %d, digest %s", is.Version, is.Digest)))
	return errors.Join(a.Out.Page(page), failure)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// printDecisions writes decisions for people. All times are in UTC, so that two copies of a report are equal.
func printDecisions(p *cli.Printer, all *decisions) {
	rows := [][]string{{"Constitution", "Digest", "In force from", "Time", "Made by"}}
	for _, v := range all.Constitutions {
		by := "genesis"
		if v.Number > 0 {
			by = fmt.Sprintf("#%d", v.Number)
		}
		rows = append(rows, []string{strconv.FormatUint(v.Version, 10), v.Digest.Short(), fmt.Sprintf("seqno %d", v.Since), stamp(v.Time), by})
	}
	p.Table(rows)
	for i := range all.Proposals {
		p.Printf("\n")
		printProposal(p, &all.Proposals[i])
	}
	if len(all.Proposals) == 0 {
		p.Printf("\nno proposals\n")
	}
}

func printProposal(p *cli.Printer, r *wire.Proposal) {
	p.Printf("#%d is %s", r.Number, r.State)
	if r.Reason != "" {
		p.Printf(": %s", r.Reason)
	}
	p.Printf("\n  id           %s\n", r.ID)
	p.Printf("  by           %s, signed %s, seqno %d\n", r.ProposerName, stamp(r.Time), r.Since)
	if r.Decided != 0 {
		p.Printf("  decided      %s, seqno %d\n", stamp(r.DecidedTime), r.Decided)
	} else {
		p.Printf("  voting ends  %s\n", stamp(r.Expires))
	}
	if r.Note != "" {
		p.Printf("  note         %s\n", strings.ReplaceAll(r.Note, "\n", "\n               "))
	}
	for _, b := range r.Ballots {
		p.Printf("  vote         %s: %s, signed %s, seqno %d", b.Name, b.Vote, stamp(b.Time), b.Since)
		if !b.Counts {
			p.Printf(" (does not count: it was removed while the proposal was open)")
		}
		p.Printf("\n")
	}
	for i := range r.Grants {
		p.Printf("  grant        %s\n", stateOf(&r.Grants[i]))
	}
	for line := range strings.SplitSeq(strings.TrimSpace(r.Actions), "\n") {
		p.Printf("    %s\n", line)
	}
}
