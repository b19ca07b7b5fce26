//go:build linux

package faults

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"text/tabwriter"
	"time"
)

// figure is what was measured of one fault.
type figure struct {
	elects, quiet          bool
	leader                 time.Duration // from its beginning to another leader's first word
	health                 time.Duration // from its end until the network was whole
	gap                    time.Duration // the longest time without an acknowledgement
	acked, retried, failed int64
	leaders                int // that came
}

func (f *figure) take(w *window) {
	f.acked, f.retried, f.failed = w.acked.Load(), w.retried.Load(), w.failed.Load()
	w.mu.Lock()
	defer w.mu.Unlock()
	f.gap = w.gap
}

// table is the figures of a run, by kind of fault.
type table struct {
	mu    sync.Mutex
	kinds []string            // under mu; in order
	of    map[string][]figure // under mu
}

var figures = table{of: map[string][]figure{}}

func (t *table) add(kind string, f figure) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of[kind] == nil {
		t.kinds = append(t.kinds, kind)
	}
	t.of[kind] = append(t.of[kind], f)
}

// spread is of some durations, in milliseconds.
type spread struct {
	P50 int64 `json:"p50"`
	Max int64 `json:"max"`
}

// spreadOf is nil if nothing was measured.
func spreadOf(all []time.Duration) *spread {
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return &spread{all[(len(all)-1)/2].Milliseconds(), all[len(all)-1].Milliseconds()}
}

func (s *spread) String() string {
	if s == nil {
		return "–\t–"
	}
	return fmt.Sprintf("%d\t%d", s.P50, s.Max)
}

// row is a line of the report.
type row struct {
	Fault   string  `json:"fault"`
	Times   int     `json:"times"`
	Leader  *spread `json:"leader_ms,omitempty"` // to another one; absent if the leader may stay
	Health  spread  `json:"health_ms"`
	Outage  *spread `json:"outage_ms,omitempty"` // the longest time in which no client's write was acknowledged
	Leaders int     `json:"leaders"`             // that came
	Acked   int64   `json:"acked"`
	Retried int64   `json:"retried"` // requests that were not acknowledged at the first attempt
	Failed  int64   `json:"failed"`  // and at none
}

func (t *table) rows() []row {
	t.mu.Lock()
	defer t.mu.Unlock()
	var rows []row
	for _, kind := range t.kinds {
		r := row{Fault: kind, Times: len(t.of[kind])}
		var leaders, health, outage []time.Duration
		for _, f := range t.of[kind] {
			if f.elects {
				leaders = append(leaders, f.leader)
			}
			health = append(health, f.health)
			if !f.quiet {
				outage = append(outage, f.gap)
			}
			r.Leaders += f.leaders
			r.Acked += f.acked
			r.Retried += f.retried
			r.Failed += f.failed
		}
		r.Leader, r.Outage = spreadOf(leaders), spreadOf(outage)
		r.Health = *spreadOf(health)
		rows = append(rows, r)
	}
	return rows
}

// print writes the figures as a table, and as a line of JSON.
func (t *table) print(to io.Writer) {
	rows := t.rows()
	if len(rows) == 0 {
		return
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\nms\tleader p50\tmax\thealth p50\tmax\toutage p50\tmax\tleaders\tacked\tretried\tfailed\t fault\t\n")
	for _, r := range rows {
		fmt.Fprintf(w, "%d ×\t%s\t%v\t%v\t%d\t%d\t%d\t%d\t %s\t\n", r.Times, r.Leader, &r.Health, r.Outage, r.Leaders, r.Acked, r.Retried, r.Failed, r.Fault)
	}
	_ = w.Flush()
	line, err := json.Marshal(map[string]any{"nodes": size, "clients": putters + bumpers, "faults": rows})
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(to, "\n%s\n", line)
}
