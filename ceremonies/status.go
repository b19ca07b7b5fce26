package ceremonies

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cocoframework/coco/keys/dkg"
	"github.com/cocoframework/coco/keys/seats"
	"github.com/cocoframework/coco/wire"
)

// counts are what this node has done since it began.
type counts struct{ given, refused, failed, opened atomic.Uint64 }

// Status says which committee is in force, and what makes the next one: nil if there is neither. The caller must not change it.
func (d *Driver) Status() *wire.Keys { return d.status.Load() }

// Warning says in one sentence what an operator should look after; empty if nothing.
func (d *Driver) Warning() string {
	k := d.Status()
	if k == nil || k.Committee == 0 || k.Dealt {
		return ""
	}
	if n := liveSeats(k); n < k.Threshold {
		return fmt.Sprintf("of committee %d nodes have the packages of %d of %d seats, and %d open the past together: bring nodes back, or have more members run one", k.Committee, n, len(k.Seats), k.Threshold)
	}
	return ""
}

func liveSeats(k *wire.Keys) (n int) {
	for _, s := range k.Seats {
		if s.Live {
			n++
		}
	}
	return n
}

// describe makes the status.
func (l *committed) describe(s seats.State) *wire.Keys {
	if l.names.Rules < since || l.newest == nil && s.Running == nil {
		return nil
	}
	k := &wire.Keys{Seats: []wire.KeySeat{}, Whole: l.newest != nil && s.Running == nil && !s.Need}
	if l.newest != nil {
		k.Committee, k.Key, k.Threshold, k.Since = l.newest.Number, l.newest.Version, l.newest.Threshold(), l.newest.Since
		k.Time, k.Dealt = time.UnixMilli(int64(l.newest.Time)).UTC(), l.newest.Ceremony == 0
		for i, seat := range l.newest.Seats {
			k.Seats = append(k.Seats, wire.KeySeat{Member: seat.Actor, Name: l.names.Name(seat.Actor), Node: seat.Node, Live: s.Lives(s.Newest.Seats[i])})
		}
	}
	if s.Running != nil {
		phase, _ := s.Running.Ceremony.Phase()
		k.Ceremony = &wire.KeyCeremony{Number: l.running.Number, Key: l.running.Session.Version, Cause: string(l.running.Cause), Phase: phase.String(), Since: l.running.Since}
		of := l.running.Session.Receivers
		if phase == dkg.Committing || phase == dkg.Revealing {
			of = l.running.Session.Dealers()
		}
		for _, n := range s.Running.Ceremony.Waiting() {
			k.Ceremony.Waiting = append(k.Ceremony.Waiting, l.names.Name(of[n-1]))
		}
	}
	return k
}

// Collectors are what Prometheus reads of committees.
func (d *Driver) Collectors() (all []prometheus.Collector) {
	gauge := func(name, help string, value func(*wire.Keys) int) {
		all = append(all, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "coco", Name: name, Help: help}, func() float64 {
			if k := d.Status(); k != nil {
				return float64(value(k))
			}
			return 0
		}))
	}
	counter := func(name, help string, value *atomic.Uint64) {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "coco", Name: name, Help: help}, func() float64 { return float64(value.Load()) }))
	}
	gauge("committee", "Number of the committee in force; 0 if there is none.", func(k *wire.Keys) int { return int(k.Committee) })
	gauge("committee_seats", "Its seats.", func(k *wire.Keys) int { return len(k.Seats) })
	gauge("committee_live_seats", "Those whose package a trusted node has.", liveSeats)
	gauge("committee_threshold", "How many seats open something together.", func(k *wire.Keys) int { return k.Threshold })
	gauge("ceremony_running", "1 while a ceremony makes the next committee.", func(k *wire.Keys) int {
		if k.Ceremony != nil {
			return 1
		}
		return 0
	})
	counter("ceremonies_failed_total", "Ceremonies that failed since this process began.", &d.counts.failed)
	counter("parts_given_total", "Times that this node gave its parts in opening an archive of keys, or an epoch that had expired, to another node.", &d.counts.given)
	counter("parts_refused_total", "Times that it did not.", &d.counts.refused)
	counter("epochs_opened_total", "Times that this node had an epoch opened again whose secret had expired.", &d.counts.opened)
	return all
}
