package bench

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	crand "crypto/rand"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/bench/link"
)

const (
	kvPath     = "/app/kv/"
	minValue   = 64
	maxValue   = 256
	kvReadBack = 500 // keys that check reads on each target
)

// kvWork is writes to keys that are each written by one client alone, so the last acknowledged
// value of every key is known. A batch is one transaction of as many writes; writes are counted.
type kvWork struct {
	*run
	prefix  string // of this run's keys
	seed    uint64
	writers []*writer
}

// writer is a client's keys. Key i holds the value of write last[i].
type writer struct {
	*session
	work   *kvWork
	number int
	writes uint64
	last   []uint64 // by key; 0: never written
	unsure []bool   // by key: a write has an unknown outcome
	path   []byte
	value  []byte
	body   []byte
}

func (w *kvWork) prepare(ctx context.Context) ([]*client, error) {
	var random [12]byte
	_, _ = crand.Read(random[:]) // never fails
	w.prefix = kvPath + "bench-" + hex.EncodeToString(random[:4]) + "-"
	w.seed = binary.BigEndian.Uint64(random[4:])
	clients, err := w.connectAll(ctx, w.Clients)
	if err != nil {
		return nil, err
	}
	each := max(w.Batch, w.Receivers/w.Clients) // a batch may name a key only once
	for i, c := range clients {
		kw := &writer{session: c.session, work: w, number: i, last: make([]uint64, each), unsure: make([]bool, each)}
		c.step = kw.step
		w.writers = append(w.writers, kw)
	}
	return clients, nil
}

// supply has nothing to do: a value costs less than a tenth of a microsecond to make.
func (w *kvWork) supply(context.Context, []int) error { return nil }

func (w *writer) key(b []byte, i int) []byte {
	b = append(b, w.work.prefix...)
	b = strconv.AppendInt(b, int64(w.number), 10)
	b = append(b, '-')
	return strconv.AppendInt(b, int64(i), 10)
}

// content is the value of a client's n-th write.
func (w *writer) content(b []byte, n uint64) []byte {
	r := rand.NewPCG(w.work.seed+uint64(w.number), n)
	size := minValue + int(r.Uint64()%(maxValue-minValue+1))
	for len(b) < size {
		b = binary.LittleEndian.AppendUint64(b, r.Uint64())
	}
	return b[:size]
}

// step writes the next keys: one by PUT, more by a POST of them all.
func (w *writer) step() (committed, failed int, err error) {
	first, batch := w.writes+1, w.work.Batch
	w.writes += uint64(batch)
	method, path := "POST", kvPath[:len(kvPath)-1]
	if batch == 1 {
		w.path = w.key(w.path[:0], w.keyOf(first))
		method, path = "PUT", string(w.path)
		w.body = w.content(w.body[:0], first)
	} else {
		w.body = w.operations(w.body[:0], first, batch)
	}
	p := w.patience()
	_, err = w.send(&p, func(l link.Link) ([]byte, error) {
		return l.(*link.HTTP).Do(method, path, w.body) // validate admits no other links
	})
	for n := first; n < first+uint64(batch); n++ {
		if i := w.keyOf(n); err == nil {
			w.last[i], w.unsure[i] = n, false
		} else {
			w.unsure[i] = true
		}
	}
	if err == nil {
		return batch, 0, nil
	}
	if w.ctx.Err() != nil {
		return 0, batch, w.ctx.Err()
	}
	w.kinds[kind(err)] += uint64(batch)
	var status *link.StatusError
	if errors.As(err, &status) && !status.Passing() {
		return 0, batch, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return 0, batch, nil
}

// keyOf is the key that a client's n-th write goes to.
func (w *writer) keyOf(n uint64) int { return int(n % uint64(len(w.last))) }

// operations renders the body of a POST that makes several writes.
func (w *writer) operations(b []byte, first uint64, count int) []byte {
	b = append(b, '[')
	for n := first; n < first+uint64(count); n++ {
		if n > first {
			b = append(b, ',')
		}
		w.path = w.key(w.path[:0], w.keyOf(n))
		w.value = w.content(w.value[:0], n)
		b = append(b, `{"op":"put","key":"`...)
		b = base64.StdEncoding.AppendEncode(b, w.path[len(kvPath):])
		b = append(b, `","value":"`...)
		b = base64.StdEncoding.AppendEncode(b, w.value)
		b = append(b, `"}`...)
	}
	return append(b, ']')
}

// check reads a sample of the written keys back from every target.
func (w *kvWork) check(ctx context.Context) error {
	var count counters
	return w.during("check", len(w.Targets), &count, func() error {
		for i := range w.Targets {
			if err := w.checkTarget(ctx, i); err != nil {
				return fmt.Errorf("%s: %w", w.Targets[i].Label(), err)
			}
			count.done.Add(1)
		}
		return nil
	})
}

func (w *kvWork) checkTarget(ctx context.Context, target int) error {
	deadline := w.checkDeadline()
	s := newSession(ctx, w.Targets[target:target+1], 0, min(w.Timeout, max(time.Until(deadline), time.Second)))
	defer s.close()
	var path, want []byte
	for range kvReadBack {
		kw := w.writers[rand.IntN(len(w.writers))]
		i := rand.IntN(len(kw.last))
		if kw.last[i] == 0 || kw.unsure[i] {
			continue
		}
		path, want = kw.key(path[:0], i), kw.content(want[:0], kw.last[i])
		for {
			found, err := s.get(string(path))
			if err != nil && !isStatus(err, 404) {
				return err
			}
			if bytes.Equal(found, want) {
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%w: %s: expected the %d bytes whose write was acknowledged, found %d other bytes",
					coco.ErrVerify, path, len(want), len(found))
			}
			time.Sleep(20 * time.Millisecond) // the node may not have applied the last batch yet
		}
	}
	return ctx.Err()
}

func (s *session) get(path string) ([]byte, error) {
	p := s.patience()
	reply, err := s.send(&p, func(l link.Link) ([]byte, error) { return l.(*link.HTTP).Do("GET", path, nil) })
	return reply, err
}

func isStatus(err error, code int) bool {
	var status *link.StatusError
	return errors.As(err, &status) && status.Code == code
}
