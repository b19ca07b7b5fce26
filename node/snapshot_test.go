package node_test

import (
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/snapshot"
	"github.com/cocoframework/coco/wire"
)

// frequent makes a network write snapshots and complete chunks all the time.
func (n *network) frequent() {
	n.t.Helper()
	n.Constitution.Snapshots.Transactions = 100
	n.Constitution.Ledger.ChunkBytes = 64 << 10
	if err := n.Constitution.Complete(); err != nil {
		n.t.Fatal(err)
	}
}

// snapshots returns the names of a host's snapshot files.
func (n *network) snapshots(i int) (names []string) {
	for name := range n.World.Files(hostName(i), node.SnapshotDir) {
		names = append(names, name)
	}
	return names
}

// chunks returns the first entry of a host's ledger and how many complete chunks it has.
func (n *network) chunks(i int) (first uint64, complete int) {
	n.t.Helper()
	log, err := ledger.OpenReadOnly(n.World.Host(hostName(i)).Disk, node.Dir)
	if err != nil {
		n.t.Fatal(err)
	}
	defer log.Close()
	for _, c := range log.Chunks() {
		if c.Complete {
			complete++
		}
	}
	return log.First(), complete
}

// busy writes for a while and returns what was acknowledged.
func (n *network) busy(d time.Duration) map[string]string {
	l := n.load(6)
	time.Sleep(d)
	acked := l.end()
	time.Sleep(3 * time.Second) // snapshots are recorded
	return acked
}

// said collects what a node logs.
type said struct {
	mu   sync.Mutex
	text strings.Builder // under mu
}

func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func (n *network) listen(host int) *said {
	s := &said{}
	log := slog.New(slog.NewTextHandler(s, nil))
	before := n.Alter
	n.Alter = func(c *node.Config) {
		if before != nil {
			before(c)
		}
		if c.Name == hostName(host) {
			c.Log = log
		}
	}
	return s
}

// body returns a snapshot's file without its trailer, in which each node puts a receipt of its own.
func body(file []byte) string {
	end := uint64(len(file))
	if end >= 8 {
		end = min(end, binary.BigEndian.Uint64(file[end-8:]))
	}
	return string(file[:end])
}

func TestEveryNodeWritesTheSameSnapshots(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		n.busy(5 * time.Second)
		files := n.World.Files(hostName(0), node.SnapshotDir)
		if len(files) == 0 {
			t.Fatal("no snapshot was written")
		}
		for i := 1; i < 3; i++ {
			other := n.World.Files(hostName(i), node.SnapshotDir)
			if !maps.EqualFunc(files, other, func(a, b []byte) bool { return body(a) == body(b) }) {
				t.Errorf("%s has snapshots %v, %s has %v, or their contents differ", hostName(0), n.snapshots(0), hostName(i), n.snapshots(i))
			}
		}
		service := n.serviceCertificate()
		for name := range files {
			disk := n.World.Host(hostName(1)).Disk
			h, digest, evidence, err := snapshot.Verify(disk, name)
			if err != nil {
				t.Fatal(err)
			}
			f, err := snapshot.Open(disk, name)
			if err != nil {
				t.Fatal(err)
			}
			bytes := f.Bytes()
			f.Close()
			r, err := receipt.Parse(wire.MediaJSON, evidence)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := r.Verify(service, receipt.Options{}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if string(r.Claims) != string(snapshot.Claims(h, digest, bytes)) {
				t.Errorf("%s: its receipt claims something else", name)
			}
		}
	})
}

func (n *network) serviceCertificate() *x509.Certificate {
	n.t.Helper()
	page, err := get(n.client(0, 0), "/node/service")
	if err != nil {
		n.t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(page))
	service, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		n.t.Fatal(err)
	}
	return service
}

// lose takes a machine away for ever and starts another one in its place.
func (n *network) lose(i int, others ...int) {
	n.t.Helper()
	n.Crash(i)
	n.World.SetFiles(hostName(i), nil)
	n.World.Restart(hostName(i))
	n.waitReady(n.Start(i, n.Join(others...)))
}

func TestAReplacedMachineBeginsWithASnapshotAndFetchesThePastLater(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		first, err := put(n.client(0, 0), "the first", "of all")
		if err != nil {
			t.Fatal(err)
		}
		acked := n.busy(10 * time.Second)
		log := n.listen(2)
		n.lose(2, 0, 1)
		if !strings.Contains(log.String(), string(logevent.SnapshotLoaded)) {
			t.Errorf("the joiner executed the whole ledger:\n%s", log)
		}
		maps.Copy(acked, n.busy(2*time.Second))
		n.check(acked, 2)
		n.sameState(0, 1, 2)

		time.Sleep(30 * time.Second)
		have, complete := n.chunks(2)
		want, all := n.chunks(0)
		if have != want || complete != all {
			t.Errorf("the joiner's ledger begins with entry %d and has %d chunks, expected %d and %d:\n%s", have, complete, want, all, log)
		}
		text, err := get(n.client(2, 2), "/node/receipt/"+first.String())
		if err != nil {
			t.Fatalf("receipt of a transaction of the past: %v", err)
		}
		r, err := receipt.Parse(wire.MediaJSON, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Verify(n.serviceCertificate(), receipt.Options{}); err != nil || r.TxID != first {
			t.Errorf("receipt of %s: %v", first, err)
		}
		same := n.World.Files(hostName(0), node.Dir)
		for name, contents := range n.World.Files(hostName(2), node.Dir) {
			if other, ok := same[name]; strings.Contains(name, "-") && ok && string(other) != string(contents) {
				t.Errorf("%s of the joiner is not that of the others", name)
			}
		}
	})
}

func TestARestartedNodeBeginsWithItsOwnSnapshot(t *testing.T) {
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		acked := n.busy(5 * time.Second)
		n.Crash(2)
		n.World.Restart(hostName(2))
		log := n.listen(2)
		n.waitReady(n.Start(2, n.Join(0, 1)))
		if said := log.String(); !strings.Contains(said, string(logevent.SnapshotLoaded)) || strings.Contains(said, string(logevent.SnapshotFetched)) {
			t.Errorf("the node did not begin with its own snapshot:\n%s", said)
		}
		maps.Copy(acked, n.busy(2*time.Second))
		n.check(acked, 0, 1, 2)
		n.sameState(0, 1, 2)
	})
}

func TestADamagedSnapshotIsFetchedAgain(t *testing.T) {
	long(t)
	for name, damage := range map[string]func([]byte) []byte{
		"flipped":   func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"truncated": func(b []byte) []byte { return b[:len(b)-1000] },
		"empty":     func([]byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			simulate(t, 3, func(t *testing.T, n *network) {
				n.frequent()
				n.open()
				acked := n.busy(5 * time.Second)
				n.Crash(2)
				files := n.World.Files(hostName(2), "")
				for name, b := range files {
					if strings.Contains(name, node.SnapshotDir) {
						files[name] = damage(b)
					}
				}
				n.World.SetFiles(hostName(2), files)
				n.World.Restart(hostName(2))
				log := n.listen(2)
				n.waitReady(n.Start(2, n.Join(0, 1)))
				if said := log.String(); !strings.Contains(said, string(logevent.SnapshotDamaged)) {
					t.Errorf("the node does not say that its snapshot is damaged:\n%s", said)
				}
				maps.Copy(acked, n.busy(time.Second))
				n.check(acked, 0, 1, 2)
				n.sameState(0, 1, 2)
			})
		})
	}
}

// The nodes that are left know the past from snapshots only, and cannot bring the one that comes back up to date.
func TestANodeThatIsTooFarBehindJoinsAgain(t *testing.T) {
	long(t)
	simulate(t, 5, func(t *testing.T, n *network) {
		log := n.listen(4)
		n.frequent()
		n.open()
		acked := n.busy(time.Second)
		n.World.Isolate(hostName(4))
		maps.Copy(acked, n.busy(3*time.Second))
		for i := range 4 {
			n.lose(i, (i+1)%4, (i+2)%4)
			maps.Copy(acked, n.busy(time.Second))
		}
		n.World.Rejoin(hostName(4))
		time.Sleep(30 * time.Second)
		maps.Copy(acked, n.busy(2*time.Second))
		if !strings.Contains(log.String(), string(logevent.NodeLeftBehind)) {
			t.Errorf("the node did not join again:\n%s", log)
		}
		n.check(acked, 0, 1, 2, 3, 4)
		n.sameState(0, 1, 2, 3, 4)
	})
}

// All nodes of a network can be replaced, one after the other, and no history is lost.
func TestNoHistoryIsLostWhenAllMachinesAreReplaced(t *testing.T) {
	long(t)
	simulate(t, 3, func(t *testing.T, n *network) {
		n.frequent()
		n.open()
		var ids []coco.TxID
		for i := range 5 {
			id, err := put(n.client(0, 0), fmt.Sprint("early", i), "value")
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		acked := n.busy(5 * time.Second)
		for i := range 3 {
			n.lose(i, (i+1)%3, (i+2)%3)
			time.Sleep(20 * time.Second)
			maps.Copy(acked, n.busy(3*time.Second))
		}
		time.Sleep(20 * time.Second)
		n.check(acked, 0, 1, 2)
		n.sameState(0, 1, 2)
		for i := range 3 {
			if first, _ := n.chunks(i); first != 1 {
				t.Errorf("the ledger of %s begins with entry %d", hostName(i), first)
			}
			for _, id := range ids {
				if _, err := get(n.client(i, i), "/node/receipt/"+id.String()); err != nil {
					t.Errorf("receipt of %s from %s: %v", id, hostName(i), err)
				}
			}
		}
	})
}
