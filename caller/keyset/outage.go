package keyset

import (
	"time"

	"github.com/cocoframework/coco/gov/access"
)

const (
	// long is for how long attempts must have failed to be an outage: an issuer that starts again is none.
	long = 2 * time.Minute
	// lookEvery is how often keys are fetched that are due, or could not be fetched, while no user asks.
	lookEvery = time.Minute
)

// Outage says that an issuer's keys cannot be fetched for long.
type Outage struct {
	Issuer string    // its name in the constitution
	Since  time.Time // of the first attempt that failed, by the ledger's time
	Until  time.Time // when the keys end that were fetched before; zero if there are none
}

// Outages returns the outages of issuers, in their order. It waits for nobody.
func (s *Sets) Outages(issuers []access.Issuer) (out []Outage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range issuers {
		of := &issuers[i]
		x, now, life := s.of(nameOf(of)), s.cfg.Now(), time.Duration(of.Terms.KeysSeconds)*time.Second
		if x.running == nil && s.ctx.Err() == nil && now.Sub(x.tried) >= lookEvery && (x.fetched.IsZero() || !x.failing.IsZero() || now.Sub(x.fetched) >= life/2) {
			s.begin(of, x, now)
		}
		if x.failing.IsZero() || now.Sub(x.failing) < long {
			continue
		}
		o := Outage{Issuer: of.Name, Since: x.failing}
		if !x.fetched.IsZero() {
			o.Until = x.fetched.Add(life)
		}
		out = append(out, o)
	}
	return out
}
