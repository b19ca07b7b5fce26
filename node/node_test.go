package node_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/host/sim"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/wire"
)

// simulate runs a test under virtual time, which passes for it alone: so tests run side by side.
func simulate(t *testing.T, members int, test func(*testing.T, *network)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t, 1, members)
		defer n.close()
		test(t, n)
	})
}

func TestAnAcknowledgedWriteIsReadOnEveryNode(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		id, err := put(n.client(1, 1), "greeting", "hello")
		if err != nil {
			t.Fatal(err)
		}
		t.Log(id)
		time.Sleep(time.Second)
		n.check(map[string]string{"greeting": "hello"}, 0, 1, 2)
	})
}

func TestCrashedLeaderLosesNoAcknowledgedWrite(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		l := n.load(8)
		time.Sleep(2 * time.Second)
		before := l.count()
		n.Crash(0)
		time.Sleep(5 * time.Second)
		acked := l.end()
		if before == 0 || len(acked) <= before {
			t.Fatalf("%d writes before the crash, %d after: the network did not go on", before, len(acked))
		}
		time.Sleep(time.Second)
		n.check(acked, 1, 2)
		n.sameState(1, 2)
		t.Logf("%d acknowledged before the crash, %d in all", before, len(acked))
	})
}

func TestCrashedNodeRejoinsAndCatchesUp(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		l := n.load(4)
		for _, victim := range []int{2, 0} { // a follower, the leader
			time.Sleep(time.Second)
			n.Crash(victim)
			time.Sleep(5 * time.Second)
			n.World.Restart(hostName(victim))
			n.waitReady(n.Start(victim, n.Join((victim+1)%3, (victim+2)%3)))
			time.Sleep(time.Second)
		}
		acked := l.end()
		time.Sleep(time.Second)
		n.check(acked, 0, 1, 2)
		n.sameState(0, 1, 2)
	})
}

func TestNetworkGoesOnFromItsLedgersAfterAllNodesCrash(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		for range 2 {
			l := n.load(4)
			time.Sleep(time.Second)
			for i := range 3 {
				n.Crash(i)
			}
			acked := l.end()
			for i := range 3 {
				n.World.Restart(hostName(i))
			}
			best := n.longest()
			n.waitReady(n.Start(best, n.Recover))
			n.waitReady(n.Start((best+1)%3, n.Join(best)))
			n.waitReady(n.Start((best+2)%3, n.Join(best)))
			time.Sleep(time.Second)
			n.check(acked, 0, 1, 2)
			n.sameState(0, 1, 2)
		}
	})
}

func TestPrivateDataIsNeverInTheClear(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		const planted = "planted-secret-4711"
		var mu sync.Mutex
		seen, public := 0, 0
		n.World.Tap(func(_, _ string, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			seen += len(b)
			if bytes.Contains(b, []byte(planted)) {
				t.Errorf("a planted value crossed the wire in the clear")
			}
		})
		n.open()
		if _, err := put(n.client(1, 1), planted, planted); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		n.check(map[string]string{planted: planted}, 0, 1, 2)
		for i := range 3 {
			for name, contents := range n.World.Files(hostName(i), node.Dir) {
				if bytes.Contains(contents, []byte(planted)) {
					t.Errorf("a planted value is in the clear in %s of %s", name, hostName(i))
				}
				if bytes.Contains(contents, []byte("coco.nodes")) {
					public++ // public tables are in the clear: the search would find things
				}
			}
		}
		if seen == 0 || public < 3 {
			t.Fatalf("%d bytes seen on the wire, public data found on %d nodes: the test saw nothing", seen, public)
		}
	})
}

// refusals starts member 3's node in a way that the network refuses and returns what its log says.
func refusals(t *testing.T, alter func(*network, *node.Config)) (said string) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.waitReady(n.Start(0, n.Found))
		var log syncBuffer
		n.Alter = func(c *node.Config) {
			c.Log = slog.New(slog.NewTextHandler(&log, nil))
			alter(n, c)
		}
		r := n.Start(2, n.Join(0))
		select {
		case <-r.Ready():
			t.Error("the node was admitted")
		case <-time.After(10 * time.Second):
		}
		said = log.String()
	})
	return said
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// forger signs for a node with a key that is not its organisation's.
type forger struct{ *nettest.Member }

func (f forger) Sign(_ context.Context, tuple []byte) ([]byte, error) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	d := sha256.Sum256(tuple)
	return ecdsa.SignASN1(rand.Reader, other, d[:])
}

func TestNodesThatMayNotJoinAreRefusedWithTheReason(t *testing.T) {
	for name, c := range map[string]struct {
		alter func(*network, *node.Config)
		want  string
	}{
		"other code": {func(_ *network, c *node.Config) {
			q, err := virtual.NewQuoter(virtual.Measure([]byte("other code")))
			if err != nil {
				t.Fatal(err)
			}
			c.Host.Quoter = q
		}, "not in the code manifest"},
		"a debug TEE": {func(_ *network, c *node.Config) {
			q, err := virtual.NewQuoter(sim.Measurement)
			if err != nil {
				t.Fatal(err)
			}
			c.Host.Quoter = q.Debug()
		}, "debug"},
		"no signature of the owner": {func(n *network, c *node.Config) { c.Owner = forger{n.Members[2]} }, "signature"},
		"an owner who is no member": {func(_ *network, c *node.Config) { c.Owner = newMember(t, "outsider") }, "not in the constitution"},
		"another constitution":      {func(_ *network, c *node.Config) { c.Approve = coco.Digest{1} }, "the operator approved 0100"},
	} {
		t.Run(name, func(t *testing.T) {
			if said := refusals(t, c.alter); !strings.Contains(said, c.want) {
				t.Errorf("the log does not say %q:\n%s", c.want, said)
			}
		})
	}
}

// sameState compares the nodes' digests of their whole state.
func (n *network) sameState(nodes ...int) {
	n.t.Helper()
	digests := map[string]bool{}
	for _, i := range nodes {
		d, err := get(n.client(i, i), "/node/digest")
		if err != nil {
			n.t.Fatal(err)
		}
		digests[d] = true
	}
	if len(digests) != 1 {
		n.t.Errorf("%d nodes at rest have %d states: %v", len(nodes), len(digests), digests)
	}
}

func TestReceiptsOfEveryNodeVerifyOffline(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		var ids []coco.TxID
		for i := range 200 { // beyond a checkpoint of the history
			id, err := put(n.client(i%3, i%3), fmt.Sprint("key", i), "value")
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		page, err := get(n.client(0, 0), "/node/service")
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode([]byte(page))
		service, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		for i := range 3 {
			c := n.client(i, i)
			for _, id := range append(ids[:3:3], ids[63], ids[64], ids[65], ids[199]) {
				text, err := get(c, "/node/receipt/"+id.String())
				if err != nil {
					t.Fatal(err)
				}
				r, err := receipt.Parse(wire.MediaJSON, []byte(text))
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Verify(service, receipt.Options{}); err != nil || r.TxID != id {
					t.Errorf("receipt of %s from node %d: %v", id, i+1, err)
				}
				r.Claims = append(r.Claims, 0)
				if err := r.Verify(service, receipt.Options{}); !errors.Is(err, coco.ErrVerify) {
					t.Errorf("a receipt with other claims gives %v", err)
				}
			}
		}
	})
}

func TestNodeWhoseLedgerIsDamagedFetchesItAgain(t *testing.T) {
	long(t)
	flip := func(at int) func(map[string][]byte) {
		return func(files map[string][]byte) {
			for name, b := range files {
				if strings.Contains(name, "ledger_") {
					b[at] ^= 1
				}
			}
		}
	}
	for name, damage := range map[string]func(map[string][]byte){
		"early":     flip(300),
		"in a body": flip(20_000),
		"forged, with a good checksum": func(files map[string][]byte) {
			for name, b := range files {
				if strings.Contains(name, "ledger_") {
					forgeFrame(b, 30)
				}
			}
		},
		"gone": func(files map[string][]byte) { clear(files) },
		"rolled back": func(files map[string][]byte) {
			for name, b := range files {
				files[name] = b[:len(b)/2]
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				n.open()
				l := n.load(4)
				time.Sleep(3 * time.Second)
				n.Crash(2)
				files := n.World.Files(hostName(2), "")
				damage(files)
				n.World.SetFiles(hostName(2), files)
				n.World.Restart(hostName(2))
				n.waitReady(n.Start(2, n.Join(0, 1)))
				time.Sleep(time.Second)
				acked := l.end()
				time.Sleep(time.Second)
				n.check(acked, 2)
				n.sameState(0, 1, 2)
			})
		})
	}
}

// forgeFrame changes the data of the n-th frame of a chunk and mends its checksum: what only the
// enclave can tell.
func forgeFrame(chunk []byte, n int) {
	table := crc32.MakeTable(crc32.Castagnoli)
	for at := 0; ; n-- {
		end := at + 8 + int(binary.BigEndian.Uint32(chunk[at:]))
		if n == 0 {
			chunk[end-1] ^= 1
			sum := crc32.Update(crc32.Checksum(chunk[at:at+4], table), table, chunk[at+8:end])
			binary.BigEndian.PutUint32(chunk[at+4:], sum)
			return
		}
		at = end
	}
}

func TestFullDiskStopsANodeWithAClearErrorAndLosesNothing(t *testing.T) {
	long(t)
	for _, victim := range []int{0, 2} { // the leader, a follower
		t.Run(hostName(victim), func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				n.open()
				l := n.load(4)
				time.Sleep(time.Second)
				n.World.SetDiskCapacity(hostName(victim), 1)
				r := n.Node(victim)
				select {
				case <-r.Done():
				case <-time.After(time.Minute):
					t.Fatal("the node goes on with a full disk")
				}
				if r.Err() == nil || !strings.Contains(r.Err().Error(), "write the ledger") || !errors.Is(r.Err(), syscall.ENOSPC) {
					t.Fatalf("the node stopped with %v", r.Err())
				}
				before := l.count()
				time.Sleep(5 * time.Second)
				if l.count() == before {
					t.Fatal("the other nodes do not go on")
				}
				n.Crash(victim)
				n.World.Restart(hostName(victim))
				n.World.SetDiskCapacity(hostName(victim), 0)
				n.waitReady(n.Start(victim, n.Join((victim+1)%3)))
				time.Sleep(time.Second)
				acked := l.end()
				time.Sleep(time.Second)
				n.check(acked, 0, 1, 2)
				n.sameState(0, 1, 2)
			})
		})
	}
}

func TestRecoveryComesBeforeNodesThatJoin(t *testing.T) {
	long(t)
	simulate(t, 5, func(t *testing.T, n *network) {
		n.open()
		if _, err := put(n.client(0, 0), "k", "v"); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			for i := range 5 {
				n.Crash(i)
			}
			for i := range 5 {
				n.World.Restart(hostName(i))
			}
			best := n.longest()
			n.World.SetSyncDelay(hostName(best), 30*time.Millisecond) // joiners come while it takes over
			nodes := []*nettest.Node{n.Start(best, n.Recover)}
			for i := range 5 {
				if i != best {
					nodes = append(nodes, n.Start(i, n.Join(best)))
				}
			}
			for _, r := range nodes {
				n.waitReady(r)
			}
			n.World.SetSyncDelay(hostName(best), 0)
			n.audit()
		}
	})
}

// audit checks every node's ledger without a key.
func (n *network) audit() {
	n.t.Helper()
	for i := range n.Members {
		auditor := audit.New(audit.Config{Constitution: n.Constitution.Digest()})
		if _, err := ledger.Audit(context.Background(), n.World.Host(hostName(i)).Disk, node.Dir, auditor, nil); err != nil {
			n.t.Errorf("ledger of node %d: %v", i+1, err)
		}
	}
}

func TestCallsToAFrozenLeaderDoNotWaitForEver(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.open()
		var wait sync.WaitGroup
		for i := range 20 {
			wait.Go(func() {
				c := n.client(1, 1)
				c.Timeout = 15 * time.Second // far below a submission's patience
				time.Sleep(time.Duration(i) * time.Millisecond / 4)
				if i == 10 {
					n.World.Isolate(hostName(0)) // connections stall, as those of a frozen process
				}
				_, err := put(c, fmt.Sprint("key", i), "value")
				if err != nil && !strings.Contains(err.Error(), "outcome") {
					t.Errorf("write %d: %v", i, err)
				}
			})
		}
		wait.Wait()
		n.World.Rejoin(hostName(0))
	})
}
