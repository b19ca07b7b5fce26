package epochs

import (
	"context"
	"sync"

	"github.com/cocoframework/coco"
	"github.com/cocoframework/coco/internal/erase"
	"github.com/cocoframework/coco/internal/signal"
	"github.com/cocoframework/coco/keys/rotation"
	"github.com/cocoframework/coco/peer"
)

// maxHanded is how many secrets of other nodes wait for the disk at a time. A node sends a secret again until it hears that this one holds it, so one that finds no room comes back.
const maxHanded = 16

// handed are secrets that other nodes have handed out and that wait to be kept, the oldest first. It is safe for concurrent use.
type handed struct {
	mu   sync.Mutex
	list [maxHanded]handedOut // an array, which leaves no copies behind; under mu
	n    int                  // how many wait; under mu
	come signal.Signal
}

// handedOut is a secret, and the node that has handed it out.
type handedOut struct {
	from   coco.NodeID
	secret rotation.Secret
}

// add has a secret wait, unless the same one of that node waits already, or there is no room.
func (h *handed) add(from coco.NodeID, s *rotation.Secret) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.list[:h.n] {
		if o := &h.list[i]; o.from == from && o.secret.Sealed == s.Sealed && o.secret.Epoch == s.Epoch {
			return
		}
	}
	if h.n == maxHanded {
		return
	}
	h.list[h.n] = handedOut{from, *s}
	h.n++
	h.come.Fire()
}

// next moves the oldest secret to out, and reports whether there was one.
func (h *handed) next(out *handedOut) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.n == 0 {
		return false
	}
	*out = h.list[0]
	copy(h.list[:], h.list[1:h.n])
	h.n--
	h.list[h.n] = handedOut{}
	return true
}

// erase drops what waits.
func (h *handed) erase() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list, h.n = [maxHanded]handedOut{}, 0
}

// ReceiveSecret receives a message about the secret of an epoch. It does not wait for the disk: RunReceived uses the secret. The message is erased.
func (e *Driver) ReceiveSecret(from coco.NodeID, m *peer.Secret) {
	s := (*rotation.Secret)(m)
	erase.Do(func() { e.handed.add(from, s) })
	s.Erase()
}

// RunReceived keeps the secrets that other nodes hand out, and says so to those once they are kept, until ctx ends. It runs for as long as messages are received.
func (e *Driver) RunReceived(ctx context.Context) error {
	defer e.handed.erase()
	s := new(handedOut) // not on the stack: one that grows or shrinks while the disk works leaves its old place as it was
	for {
		come := e.handed.come.Wait()
		for ctx.Err() == nil && e.handed.next(s) {
			e.use(s)
			s.secret.Erase()
			erase.Stack()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-come:
		}
	}
}

// use keeps a secret, and steps it.
func (e *Driver) use(s *handedOut) {
	if err := e.keep(&s.secret); err != nil {
		e.Log.Error("the secret of an epoch is not kept", "epoch", s.secret.Epoch, "error", err)
		return
	}
	e.receive(s.from, &s.secret)
}
