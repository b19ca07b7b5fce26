//go:build linux

package faults

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	lookEvery    = 20 * time.Millisecond
	lookPatience = 500 * time.Millisecond // for a node's word on its state
	maxLag       = 64                     // entries that a node may be behind and still be called well
)

// watch knows who leads.
type watch struct {
	wait sync.WaitGroup

	mu     sync.Mutex
	view   uint64        // under mu; the highest one that a node said it leads
	leader int           // under mu; that node
	since  time.Time     // under mu; when it said so
	count  int           // under mu; of leaders so far
	change chan struct{} // under mu; closed when it changes
}

// newWatch asks all nodes, all the time until ctx ends.
func newWatch(ctx context.Context, c *cluster) *watch {
	w := &watch{change: make(chan struct{})}
	for _, m := range c.members {
		w.wait.Go(func() {
			for sleep(ctx, lookEvery) {
				w.look(ctx, m)
			}
		})
	}
	return w
}

func (w *watch) look(ctx context.Context, m *member) {
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	s, err := m.client.Status(ctx)
	if err != nil || s.Role != "leader" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.View > w.view {
		w.view, w.leader, w.since = s.View, m.n, time.Now()
		w.count++
		close(w.change)
		w.change = make(chan struct{})
	}
}

// now returns the newest leader, its view, and how many have led so far.
func (w *watch) now() (leader int, view uint64, count int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.leader, w.view, w.count
}

// after waits for a leader of a later view.
func (w *watch) after(ctx context.Context, view uint64) (since time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, comePatience)
	defer cancel()
	for {
		w.mu.Lock()
		newer, since, change := w.view > view, w.since, w.change
		w.mu.Unlock()
		if newer {
			return since, nil
		}
		select {
		case <-change:
		case <-ctx.Done():
			return since, fmt.Errorf("alive: nobody leads after view %d within %v", view, comePatience)
		}
	}
}

// vitals is what a node's metrics say.
type vitals map[string]float64

func (m *member) vitals(ctx context.Context) (vitals, error) {
	ctx, cancel := context.WithTimeout(ctx, lookPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://node/metrics", http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := m.client.HTTPClient().Do(req)
	if err != nil {
		return nil, err
	}
	page, err := readBody(resp)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("metrics of %s: status %d", m.name, resp.StatusCode)
	}
	v := vitals{}
	for sc := bufio.NewScanner(bytes.NewReader(page)); sc.Scan(); {
		name, value, _ := strings.Cut(sc.Text(), " ")
		if x, err := strconv.ParseFloat(value, 64); err == nil && strings.HasPrefix(name, "coco_") {
			v[name] = x
		}
	}
	return v, nil
}

// ill says what keeps the network from being whole: all nodes ready, voters, in one view and
// caught up. It is empty if nothing does.
func (c *cluster) ill(ctx context.Context) string {
	all := make([]vitals, len(c.members))
	var g errgroup.Group
	for i, m := range c.members {
		g.Go(func() (err error) {
			all[i], err = m.vitals(ctx)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err.Error()
	}
	leaders, least, most := 0.0, all[0]["coco_applied_index"], 0.0
	for i, v := range all {
		for name, want := range map[string]float64{
			"coco_is_ready": 1, "coco_voters": size, "coco_learners": 0, "coco_trusted_nodes": size, "coco_view": all[0]["coco_view"],
		} {
			if got, ok := v[name]; !ok || got != want {
				return fmt.Sprintf("%s of %s is %v, want %v", name, c.members[i].name, got, want)
			}
		}
		leaders += v["coco_is_leader"]
		least, most = min(least, v["coco_applied_index"]), max(most, v["coco_applied_index"])
	}
	switch {
	case leaders != 1:
		return fmt.Sprintf("%v nodes lead", leaders)
	case most-least > maxLag:
		return fmt.Sprintf("a node is %v entries behind", most-least)
	}
	return ""
}

// remarkable is how long an illness lasts that the test's log shows.
const remarkable = 3 * time.Second

// awaitHealth waits until the network is whole.
func (c *cluster) awaitHealth(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, comePatience)
	defer cancel()
	began, why, course := time.Now(), "", ""
	for {
		now := c.ill(ctx)
		if now == "" {
			if time.Since(began) > remarkable {
				c.t.Logf("the network was ill for %v:%s", time.Since(began).Round(time.Millisecond), course)
			}
			return time.Now(), nil
		}
		if now != why && ctx.Err() == nil {
			why = now
			course += fmt.Sprintf("\n%5d ms  %s", time.Since(began).Milliseconds(), why)
		}
		if !sleep(ctx, lookEvery) {
			return time.Time{}, fmt.Errorf("alive: the network is not well again within %v: %s", comePatience, why)
		}
	}
}
