package ledgercmd

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/ledger"
)

func parseDER(der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate: %w", coco.ErrInvalid, err)
	}
	return cert, nil
}

// entryLine is one consensus entry, as `coco ledger show -o json` prints it.
type entryLine struct {
	Index uint64      `json:"index"`
	View  uint64      `json:"view"`
	Kind  string      `json:"kind"`
	Bytes int         `json:"bytes"`
	First *coco.TxID  `json:"first,omitempty"`
	Last  *coco.TxID  `json:"last,omitempty"`
	Count uint64      `json:"count,omitempty"`
	Time  string      `json:"time,omitempty"`
	Node  coco.NodeID `json:"node,omitzero"`
	Epoch uint64      `json:"epoch,omitempty"`
	Root  coco.Digest `json:"root,omitzero"`
	To    uint64      `json:"to,omitempty"` // the last one that is damaged or missing, of this one and those after it
}

func (a *app) ledgerShowCommand() *cobra.Command {
	var from uint64
	var limit int
	var governance bool
	var constitution uint64
	var moved []string
	cmd := &cobra.Command{
		Use:   "show DIR",
		Short: "List a ledger's entries, or what was voted",
		Long: `Lists the entries of a ledger: for each batch its transactions, epoch, time, size and the
node that signed it. Chunks that cannot be read are named, and the others shown (exit code 3 for
damage, 1 if files are missing). Nothing is verified; see ` + "`coco ledger verify`" + `. DIR is a folder of ledger
files, a node's folder, or a sandbox: then its first node's ledger is shown.

With --governance, it prints instead every version of the constitution and every proposal: its actions, who
voted how, and what it came to. --constitution VERSION prints that version as a TOML page, 0 the last one.
Both need a copy of the ledger and nothing else: they are read from its public records, which are verified
as by ` + "`coco ledger verify`" + ` first. Where the ledger is not whole, what precedes the fault is shown, and the exit
code is 3. Name folders to which chunks were moved with --moved.`,
		Example: `  coco ledger show coco-sandbox               # the last entries
  coco ledger show coco-sandbox --from 1      # the first ones
  coco ledger show coco-sandbox/nodes/bravo -o json --limit 1000
  coco ledger show /backup/network --governance
  coco ledger show /backup/network --constitution 1 > genesis.toml`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 {
				return fmt.Errorf("%w: --limit %d: expected 1 or more", coco.ErrInvalid, limit)
			}
			dirs, _, err := findLedgers(args[0])
			if err != nil {
				return err
			}
			if governance || cmd.Flags().Changed("constitution") {
				extra, done, err := openMoved(moved)
				if err != nil {
					return err
				}
				defer done()
				if governance {
					return a.showDecisions(cmd.Context(), dirs[0], extra)
				}
				return a.showConstitution(cmd.Context(), dirs[0], extra, constitution)
			}
			return a.showLedger(cmd.Context(), dirs[0], from, uint64(limit))
		},
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "`index` of the first entry to show (default: the last ones are shown)")
	cmd.Flags().IntVar(&limit, "limit", 20, "how many `entries` to show")
	cmd.Flags().BoolVar(&governance, "governance", false, "show the constitutions, proposals and votes instead")
	cmd.Flags().Uint64Var(&constitution, "constitution", 0, "show this `version` of the constitution instead, 0 for the last one")
	for _, other := range []string{"from", "limit"} {
		cmd.MarkFlagsMutuallyExclusive("governance", "constitution", other)
	}
	movedFlag(cmd, &moved)
	a.OutputFlag(cmd)
	return cmd
}

func (a *app) showLedger(ctx context.Context, d ledgerDir, from, limit uint64) error {
	disk, dir, err := d.open()
	if err != nil {
		return err
	}
	defer disk.Close()
	log, err := ledger.OpenReadOnly(disk, dir)
	if err != nil {
		return err
	}
	defer log.Close()
	last := log.Last()
	if from == 0 {
		from = max(log.First(), last-min(last, limit-1))
	}
	if last == 0 || from > last {
		return fmt.Errorf("%w: the ledger in %s has entries %d to %d, none from %d on", coco.ErrNotFound, d.path, log.First(), last, from)
	}
	to := min(last+1, from+limit)
	rows := [][]string{{"Index", "View", "Kind", "Transactions", "Count", "Epoch", "Time", "Bytes", "Signed by"}}
	var failure error
	for from < to && ctx.Err() == nil {
		lines, next, err := readLines(log, from, to)
		failure = errors.Join(failure, err)
		for _, line := range lines {
			if a.WantsJSON() {
				if err := a.Out.JSON(line); err != nil {
					return err
				}
				continue
			}
			rows = append(rows, line.row())
		}
		if next == from {
			break
		}
		from = next
	}
	if !a.WantsJSON() {
		a.Out.Table(rows)
	}
	return failure
}

// readLines describes entries from one on, and says with which to go on; with the same one if that cannot
// be. A chunk that cannot be read is one line.
func readLines(log *ledger.Log, from, to uint64) (lines []entryLine, next uint64, err error) {
	end := to
	for _, c := range log.Chunks() { // one at a time, so that none suffers from the next one's damage
		if c.First <= from && from <= c.Last {
			end = min(end, c.Last+1)
		}
	}
	entries, err := log.Read(from, end, 4<<20)
	var missing *ledger.MissingError
	switch {
	case errors.As(err, &missing):
		return []entryLine{{Index: from, Kind: "missing", To: min(missing.Last, to-1)}}, min(missing.Last+1, to), err
	case errors.Is(err, coco.ErrCorrupt):
		return []entryLine{{Index: from, Kind: "damaged", To: end - 1}}, end, err
	case err != nil:
		return nil, from, err
	}
	for _, e := range entries {
		line, err := describe(e)
		if err != nil {
			line.Kind, line.To = "damaged", e.Index
			return append(lines, line), e.Index + 1, err
		}
		lines = append(lines, line)
	}
	return lines, from + uint64(len(entries)), nil
}

func describe(e batch.Entry) (entryLine, error) {
	line := entryLine{Index: e.Index, View: e.View, Bytes: len(e.Data)}
	switch e.Kind {
	case batch.KindBatch:
		line.Kind = "batch"
	case batch.KindView:
		line.Kind = "view"
		return line, nil
	case batch.KindMembers:
		line.Kind = "members"
		return line, nil
	default:
		line.Kind = strconv.Itoa(int(e.Kind))
		return line, nil
	}
	b, err := batch.Decode(e.Data)
	if err != nil {
		return line, fmt.Errorf("entry %d: %w", e.Index, err)
	}
	h := b.Header
	first, last := h.TxIDs()
	line.First, line.Last, line.Count, line.Epoch, line.Node, line.Root = &first, &last, h.Count, h.Epoch, h.Node, h.Root
	line.Time = time.UnixMilli(int64(h.Time)).UTC().Format("2006-01-02T15:04:05.000Z")
	return line, nil
}

func (l *entryLine) row() []string {
	if l.To > 0 {
		return []string{fmt.Sprintf("%d – %d", l.Index, l.To), "", l.Kind}
	}
	row := []string{strconv.FormatUint(l.Index, 10), strconv.FormatUint(l.View, 10), l.Kind, "", "", "", l.Time, strconv.Itoa(l.Bytes), ""}
	if l.First != nil {
		row[3], row[4], row[5], row[8] = l.First.String(), strconv.FormatUint(l.Count, 10), strconv.FormatUint(l.Epoch, 10), l.Node.Short()
		if l.Count > 1 {
			row[3] += " – " + l.Last.String()
		}
	}
	return row
}
