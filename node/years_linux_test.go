package node_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/canon"
	"github.com/cocoframework/coco/gov/action"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/gov/envelope"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/wire"
)

var (
	changes = flag.Int("changes", 150, "how many changes a network of many years has voted")
	newKeys = flag.Int("epochs", 15, "how many of them begin a new epoch")
	rejoins = flag.Int("rejoins", 10, "how many times its nodes were restarted")
)

// age is a network whose years go by, and what it costs then.
type age struct {
	*network
	officer  *http.Client
	audience coco.Digest
	made     int // changes
	epochs   int // that changes have begun
	years    []map[string]string
}

// decided has one member propose a change and vote for it.
func (a *age) decided(settings ...string) {
	a.t.Helper()
	now := uint64(time.Now().UnixMilli())
	var actions []canon.Raw
	for i := 0; i < len(settings); i += 2 { // a setting and its value
		act := action.Action{Kind: action.Set, Args: action.Args{Setting: settings[i], Value: settings[i+1]}}
		raw, err := act.Encode()
		if err != nil {
			a.t.Fatal(err)
		}
		actions = append(actions, raw)
	}
	statement, err := envelope.SignProposal(context.Background(), a.Members[0], envelope.Proposal{
		Audience: a.audience, Time: now, Expires: now + uint64(time.Hour.Milliseconds()), Nonce: nonce(), Actions: actions,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	out, err := submit(a.officer, statement)
	if err != nil {
		a.t.Fatal(err)
	}
	statement, err = envelope.SignBallot(context.Background(), a.Members[0], envelope.Ballot{
		Audience: a.audience, Time: uint64(time.Now().UnixMilli()), Nonce: nonce(), Proposal: out.ID, Vote: envelope.Yes,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	if out, err = submit(a.officer, statement); err != nil || out.State != "accepted" {
		a.t.Fatalf("change %d, %v: %v %v", a.made, settings, out.State, err)
	}
	a.made++
}

// cost is what the process uses of the processors meanwhile. The network's time is virtual.
func cost(do func()) time.Duration {
	used := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	began := used()
	do()
	return used() - began
}

// heap is what lives in the process, in MiB, the disks of all nodes too.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc >> 20
}

// look measures what everyday work costs now. The third node is to run, and ends.
func (a *age) look() {
	a.t.Helper()
	year := map[string]string{"changes": fmt.Sprint(a.made)}
	note := func(what string, do func()) { year[what] = cost(do).Round(100 * time.Microsecond).String() }
	read := func(path string) func() {
		return func() {
			if text, err := get(a.officer, path); err != nil || len(text) < 3 {
				a.t.Errorf("%s after %d changes: %q %v", path, a.made, text, err)
			}
		}
	}
	note("a change", func() { a.decided("limits.queue", fmt.Sprint(5000+a.made%1000)) })
	for _, path := range []string{"/gov/constitution", "/gov/nodes", "/gov/proposals", "/gov/proposals/1", "/gov/constitution?version=1", "/gov/constitution/history", "/gov/watch?after=0&wait=0"} {
		note(path, read(path))
	}
	seqno := a.metric(0, "committed_seqno")
	note("gov watch", read(fmt.Sprintf("/gov/watch?after=%d&wait=0", seqno-2)))
	note("a snapshot", func() {
		resp, err := a.officer.Post("https://node/node/snapshots", "application/json", nil)
		if err != nil || resp.StatusCode != http.StatusAccepted {
			a.t.Fatalf("%v %v", resp, err)
		}
		resp.Body.Close()
		for a.metric(0, "snapshot_seqno") < seqno {
			time.Sleep(time.Second)
		}
	})
	year["snapshot MiB"] = fmt.Sprintf("%.1f", float64(a.metric(0, "snapshot_bytes"))/(1<<20))
	note("a restart", func() {
		if err := a.Halt(2); err != nil {
			a.t.Error(err)
		}
		a.waitReady(a.Start(2, a.Join(0)))
	})
	time.Sleep(5 * time.Second) // it votes again: of one member's nodes one does
	note("a new node", func() {
		n := a.StartOn("other", 2, a.Join(0))
		if err := n.Await(10 * time.Minute); err != nil {
			a.t.Fatal(err)
		}
		n.Stop()
		<-n.Done()
	})
	note("an audit", func() {
		auditor := audit.New(audit.Config{Constitution: a.Constitution.Digest(), Verifiers: attest.Verifiers{virtual.Verifier{}}})
		if _, err := ledger.Audit(context.Background(), a.World.Host(hostName(0)).Disk, node.Dir, auditor, nil); err != nil {
			a.t.Error(err)
		}
	})
	before := heap()
	if err := a.Halt(1); err != nil {
		a.t.Error(err)
	}
	year["a node's memory MiB"] = fmt.Sprint(int(before) - int(heap()))
	a.waitReady(a.Start(1, a.Join(0)))
	time.Sleep(5 * time.Second)
	if err := a.Halt(2); err != nil {
		a.t.Error(err)
	}
	for _, host := range []string{"other", hostName(2)} { // their disks are this process's memory
		a.World.SetFiles(host, nil)
	}
	year["ledger MiB"] = fmt.Sprint(a.metric(0, "ledger_bytes") >> 20)
	a.t.Log(year)
	a.years = append(a.years, year)
}

// A network that has decided, changed its keys and restarted its nodes for many years does everything as before, and tells how far it
// has grown. `make test-years` runs a century: docs/performance.md has what it costs then.
func TestANetworkOfManyYearsWorksAsAYoungOneDoes(t *testing.T) {
	long(t)
	simulate(t, 3, func(t *testing.T, n *network) {
		n.governs()
		n.Constitution.Policies[constitution.PolicyDefault] = "votes.yes >= 1"
		if err := n.Constitution.Complete(); err != nil {
			t.Fatal(err)
		}
		n.waitReady(n.Start(0, n.Found))
		a := &age{network: n, officer: n.officer(n.Members[0], 0), audience: n.audience()}
		service, governs := n.serviceCertificate().Raw, n.Alter
		n.Alter = func(c *node.Config) { // members change what the operators had approved
			governs(c)
			c.Service = service
		}
		n.waitReady(n.Start(1, n.Join(0)))
		join := func() { n.waitReady(n.Start(2, n.Join(0))) }
		join()
		a.look()
		join()
		for range *rejoins {
			if err := n.Halt(2); err != nil {
				t.Fatal(err)
			}
			join()
		}
		if err := n.Halt(2); err != nil {
			t.Fatal(err)
		}
		every := max(1, *changes / *newKeys)
		for _, part := range []int{10, 3, 1} {
			for a.made < *changes/part {
				if a.epochs < *newKeys && a.made >= a.epochs*every {
					a.epochs++
					a.decided("shares.threshold", fmt.Sprint(1+(a.epochs-1)%2), "recovery.owner", []string{`"each_member"`, `"none"`}[(a.epochs-1)%2])
					continue
				}
				a.decided("limits.queue", fmt.Sprint(5000+a.made%1000))
			}
			join()
			a.look()
		}
		join()
		time.Sleep(20 * time.Minute) // until it is measured
		sizes := map[string]float64{}
		_, values := n.metrics(0)
		for _, of := range []string{"bytes", "versions", "proposals", "ballots", "nodes", "epochs"} {
			sizes[of] = values[fmt.Sprintf("coco_network_size{of=%q}", of)]
		}
		t.Log(sizes)
		if sizes["versions"] < float64(*changes) || sizes["nodes"] < float64(*rejoins) || sizes["epochs"] < float64(*newKeys) {
			t.Errorf("%v, expected as many as there were: %d changes, %d epochs, %d restarts", sizes, *changes, *newKeys, *rejoins)
		}
		var st wire.Status
		if text, err := get(n.client(0, 0), "/node/status"); err != nil || json.Unmarshal([]byte(text), &st) != nil {
			t.Error(text, err)
		}
		t.Log(st.NearLimits)
	})
}
