package sim

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/gov/constitution"
	"github.com/cocoframework/coco/internal/nettest"
	"github.com/cocoframework/coco/internal/sim/custody"
	"github.com/cocoframework/coco/node"
	"github.com/cocoframework/coco/resume"
	"github.com/cocoframework/coco/wire"
)

// custodian knows who can open the ledger.
type custodian struct {
	decided []decision        // by members, as they were told; of the fault that had them decide last
	guests  []*nettest.Member // whom members have added, and maybe removed again; they run no node
	kept    []custody.Kept    // by the nodes of a network at rest, as of the committee that was in force
	at      uint64            // that committee
	closed  []custody.Refusal // by nodes, of what no node opens
	ids     []coco.NodeID     // of the nodes whose disks are the backups
	hit     func(step, fault string)

	mu    sync.Mutex
	seals custody.Seals // under mu
}

// committeePatience is how long a network at rest may take to have a committee of all its members whose seats their own nodes hold. Ceremonies that failed one after the
// other are followed by pauses.
const committeePatience = 20 * time.Minute

// seals looks at the batches in the files of a host, whether or not they are committed.
func (r *run) seals(host string, files map[string][]byte) {
	r.keys.mu.Lock()
	defer r.keys.mu.Unlock()
	if err := r.keys.seals.Look(host, files, node.Dir); errors.Is(err, coco.ErrVerify) {
		r.witness.Fail("nonce", "%v", err)
	}
}

// committee notes what a node says of the committee in force.
func (r *run) committee(host int, k *wire.Keys) {
	if k != nil && k.Committee > 0 {
		r.witness.Committee(k.Committee, k.Since, k.Key, hostName(host))
	}
}

// status asks a node how it is.
func (s *session) status(host int) (st wire.Status, ok bool) {
	a := s.askAt(host, http.MethodGet, "/node/status", nil)
	if a.outcome != done {
		return st, false
	}
	if err := json.Unmarshal(a.body, &st); err != nil {
		s.witness.Fail("alive", "%s answers %s", hostName(host), a.what)
		return st, false
	}
	return st, true
}

// kept is after how long a node that knows a committee has sealed its package at the latest: it looks once a second, and seals and syncs.
const kept = 3 * time.Second

// committees waits until each node of a network at rest knows a whole committee, all of whose seats are held by members' own nodes, and reads what nodes keep.
func (r *run) committees() {
	s := r.newSession("custodian", 0)
	defer s.http.CloseIdleConnections()
	begun := time.Now()
	var last wire.Status
	for i := 0; i < r.plan.members; {
		st, ok := s.status(i)
		if ok && st.Keys != nil {
			r.committee(i, st.Keys)
			if last = st; whole(st.Keys, len(r.keys.guests)) && st.Keys.Committee >= r.keys.at {
				r.keys.at = st.Keys.Committee
				i++
				continue
			}
		}
		if time.Since(begun) > committeePatience {
			b, _ := json.Marshal(last.Keys)
			r.witness.Fail("committee", "for %v %s knows no whole committee: %s", committeePatience, hostName(i), b)
			return
		}
		time.Sleep(time.Second)
	}
	r.witness.Say("committee %d is whole after %v", r.keys.at, time.Since(begun))
	time.Sleep(kept)
	for i, m := range r.network.Members {
		h := r.network.World.Host(hostName(i))
		st, err := resume.Vault{Disk: h.Disk, Device: h.Sealer}.Load(context.Background())
		switch unattended := r.network.Constitution.Recovery.Unattended == constitution.Yes; {
		case err != nil || unattended != (st != nil):
			r.witness.Fail("kept", "%s has kept what it needs to go on: %t, expected %t (%v)", hostName(i), st != nil, unattended, err)
		case st != nil:
			r.keys.kept = append(r.keys.kept, custody.Kept{Owner: m.Actor(), State: st})
		}
	}
}

// whole says whether a committee has all seats that members' own nodes can hold, given how many members run none at most.
func whole(k *wire.Keys, guests int) bool {
	live := 0
	for _, seat := range k.Seats {
		if seat.Live {
			live++
		}
	}
	return k.Whole && !k.Dealt && live+guests >= len(k.Seats)
}

// refusesClosed takes note of a node that gives no answer because no node opens an epoch in which a transaction of a range is. Whether that is so the ledger tells.
func (r *run) refusesClosed(s *session, host int, a answer, what string, first, last uint64) bool {
	if a.closed {
		st, _ := s.status(host)
		r.keys.closed = append(r.keys.closed, custody.Refusal{Node: hostName(host), What: what, First: first, Last: last, Committee: st.Keys.Committee})
	}
	return a.closed
}

// holders are all who ever had a seat.
func (r *run) holders() (all []custody.Holder) {
	for _, members := range [][]*nettest.Member{r.network.Members, r.keys.guests} {
		for _, m := range members {
			all = append(all, custody.Holder{Actor: m.Actor(), Key: m.Share})
		}
	}
	return all
}

// custody looks at who can open what, by an audit of one node's ledger.
func (r *run) custody(f *custody.Follower, host string) {
	secrets, err := f.Open(r.holders())
	if err != nil {
		r.witness.Fail("opened", "the ledger of %s: %v", host, err)
		return
	}
	if err := f.Succession(r.holders()); err != nil {
		r.witness.Fail("opened", "the ledger of %s: %v", host, err)
	}
	if err := f.Closed(r.keys.closed, r.holders()); err != nil {
		r.witness.Fail("past", "by the ledger of %s: %v", host, err)
	}
	held, err := f.Keeps(r.keys.kept, secrets)
	if err != nil {
		r.witness.Fail("kept", "by the ledger of %s: %v", host, err)
	} else if n := len(r.keys.kept); held != n && uint64(f.Committees()) == r.keys.at {
		r.witness.Fail("kept", "by the ledger of %s %d nodes keep the packages of %d seats of committee %d, expected one each", host, n, held, r.keys.at)
	}
	r.witness.Say("members open %d epochs of %d committees; nodes keep the packages of %d seats, and refused %d reads of what no node opens; %d batches were sealed", len(secrets), f.Committees(), held, len(r.keys.closed), r.keys.seals.Found())
}
