package filter

import (
	"errors"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/fair"
)

// ErrFull says that filters and subscriptions take as much memory as they may, of all callers or of this one.
var ErrFull = errors.New("filters and subscriptions take as much memory as they may, or this organisation has its share of it: end those that are not needed")

// What a filter and a subscription take beside their query, in bytes: a subscription has a goroutine and the blocks that wait for it.
const (
	ofFilter       = 512
	OfSubscription = 16 << 10
)

// MaxRoom is how much memory filters and subscriptions of all clients take, in bytes.
const MaxRoom = 128 << 20

// Room is the memory of filters and subscriptions. An organisation has at most half of what the others leave. It is safe for
// concurrent use.
type Room struct {
	mu    sync.Mutex
	bytes *fair.Shares // under mu
}

// NewRoom returns room for so many bytes.
func NewRoom(bytes int) *Room { return &Room{bytes: fair.New(bytes)} }

// Take takes memory for a caller, until give is called, which does nothing the second time. It fails with ErrFull.
func (r *Room) Take(who coco.ActorID, bytes int) (give func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bytes.Full(bytes) || !r.bytes.Fits(who, bytes) {
		return nil, ErrFull
	}
	r.bytes.Take(who, bytes)
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bytes.Give(who, bytes)
	}), nil
}

// Used is how many bytes are taken.
func (r *Room) Used() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes.Used()
}

// Size is what a query takes in memory, in bytes; nil takes nothing.
func (q *Query) Size() int {
	if q == nil {
		return 0
	}
	size := cap(q.Addresses) * common.AddressLength
	for _, any := range q.Topics {
		size += cap(any) * common.HashLength
	}
	return size
}
