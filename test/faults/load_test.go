//go:build linux

package faults

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/client"
	"github.com/cocoframework/coco/wire"
)

const (
	putters  = 10
	counters = 4
	bumpers  = 6 // clients that share the counters
	// A probe is one write to the next node in turn, every so often, whether or not earlier ones have been
	// answered: clients that all wait for an answer would not notice that the network is back.
	probeEvery = 25 * time.Millisecond
	probes     = 200 // at a time, at most
	// Values are of these lengths at least.
	valueBytes, probeBytes = 64, 8 << 10
	// think is how long a client waits between requests: the load has to leave the processors
	// something, or every fault would be one of them, too.
	think = 4 * time.Millisecond
	// tryPatience is how long a client waits for one answer before it asks another node, and
	// patience how long it tries at all. What is not acknowledged then has failed.
	tryPatience = 2 * time.Second
	patience    = 15 * time.Second
	retryLow    = 10 * time.Millisecond
	retryHigh   = 250 * time.Millisecond
	// shun is for how long clients avoid a node that did not do what they asked.
	shun = time.Second
	// stay is how many requests a client sends to one node that answers.
	stay = 100
	// answerMost bounds what is read of an answer.
	answerMost = 4 << 20
)

// window counts what clients met while one fault was looked at.
type window struct {
	acked, retried, failed atomic.Int64

	mu   sync.Mutex
	last time.Time     // under mu; of an acknowledgement
	gap  time.Duration // under mu; the longest time without one
}

func newWindow() *window { return &window{last: time.Now()} }

// ack notes an acknowledgement, or the end of the window.
func (w *window) ack() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.gap = max(w.gap, now.Sub(w.last))
	w.last = now
}

// load is clients at work, and what they were told.
type load struct {
	c       *cluster
	clients []*client.Client // by node; all workers share them
	window  atomic.Pointer[window]
	gate    sync.RWMutex // held for reading while a request is under way
	wait    sync.WaitGroup
	shunned [size]atomic.Int64 // until when, by node
	puts    []*putter
	counts  [counters]counter
}

func newLoad(c *cluster) (*load, error) {
	l := &load{c: c}
	l.window.Store(newWindow())
	for i := range c.members {
		cl, err := c.connect(i)
		if err != nil {
			return nil, err
		}
		l.clients = append(l.clients, cl)
	}
	return l, nil
}

// begin starts the clients; they end with ctx.
func (l *load) begin(ctx context.Context) {
	add := func(at, least int) *putter {
		p := &putter{worker: worker{l: l, at: at % size}, number: len(l.puts), least: least}
		l.puts = append(l.puts, p)
		return p
	}
	for i := range putters {
		p := add(i, valueBytes)
		l.wait.Go(func() { l.loop(ctx, p.step) })
	}
	for i := range bumpers {
		b := &bumper{worker: worker{l: l, at: i % size}}
		l.wait.Go(func() { l.loop(ctx, b.step) })
	}
	idle := make(chan *putter, probes)
	for i := range probes {
		idle <- add(i, probeBytes)
	}
	l.wait.Go(func() { l.probe(ctx, idle) })
}

// probe sends a write to the next node in turn, again and again, with whatever probe is idle.
func (l *load) probe(ctx context.Context, idle chan *putter) {
	for at := 0; sleep(ctx, probeEvery); at = (at + 1) % size {
		select {
		case p := <-idle:
			p.at = at
			l.wait.Go(func() {
				l.gate.RLock()
				p.step(l.window.Load())
				l.gate.RUnlock()
				idle <- p
			})
		default:
		}
	}
}

// loop lets a client take one step after another, while nobody holds the gate. A step that has
// begun is seen through.
func (l *load) loop(ctx context.Context, step func(*window)) {
	for sleep(ctx, think/2+rand.N(think)) {
		l.gate.RLock()
		step(l.window.Load())
		l.gate.RUnlock()
	}
}

// pause keeps the clients from sending until the function that it returns is called.
func (l *load) pause() (resume func()) {
	l.gate.Lock()
	return l.gate.Unlock
}

// outcome is what a client knows of one attempt.
type outcome int

const (
	done    outcome = iota // acknowledged
	unmet                  // the condition did not hold
	refused                // certainly not executed
	unknown                // no answer: it may have been executed
)

// worker is a client with the node that it talks to.
type worker struct {
	l    *load
	at   int
	sent int // to that node
}

// reply is an answer to one attempt.
type reply struct {
	outcome
	body []byte
	etag uint64
	tx   coco.TxID
}

// attempt sends one request to the worker's node, and moves on to the next node if that fails, or
// now and then.
func (w *worker) attempt(method, key string, value []byte, condition, tag string) reply {
	ctx, cancel := context.WithTimeout(context.Background(), tryPatience)
	defer cancel()
	r, err := w.ask(ctx, method, key, value, condition, tag)
	switch {
	case errors.Is(err, coco.ErrUnknown):
		r.outcome = unknown
	case err != nil: // the request was not sent, or not to its end
		r.outcome = refused
	}
	w.sent++
	if r.outcome == refused || r.outcome == unknown {
		w.l.shunned[w.at].Store(time.Now().Add(shun).UnixNano())
		w.move()
	} else if w.sent >= stay {
		w.move()
	}
	return r
}

// move goes to the next node that nobody shuns, or to the next one.
func (w *worker) move() {
	now := time.Now().UnixNano()
	w.at, w.sent = (w.at+1)%size, 0
	for i := range size - 1 {
		if at := (w.at + i) % size; w.l.shunned[at].Load() < now {
			w.at = at
			return
		}
	}
}

func (w *worker) ask(ctx context.Context, method, key string, value []byte, condition, tag string) (reply, error) {
	target := "https://node/app/kv/" + url.PathEscape(key)
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(string(value)))
	if err != nil {
		return reply{}, err
	}
	if condition != "" {
		req.Header.Set(condition, tag)
	}
	resp, err := w.l.clients[w.at].HTTPClient().Do(req)
	if err != nil {
		return reply{}, err
	}
	r := reply{}
	r.body, err = readBody(resp)
	if err != nil && resp.StatusCode/100 == 2 && method != http.MethodGet {
		err = nil // the head says it all
	} else if err != nil {
		return r, fmt.Errorf("%w: %w", coco.ErrUnknown, err)
	}
	w.judge(&r, resp, method+" "+key)
	return r, nil
}

// judge reads an answer's head.
func (w *worker) judge(r *reply, resp *http.Response, what string) {
	var err error
	if tag := strings.Trim(resp.Header.Get("ETag"), `"`); tag != "" {
		if r.etag, err = strconv.ParseUint(tag, 10, 64); err != nil {
			w.l.c.t.Errorf("%s: entity tag %q", what, tag)
		}
	}
	if tx := resp.Header.Get(wire.HeaderTxID); tx != "" {
		if r.tx, err = coco.ParseTxID(tx); err != nil {
			w.l.c.t.Errorf("%s: transaction id: %v", what, err)
		}
	}
	switch code := resp.StatusCode; {
	case code == http.StatusOK, code == http.StatusCreated, code == http.StatusNoContent:
		r.outcome = done
	case code == http.StatusNotFound && resp.Request.Method == http.MethodGet:
		r.outcome = done
	case code == http.StatusPreconditionFailed:
		r.outcome = unmet
	case code == http.StatusServiceUnavailable:
		r.outcome = refused
	case code == http.StatusGatewayTimeout:
		r.outcome = unknown
	default:
		w.l.c.t.Errorf("%s: status %d: %.200s", what, code, r.body)
		r.outcome = unknown
	}
}

func readBody(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	return io.ReadAll(io.LimitReader(resp.Body, answerMost))
}

// retry is the wait between a client's attempts at one request, and their end.
type retry struct {
	until time.Time
	wait  time.Duration
}

func newRetry() retry { return retry{until: time.Now().Add(patience), wait: retryLow} }

func (r *retry) again() bool {
	if time.Now().Add(r.wait).After(r.until) {
		return false
	}
	time.Sleep(r.wait/2 + rand.N(r.wait))
	r.wait = min(2*r.wait, retryHigh)
	return true
}

// putter writes keys that nobody has written before, each once.
type putter struct {
	worker
	number int
	least  int     // bytes of a value
	writes []write // what became of them
}

// write is what a client knows of one of its keys.
type write struct {
	tx    coco.TxID // zero if another attempt than the acknowledged one wrote it
	etag  uint64    // the acknowledged version; 0 if the write was not acknowledged
	maybe bool      // an attempt's outcome is unknown
}

func (p *putter) key(i int) string { return fmt.Sprintf("put-%03d-%07d", p.number, i) }

// value is bytes that the key determines, up to 192 more than the least.
func (p *putter) value(i int) []byte {
	r := rand.NewPCG(uint64(p.number), uint64(i))
	b := make([]byte, 0, p.least+200)
	for n := p.least + int(r.Uint64()%193); len(b) < n; {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b
}

func (p *putter) step(w *window) {
	i := len(p.writes)
	p.writes = append(p.writes, write{})
	it, again := &p.writes[i], newRetry()
	for try := 1; ; try++ {
		if try == 2 {
			w.retried.Add(1)
		}
		r := p.attempt(http.MethodPut, p.key(i), p.value(i), "If-None-Match", "*")
		switch r.outcome {
		case unmet:
			if !it.maybe {
				p.l.c.t.Errorf("once: %s is written already, as version %d, though every earlier attempt was refused", p.key(i), r.etag)
			}
			r.tx = coco.TxID{}
			fallthrough
		case done:
			it.etag, it.tx = r.etag, r.tx
			w.acked.Add(1)
			w.ack()
			return
		case unknown:
			it.maybe = true
		}
		if !again.again() {
			w.failed.Add(1)
			return
		}
	}
}

// counter is a key that clients change by compare-and-set only.
type counter struct {
	mu           sync.Mutex
	told         map[uint64]bool // acknowledged values
	acked, maybe uint64
}

func (l *load) counterKey(i int) string { return fmt.Sprintf("counter-%d", i) }

// bumper adds one to counters.
type bumper struct{ worker }

func (b *bumper) step(w *window) {
	i, again := rand.IntN(counters), newRetry()
	for failures := 0; ; {
		outcome := b.bump(i)
		switch outcome {
		case done:
			w.acked.Add(1)
			w.ack()
			return
		case unmet: // somebody else was faster: that is no failure
			time.Sleep(rand.N(retryLow))
			if time.Now().Before(again.until) {
				continue
			}
		}
		if failures++; failures == 1 {
			w.retried.Add(1)
		}
		if !again.again() {
			w.failed.Add(1)
			return
		}
	}
}

// bump tries once to add one.
func (b *bumper) bump(i int) outcome {
	key, c := b.l.counterKey(i), &b.l.counts[i]
	r := b.attempt(http.MethodGet, key, nil, "", "")
	if r.outcome != done {
		return refused
	}
	condition, tag, value := "If-None-Match", "*", uint64(1)
	if r.etag != 0 {
		n, err := strconv.ParseUint(string(r.body), 10, 64)
		if err != nil {
			b.l.c.t.Errorf("acked: %s is %q, which nobody wrote", key, r.body)
			return refused
		}
		condition, tag, value = "If-Match", strconv.Quote(strconv.FormatUint(r.etag, 10)), n+1
	}
	r = b.attempt(http.MethodPut, key, strconv.AppendUint(nil, value, 10), condition, tag)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.outcome {
	case done:
		if c.told == nil {
			c.told = map[uint64]bool{}
		}
		if c.told[value] {
			b.l.c.t.Errorf("once: %s was set to %d twice", key, value)
		}
		c.told[value] = true
		c.acked++
	case unknown:
		c.maybe++
	}
	return r.outcome
}
