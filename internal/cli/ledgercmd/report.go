package ledgercmd

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/atomicfile"
	"github.com/cocoframework/coco/internal/cli"
)

// demands are what a ledger must satisfy beside being whole.
type demands struct {
	atLeast coco.TxID // the transaction that it must hold; the zero value asks for none
	report  string    // the file that gets a report for people; empty for none
}

// check refuses a ledger that lacks a transaction. last is the ledger's last one, and held the one that it has with the seqno of the
// transaction, in whatever view.
func (d *demands) check(held, last coco.TxID) error {
	switch want := d.atLeast; {
	case want == (coco.TxID{}) || held == want:
		return nil
	case held == (coco.TxID{}):
		return fmt.Errorf("%w: the ledger ends with transaction %s and lacks %s: it is older than that, or was rolled back: ask for a newer copy, best of another node", coco.ErrVerify, last, want)
	default:
		return fmt.Errorf("%w: the ledger has transaction %s where %s is expected: %s was never committed, or this ledger is of a network that was recovered without it", coco.ErrVerify, held, want, want)
	}
}

// writeReport writes a report of an audit for people: what was checked and found, who signed, and what was voted.
func writeReport(file string, program string, now time.Time, all []verified, failure error) error {
	var b bytes.Buffer
	p := cli.NewPrinter(&b)
	p.Printf("Audit of %s, %s, by coco %s\n", cli.Plural(len(all), "ledger"), stamp(now), program)
	if failure == nil {
		p.Printf("Result: correct\n")
	} else {
		p.Printf("Result: NOT CORRECT\n\n%v\n", failure)
	}
	var errs error
	for i := range all {
		p.Printf("\n")
		errs = errors.Join(errs, reportOn(p, &all[i]))
	}
	if errs != nil {
		return errs
	}
	return atomicfile.Create(file, b.Bytes(), 0o644)
}

func reportOn(p *cli.Printer, v *verified) error {
	p.Printf("Ledger %s in %s\n\n", v.Name, v.Dir)
	r := v.Report
	if r == nil {
		p.Printf("There is no ledger.\n")
		return nil
	}
	rows := [][]string{
		{"Checked", ""},
		{"files", strconv.Itoa(r.Files)},
		{"bytes", strconv.FormatInt(r.Bytes, 10)},
		{"entries", strconv.FormatUint(r.Entries, 10)},
		{"signed batches", strconv.FormatUint(r.Batches, 10)},
		{"transactions", strconv.FormatUint(r.Transactions, 10)},
		{"last transaction", r.Last.String()},
		{"proven to be committed", fmt.Sprintf("%s (entry %d)", r.Committed, r.CommittedIndex)},
		{"Merkle root", r.Root.String()},
		{"service", v.Service},
		{"constitution", v.Constitution.String()},
	}
	for _, last := range v.Recoveries {
		rows = append(rows, []string{"recovered by members", fmt.Sprintf("after transaction %s, under a new service", last)})
	}
	p.Table(rows)
	if f := v.Fault; f != nil {
		p.Printf("\nFault: %s, offset %d, entry %d: %s\nThe counts are of what precedes it, and nothing that follows it was checked.\n", f.File, f.Offset, f.Index, f.Reason)
		return nil
	}
	all, err := decisionsOf(v.auditor, r.Last)
	if err != nil {
		return err
	}
	rows = [][]string{{"Node", "Owner", "Address", "Code", "State", "Since", "Batches signed"}}
	for _, n := range all.Nodes {
		rows = append(rows, []string{n.Node.Short(), n.OwnerName, n.Address, n.Measurement.Short(), n.State, fmt.Sprintf("seqno %d", n.Since), strconv.FormatUint(r.Signed[n.Node], 10)})
	}
	p.Printf("\n")
	p.Table(rows)
	p.Printf("\n")
	printDecisions(p, all)
	return nil
}
