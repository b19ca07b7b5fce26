package rehearsal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/query"
	"github.com/cocoframework/coco/keys"
	"github.com/cocoframework/coco/keys/recovery"
	"github.com/cocoframework/coco/ledger"
)

// Config says what to rehearse with.
type Config struct {
	Source
	Ledgers []string // folders of ledger files
	Keys    []Key
	AtLeast coco.TxID // a transaction that is known to be committed; zero if none is
	Code    coco.Measurement
}

// Key is a member's key, or why it cannot be read.
type Key struct {
	File string // for people
	Key  *keys.MemberKey
	Err  error
}

// Report is what a rehearsal found. Its JSON is that of `coco recovery drill -o json`.
type Report struct {
	OK        bool      `json:"ok"` // a recovery would succeed with what was given
	Ledgers   []Ledger  `json:"ledgers"`
	Taken     string    `json:"taken,omitempty"` // the ledger that it would go on from
	Last      coco.TxID `json:"last,omitzero"`   // where that ends
	Time      uint64    `json:"time,omitempty"`  // of that, in milliseconds since 1970
	Network   string    `json:"network,omitempty"`
	Lock      string    `json:"lock,omitempty"`
	Threshold int       `json:"threshold,omitempty"`
	Members   []Member  `json:"members"`
	Opened    bool      `json:"opened"`            // the keys given opened the ledger
	Epochs    int       `json:"epochs,omitempty"`  // that are open
	Batches   uint64    `json:"batches,omitempty"` // whose private parts were opened
	// Failures is what would fail in earnest, Warnings what would not, and should be looked after.
	Failures []string `json:"failures"`
	Warnings []string `json:"warnings"`
}

// Ledger is one copy.
type Ledger struct {
	Path         string    `json:"path"`
	OK           bool      `json:"ok"`
	Last         coco.TxID `json:"last,omitzero"` // of what is whole
	Transactions uint64    `json:"transactions"`
	Fault        string    `json:"fault,omitempty"`
}

// Member is a member that has a part of the lock.
type Member struct {
	ID    coco.ActorID `json:"id"`
	Name  string       `json:"name"`
	Key   string       `json:"key,omitempty"` // the file that opens its part; empty if none was given
	Opens bool         `json:"opens"`
}

func (r *Report) fail(format string, args ...any) {
	r.Failures = append(r.Failures, fmt.Sprintf(format, args...))
}

func (r *Report) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, fmt.Sprintf(format, args...))
}

// Run rehearses a recovery. Copies and keys that are damaged are in the report; the error is that it could not be rehearsed.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	r := newReport()
	best, err := r.verify(ctx, &cfg)
	if err != nil || best == nil {
		return r, err
	}
	lock, err := r.describe(&cfg, best)
	if err != nil {
		return r, err
	}
	if err := r.open(ctx, &cfg, best, lock); err != nil {
		return r, err
	}
	r.OK = len(r.Failures) == 0
	return r, nil
}

func newReport() *Report {
	return &Report{Ledgers: []Ledger{}, Members: []Member{}, Failures: []string{}, Warnings: []string{}}
}

// describe says what a recovery from a copy needs, and what is wrong about that whoever brings keys.
func (r *Report) describe(cfg *Config, best *Copy) (*recovery.Lock, error) {
	lock, err := best.Lock()
	if err != nil {
		return nil, err
	}
	c, p := best.Constitution(), best.Auditor.Last()
	r.Taken, r.Last, r.Time, r.Network, r.Lock, r.Threshold = best.Path, best.Report.Last, p.Time, c.Network.Name, lock.String(), lock.Threshold()
	if want := cfg.AtLeast; want != (coco.TxID{}) && best.ViewOf(want.Seqno) != want.View {
		r.fail("the furthest copy ends with transaction %s and lacks %s, which is known to be committed: find a newer copy", r.Last, want)
	}
	if !slices.Contains(c.Measurements(), cfg.Code) {
		r.warn("this program measures %s, which the constitution does not list: the machine that recovers must run another one", cfg.Code)
	}
	if text := query.Owner(r.Threshold, len(lock.Holders())); text != "" {
		r.warn("%s", text)
	}
	if len(lock.Holders()) == r.Threshold && r.Threshold > 1 {
		r.warn("all %d members are needed: one lost key closes the ledger for ever", r.Threshold)
	}
	return lock, nil
}

// sort brings the members into the order of their names.
func (r *Report) sort() {
	slices.SortStableFunc(r.Members, func(x, y Member) int { return cmp.Compare(x.Name, y.Name) })
}

// verify verifies the copies, and returns the furthest one that is whole; nil if there is none.
func (r *Report) verify(ctx context.Context, cfg *Config) (best *Copy, _ error) {
	for _, path := range cfg.Ledgers {
		c, err := cfg.Verify(ctx, path, cfg.AtLeast.Seqno)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		l := Ledger{Path: path, OK: err == nil, Last: c.Report.Last, Transactions: c.Report.Transactions}
		if err != nil {
			l.Fault = err.Error()
			r.warn("%s is of no use as it is: %v", path, err)
		} else if best == nil || further(c.Report.Last, best.Report.Last) {
			best = c
		}
		r.Ledgers = append(r.Ledgers, l)
	}
	if best == nil {
		r.fail("none of %d copies is whole: `coco ledger repair` mends one from the others", len(cfg.Ledgers))
		return nil, nil
	}
	for _, l := range r.Ledgers {
		if l.OK && further(best.Report.Last, l.Last) {
			r.warn("%s ends before, with transaction %s", l.Path, l.Last)
		}
	}
	return best, nil
}

func further(a, b coco.TxID) bool { return a.View > b.View || a.View == b.View && a.Seqno > b.Seqno }

// first notes that a file's key opens a member's part, and reports whether it is the first one that does.
func (r *Report) first(opened map[coco.ActorID]string, actor coco.ActorID, name, file string) bool {
	if other, ok := opened[actor]; ok {
		r.warn("%s is the key of %q, as %s is: it counts once", file, name, other)
		return false
	}
	opened[actor] = file
	return true
}

// open has the members whose keys are there release their parts, and opens the copy if they are enough.
func (r *Report) open(ctx context.Context, cfg *Config, c *Copy, lock *recovery.Lock) error {
	opened := map[coco.ActorID]string{}
	var members []*keys.MemberKey
	for _, k := range cfg.Keys {
		if k.Err != nil {
			r.fail("%s cannot be read: %v", k.File, k.Err)
			continue
		}
		actor, _, err := c.CheckKey(k.Key)
		if err != nil {
			r.fail("%s: %v", k.File, err)
			continue
		}
		if r.first(opened, actor, c.Constitution().Name(actor), k.File) {
			members = append(members, k.Key)
		}
	}
	for _, actor := range lock.Holders() {
		r.Members = append(r.Members, Member{ID: actor, Name: c.Constitution().Name(actor), Key: opened[actor], Opens: opened[actor] != ""})
	}
	r.sort()
	if n := len(opened); n < r.Threshold {
		r.fail("%d of the %d members' keys that are needed were given and open: rehearse with the others', or have their members run `coco recovery share check`", n, r.Threshold)
		return nil
	}
	secrets, faults, err := c.Secrets(members)
	for _, fault := range faults {
		r.warn("%v", fault)
	}
	if err != nil {
		r.fail("%v", err)
		return nil
	}
	r.Epochs = len(secrets)
	err = cfg.Read(ctx, c, func(b *batch.Batch) error {
		secret, ok := secrets[b.Header.Epoch]
		if !ok {
			return fmt.Errorf("%w: the keys open no epoch %d", coco.ErrVerify, b.Header.Epoch)
		}
		if _, err := b.Open(batch.NewKeys(b.Header.Epoch, secret)); err != nil {
			return fmt.Errorf("%w: its private part does not open: %w", coco.ErrVerify, err)
		}
		return nil
	})
	var fault *ledger.Fault
	switch {
	case errors.As(err, &fault):
		r.fail("a batch does not open: %v", err)
		return nil
	case err != nil:
		return err
	}
	r.Opened, r.Batches = true, c.Report.Batches
	return nil
}
