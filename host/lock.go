package host

// Lock is a mutual exclusion lock that may be held while the host works: during network I/O, a sync of
// a file or a wait for the clock. A goroutine that waits for it is durably blocked in the sense of
// testing/synctest, so virtual time passes meanwhile; behind a sync.Mutex it would stand still
// (docs/adr/0001-virtual-time.md). It is a sync.Locker. The zero Lock blocks for ever: use NewLock.
type Lock chan struct{}

// NewLock returns an unlocked Lock.
func NewLock() Lock { return make(Lock, 1) }

// Lock waits until no other goroutine holds the lock, and holds it.
func (l Lock) Lock() { l <- struct{}{} }

// Wait returns once no other goroutine holds the lock, without holding it afterwards.
func (l Lock) Wait() {
	l <- struct{}{}
	<-l
}

// Unlock releases the lock, which MUST be held.
func (l Lock) Unlock() { <-l }
