//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// timesEnv says how often each fault is made; three times if it is not set.
const timesEnv = "COCO_FAULTS_TIMES"

// whom a fault is made for.
type whom int

const (
	leader whom = iota
	follower
	everybody
	small // the node whose disk is small
)

// fault is one thing that goes wrong.
type fault struct {
	kind   string
	whom   whom
	elects bool          // the network must get another leader
	lasts  time.Duration // at least
	dies   bool          // the victim may end
	late   bool          // it begins when begin returns
	rare   bool          // it takes so long that once is enough
	quiet  bool          // clients wait
	begin  func(*cluster, *member) error
	end    func(*cluster, *member) error // nil: it ends when it begins
}

// How long faults last that end by our hand: longer than an election should take, or until TCP
// has just tried in vain and would not try again for eleven seconds.
const (
	held = 2500 * time.Millisecond
	long = 14 * time.Second
)

func signals(s syscall.Signal) func(*cluster, *member) error {
	return func(_ *cluster, m *member) error { return m.process().signal(s) }
}

func plugs(in bool) func(*cluster, *member) error {
	return func(_ *cluster, m *member) error { return m.space.plug(in) }
}

// direct are the faults of a network whose nodes reach each other without a proxy.
var direct = []fault{
	{
		kind: "all killed at once", whom: everybody, elects: true, dies: true,
		begin: func(c *cluster, _ *member) error { return errors.Join(c.powerOff(), c.powerOn()) },
	},
	{kind: "disk of one node full", whom: small, lasts: held, dies: true, late: true, begin: fill, end: free},
	{kind: "leader killed", whom: leader, elects: true, dies: true, begin: signals(syscall.SIGKILL)},
	{kind: "follower killed", whom: follower, dies: true, begin: signals(syscall.SIGKILL)},
	{kind: "leader stopped (SIGSTOP)", whom: leader, elects: true, lasts: held, begin: signals(syscall.SIGSTOP), end: signals(syscall.SIGCONT)},
	{kind: "follower stopped (SIGSTOP)", whom: follower, lasts: held, begin: signals(syscall.SIGSTOP), end: signals(syscall.SIGCONT)},
	{kind: "leader cut off", whom: leader, elects: true, lasts: held, begin: plugs(false), end: plugs(true)},
	{kind: "follower cut off", whom: follower, lasts: held, begin: plugs(false), end: plugs(true)},
	{kind: "follower cut off for 14 s, no load", whom: follower, lasts: long, rare: true, quiet: true, begin: plugs(false), end: plugs(true)},
}

// proxied are the faults of a network whose nodes reach each other by proxies.
var proxied = []fault{
	{kind: "links slow (20–40 ms)", whom: everybody, lasts: held, begin: everyLink(rule{delay: 20 * time.Millisecond, jitter: 20 * time.Millisecond}), end: everyLink(rule{})},
	{kind: "links lossy (3 %)", whom: everybody, lasts: held, begin: everyLink(rule{delay: time.Millisecond, lose: 0.03, again: 200 * time.Millisecond}), end: everyLink(rule{})},
	{kind: "leader not heard", whom: leader, elects: true, lasts: held, begin: mute(true), end: mute(false)},
	{kind: "leader hears nobody", whom: leader, elects: true, lasts: held, begin: deaf(true), end: deaf(false)},
	{kind: "follower not heard", whom: follower, lasts: held, begin: mute(true), end: mute(false)},
	{kind: "follower hears nobody", whom: follower, lasts: held, begin: deaf(true), end: deaf(false)},
}

// everyLink puts a rule on all links between nodes.
func everyLink(r rule) func(*cluster, *member) error {
	return func(c *cluster, _ *member) error {
		for _, a := range c.members {
			for _, b := range c.members {
				if a != b {
					c.links.set(a.host, b.host, r)
				}
			}
		}
		return nil
	}
}

// mute keeps what a node says from the others; clients still reach it.
func mute(blocked bool) func(*cluster, *member) error {
	return func(c *cluster, m *member) error {
		for _, o := range c.members {
			c.links.set(m.host, o.host, rule{blocked: blocked})
		}
		return nil
	}
}

// deaf keeps what the others say from a node.
func deaf(blocked bool) func(*cluster, *member) error {
	return func(c *cluster, m *member) error {
		for _, o := range c.members {
			c.links.set(o.host, m.host, rule{blocked: blocked})
		}
		return nil
	}
}

// The small disk holds what a run writes, and can be filled up in no time.
const (
	smallDisk  = 2
	smallBytes = 512 << 20
)

// mountSmall gives a node a small disk of its own. It goes away with the room.
func mountSmall(m *member) error {
	if err := unix.Mount("coco-faults", string(m.dir), "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=700,size="+strconv.Itoa(smallBytes)); err != nil {
		return fmt.Errorf("mount a small disk: %w", err)
	}
	return nil
}

func filler(m *member) string { return filepath.Join(string(m.dir), "filler") }

// fill leaves no room on the node's disk and waits until that ends the node: it has some room in
// the file that it writes.
func fill(_ *cluster, m *member) error {
	p := m.process()
	if err := fillUp(m); err != nil {
		return err
	}
	patience := time.NewTimer(comePatience)
	defer patience.Stop()
	select {
	case <-p.done:
		return nil
	case <-patience.C:
		return errors.Join(fmt.Errorf("alive: %s goes on for %v on a full disk", m.name, comePatience), free(nil, m))
	}
}

func fillUp(m *member) error {
	f, err := os.Create(filler(m))
	if err != nil {
		return err
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		_, err := f.Write(block)
		switch {
		case errors.Is(err, unix.ENOSPC):
			block = block[:len(block)/2]
		case err != nil:
			return err
		}
	}
	return nil
}

func free(_ *cluster, m *member) error { return os.Remove(filler(m)) }

func TestNothingIsLostByKillingStoppingCuttingAndFilling(t *testing.T) {
	ctx, c := newCluster(t, "direct", 1, false)
	kinds := direct
	if err := mountSmall(c.members[smallDisk]); err != nil {
		fmt.Printf("\n=== SKIP: NO FULL DISK IS TESTED HERE: %v\n\n", err)
		kinds = slices.DeleteFunc(slices.Clone(kinds), func(f fault) bool { return f.whom == small })
	}
	breakIt(ctx, t, c, kinds)
}

func TestNothingIsLostOnSlowLossyAndOneWayLinks(t *testing.T) {
	ctx, c := newCluster(t, "proxied", 2, true)
	breakIt(ctx, t, c, proxied)
}

// breakIt makes every fault some times, under load, and then looks at what is left.
func breakIt(ctx context.Context, t *testing.T, c *cluster, kinds []fault) {
	t.Helper()
	times := 3
	if s := os.Getenv(timesEnv); s != "" {
		var err error
		if times, err = strconv.Atoi(s); err != nil || times < 1 {
			t.Fatalf("%s=%q: expected a number from 1 on", timesEnv, s)
		}
	}
	began := time.Now()
	if err := c.begin(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.awaitHealth(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("the network is up after %v", time.Since(began).Round(time.Millisecond))
	watched, cancel := context.WithCancel(ctx)
	w := newWatch(watched, c)
	l, err := newLoad(c)
	if err != nil {
		t.Fatal(err)
	}
	l.begin(watched)
	finish := func() {
		cancel()
		w.wait.Wait()
		l.wait.Wait()
	}
	defer finish()
	if _, err := w.after(ctx, 0); err != nil {
		t.Fatal(err)
	}
	for _, f := range kinds {
		times := times
		ok := t.Run(f.kind, func(t *testing.T) {
			if f.rare {
				times = 1
			}
			for range times {
				if err := once(ctx, c, w, l, f); err != nil {
					t.Fatal(err)
				}
			}
			rest(ctx, c, l)
		})
		if !ok {
			break // what follows would not say more
		}
	}
	finish()
	verify(ctx, c, l)
}

// once makes a fault, waits for what must follow and for the end, and notes the figures.
func once(ctx context.Context, c *cluster, w *watch, l *load, f fault) error {
	if _, err := c.awaitHealth(ctx); err != nil {
		return err
	}
	sleep(ctx, 300*time.Millisecond) // of ordinary work
	leads, view, count := w.now()
	m := victim(c, f.whom, leads)
	seen := newWindow()
	l.window.Store(seen)
	if f.quiet {
		defer l.pause()()
	}
	m.condemn(f.dies)
	began := time.Now()
	if err := f.begin(c, m); err != nil {
		return err
	}
	if f.late {
		began = time.Now()
	}
	fig := figure{quiet: f.quiet, elects: f.elects || f.whom == small && leads == smallDisk}
	if fig.elects {
		since, err := w.after(ctx, view)
		if err != nil {
			return errors.Join(err, mend(c, m, f))
		}
		fig.leader = since.Sub(began)
	}
	mended := began
	if f.end != nil {
		sleep(ctx, time.Until(began.Add(f.lasts)))
		mended = time.Now()
		if err := f.end(c, m); err != nil {
			return err
		}
	}
	for _, o := range c.members {
		o.client.Close() // how soon a connection of ours notices is not what is measured
	}
	well, err := c.awaitHealth(ctx)
	if err != nil {
		return err
	}
	for _, o := range c.members {
		o.condemn(false)
	}
	fig.health = well.Sub(mended)
	seen.ack()
	fig.take(seen)
	_, _, after := w.now()
	fig.leaders = after - count
	figures.add(f.kind, fig)
	return nil
}

// mend ends a fault whose consequences were not as they must be.
func mend(c *cluster, m *member, f fault) error {
	if f.end == nil {
		return nil
	}
	return f.end(c, m)
}

func victim(c *cluster, w whom, leads int) *member {
	switch w {
	case small:
		return c.members[smallDisk]
	case follower:
		return c.members[(leads+1)%size]
	}
	return c.members[leads]
}
