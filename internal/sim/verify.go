package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/attest"
	"github.com/cocoframework/coco/attest/virtual"
	"github.com/cocoframework/coco/batch"
	"github.com/cocoframework/coco/gov/audit"
	"github.com/cocoframework/coco/internal/logevent"
	"github.com/cocoframework/coco/internal/sim/custody"
	"github.com/cocoframework/coco/internal/sim/remains"
	"github.com/cocoframework/coco/internal/sim/witness"
	"github.com/cocoframework/coco/ledger"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/receipt"
	"github.com/cocoframework/coco/wire"
)

// samples is how many acknowledged writes are asked for one by one, on every node.
const samples = 12

// verify looks at every node of a network at rest.
func (r *run) verify() {
	s := r.newSession("verifier", 0)
	defer s.http.CloseIdleConnections()
	service, err := x509.ParseCertificate(r.network.now)
	if err != nil {
		r.witness.Fail("receipt", "the service's certificate: %v", err)
		return
	}
	r.digests(s)
	r.roots()
	writes, nowhere, counters := r.witness.Written()
	seqnos := slices.Sorted(maps.Keys(writes))
	pick := rand.New(rand.NewPCG(r.seed, 3))
	for i := range r.plan.members {
		name := hostName(i)
		items, ok := r.list(s, i)
		if !ok {
			continue
		}
		for _, seqno := range seqnos {
			w := writes[seqno]
			if got, ok := items[w.Key]; !ok || string(got.Value) != w.Value || got.Tag != seqno {
				r.witness.Fail("acked", "%s was acknowledged as %s; on %s it is there: %t, of %d", w.Key, w.ID, name, ok, got.Tag)
			}
		}
		for key, what := range nowhere {
			if got, ok := items[key]; ok {
				r.witness.Fail("acked", "%s is on %s, of %d; its client was told %s", key, name, got.Tag, what)
			}
		}
		for key, c := range counters {
			n := 0
			if got, ok := items[key]; ok {
				n, err = count(got.Value)
			}
			if err != nil || n < len(c.By) || n > len(c.By)+c.Unknown {
				r.witness.Fail("once", "counter %s on %s: %d increments were acknowledged, %d are unknown, it is %d (%v)", key, name, len(c.By), c.Unknown, n, err)
			}
		}
		r.users.wallet.verify(i)
		for range min(samples, len(seqnos)) {
			r.sample(s, i, writes[seqnos[pick.IntN(len(seqnos))]], service)
		}
	}
	for n, seqno := range seqnos {
		if w := writes[seqno]; w.By == r.users.sessions[0].number { // every write of one client, each from one node
			r.sample(s, n%r.plan.members, w, service)
		}
	}
}

// roots asks whether a node has found a state root in a block's header that is not the one of the block it names.
func (r *run) roots() {
	for i := range r.plan.members {
		if name := hostName(i); r.witness.Mentioned(name, 0, logevent.StateRootWrong) {
			r.witness.Fail("root", "%s has computed another state root than a header carries: see its log", name)
		}
	}
}

type item struct {
	Key   []byte `json:"key"`
	Value []byte `json:"value"`
	Tag   uint64 `json:"etag,string"`
}

// list returns everything in a node's key-value ledger.
func (r *run) list(s *session, host int) (map[string]item, bool) {
	items := map[string]item{}
	for path := "/app/kv?limit=1000"; path != ""; {
		a := s.askAt(host, http.MethodGet, path, nil)
		var page struct {
			ID    coco.TxID `json:"transaction_id"`
			Items []item
			Next  string
		}
		err := json.Unmarshal(a.body, &page)
		if a.outcome != done || err != nil {
			r.witness.Fail("alive", "%s at rest answers %s %v", hostName(host), a.what, err)
			return nil, false
		}
		for _, i := range page.Items {
			items[string(i.Key)] = i
			r.witness.SaidOf(witness.Reading{Key: string(i.Key), At: page.ID.Seqno, Tag: i.Tag, Who: "at rest " + hostName(host)}, string(i.Value))
		}
		path = page.Next
	}
	return items, true
}

// sample asks a node for the status and the receipt of an acknowledged write.
func (r *run) sample(s *session, host int, w witness.Write, service *x509.Certificate) {
	name := hostName(host)
	var status struct{ Status string }
	a := s.patiently(host, "/node/tx/"+w.ID.String())
	if r.refusesClosed(s, host, a, w.ID.String(), w.ID.Seqno, w.ID.Seqno) {
		return
	}
	if err := json.Unmarshal(a.body, &status); err != nil || status.Status != "committed" {
		r.witness.Fail("txid", "%s was acknowledged; %s says %s", w.ID, name, a.what)
	}
	a = s.patiently(host, "/node/receipt/"+w.ID.String())
	if r.refusesClosed(s, host, a, w.ID.String(), w.ID.Seqno, w.ID.Seqno) {
		return
	}
	if a.outcome != done {
		r.witness.Fail("receipt", "%s has none of %s: %s", name, w.ID, a.what)
		return
	}
	rec, err := receipt.Parse(wire.MediaJSON, a.body)
	if err == nil {
		err = rec.Verify(service, receipt.Options{})
	}
	digest := sha256.Sum256([]byte(w.Value))
	if err == nil && (rec.TxID != w.ID || !bytes.Contains(rec.Claims, []byte(w.Key)) || !bytes.HasSuffix(rec.Claims, digest[:])) {
		err = fmt.Errorf("it is of %s, with other claims than the write of %s", rec.TxID, w.Key)
	}
	if err != nil {
		r.witness.Fail("receipt", "of %s, from %s: %v", w.ID, name, err)
	}
}

// verifyLedgers audits the disks that the nodes leave, without any key, and compares them.
func (r *run) verifyLedgers() {
	var first map[uint64]batch.Entry
	for i := range r.plan.members {
		name := hostName(i)
		r.inspect(name)
		disk := r.network.World.Host(name).Disk
		follower := custody.Follow(audit.New(audit.Config{
			Service: r.network.service, Constitution: r.network.Constitution.Digest(), Verifiers: attest.Verifiers{virtual.Verifier{}},
		}))
		report, err := ledger.Audit(context.Background(), disk, node.Dir, follower, nil)
		if err != nil {
			r.witness.Fail("ledger", "audit of %s: %v", name, err)
			continue
		}
		entries, err := remains.Entries(disk, node.Dir, report.CommittedIndex)
		if err != nil {
			r.witness.Fail("ledger", "%s: %v", name, err)
			continue
		}
		if err := remains.Snapshots(disk, node.SnapshotDir, entries); err != nil {
			r.witness.Fail("snapshot", "on %s: %v", name, err)
		}
		if first == nil {
			first = entries
			r.custody(follower, name)
			continue
		}
		if index := remains.Differ(entries, first); index > 0 {
			r.witness.Fail("ledger", "committed entry %d of %s is not that of another node", index, name)
		}
	}
	if r.witness.Recorder.Crossed() == 0 {
		r.witness.Fail("secret", "nothing was seen on the wire: the search for secrets saw nothing")
	}
}
