package ledger

// gate is a lock that may be held while the disk works: those who wait for it wait on a channel,
// which a simulation's clock can tell from work that goes on.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

func (g gate) lock()   { g <- struct{}{} }
func (g gate) unlock() { <-g }
