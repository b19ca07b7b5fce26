package filter

import (
	crand "crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/adapter/ethereum/sending"
	"github.com/cocoframework/coco/host"
)

// ErrNone says that there is no such filter, or not any more.
var ErrNone = errors.New("filter not found")

// ErrTooMany says that an organisation has as many filters as it may.
var ErrTooMany = errors.New("too many filters")

// Table holds the filters that clients poll. A filter is only a query and the number of the
// block up to which its client knows everything; what is new comes from the ledger. Filters are a
// matter of one node, and forgotten when they are not polled.
type Table struct {
	clock  host.Clock
	max    func() int // of one organisation
	room   *Room
	mu     sync.Mutex
	byID   map[string]*Polled
	counts map[coco.ActorID]int
}

// Owner is whose a filter is: of a user's filter neither the organisation nor its other users know.
type Owner struct {
	Actor coco.ActorID
	User  string // "" is the organisation itself
}

// OwnerOf returns the owner of what a caller makes.
func OwnerOf(c *coco.Caller) Owner { return Owner{c.Actor, c.User} }

// Polled is a filter. Seen is guarded by Mu.
type Polled struct {
	Owner Owner
	Query *Query         // nil: new blocks' hashes, or what Watch tells
	Watch *sending.Watch // unless nil: hashes of transactions that come to be under way
	used  time.Time      // guarded by the table's mutex
	give  func()         // gives its memory back

	Mu   sync.Mutex
	Seen uint64 // the client knows what happened up to this block
	back int    // how often blocks had been taken back then
}

// TakenBack has the filter tell again of blocks that were taken back since it was asked: takenBack are those that have become the newest one again
// after the first so many times.
func (f *Polled) TakenBack(takenBack func(since int) []uint64) {
	for _, number := range takenBack(f.back) {
		f.Seen = min(f.Seen, number)
		f.back++
	}
}

// filterLife is how long a filter is kept without a poll, as in go-ethereum.
const filterLife = 5 * time.Minute

// NewTable returns a table of at most so many filters of one organisation as most says when one is added. They take their memory from room.
func NewTable(clock host.Clock, most func() int, room *Room) *Table {
	return &Table{clock: clock, max: most, room: room, byID: map[string]*Polled{}, counts: map[coco.ActorID]int{}}
}

// Add returns the new filter's id. An id is random: it is not guessed by other callers.
func (t *Table) Add(f *Polled) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.clock.Now()
	err := t.take(f)
	if err != nil { // whoever's they are, filters that nobody polls any more make room
		for id, old := range t.byID {
			if now.Sub(old.used) > filterLife {
				t.drop(id, old)
			}
		}
		err = t.take(f)
	}
	if err != nil {
		return "", err
	}
	f.used = now
	id := NewID()
	t.byID[id] = f
	t.counts[f.Owner.Actor]++
	return id, nil
}

// take takes what a new filter needs.
func (t *Table) take(f *Polled) (err error) {
	if t.counts[f.Owner.Actor] >= t.max() {
		return ErrTooMany
	}
	f.give, err = t.room.Take(f.Owner.Actor, ofFilter+f.Query.Size()+f.watched())
	return err
}

// Get returns a caller's own filter and prolongs its life.
func (t *Table) Get(owner Owner, id string) (*Polled, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.byID[id]
	if f == nil || f.Owner != owner {
		return nil, ErrNone
	}
	now := t.clock.Now()
	if now.Sub(f.used) > filterLife {
		t.drop(id, f)
		return nil, ErrNone
	}
	f.used = now
	return f, nil
}

// Remove reports whether the caller had such a filter.
func (t *Table) Remove(owner Owner, id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.byID[id]
	if f == nil || f.Owner != owner {
		return false
	}
	t.drop(id, f)
	return true
}

func (t *Table) drop(id string, f *Polled) {
	delete(t.byID, id)
	f.give()
	if f.Watch != nil {
		f.Watch.Close()
	}
	if t.counts[f.Owner.Actor]--; t.counts[f.Owner.Actor] == 0 {
		delete(t.counts, f.Owner.Actor)
	}
}

// MaxWaiting is how many transactions wait for the next poll at most, and watchBytes what each takes.
const (
	MaxWaiting = 1024
	watchBytes = 32
)

func (f *Polled) watched() int {
	if f.Watch == nil {
		return 0
	}
	return MaxWaiting * watchBytes
}

// Hashes returns the transactions that have come to be under way since the last poll. It reports false once some are lost,
// because there were too many.
func (f *Polled) Hashes() (hashes []common.Hash, whole bool) {
	hashes = []common.Hash{}
	for {
		select {
		case hash, ok := <-f.Watch.C:
			if !ok {
				return hashes, false
			}
			hashes = append(hashes, hash)
		default:
			return hashes, true
		}
	}
}

// NewID returns an id of filters and subscriptions, a JSON-RPC quantity.
func NewID() string {
	var id [16]byte
	_, _ = crand.Read(id[:]) // never fails
	s := strings.TrimLeft(hex.EncodeToString(id[:]), "0")
	return "0x" + s
}
