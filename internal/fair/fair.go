// Package fair divides a bounded resource among callers that do not limit themselves.
//
// The rule is that a caller may hold at most half of what the others leave: a caller alone gets half
// of everything, of two that want all each gets a third, of n each gets 1/(n+1). So the busiest
// callers always leave as much as one of them holds, and a caller that comes next with little finds room.
// There are no weights, and nothing is reserved for callers that do not come.
//
// Trust: enclave
package fair

import "github.com/cocoframework/coco"

// Shares are the parts of one resource that callers hold. A method call costs one look into a map.
// The methods MUST NOT be called concurrently.
type Shares struct {
	limit, used int
	held        map[coco.ActorID]int
}

// New returns shares of a resource of which there is so much.
func New(limit int) *Shares { return &Shares{limit: limit, held: map[coco.ActorID]int{}} }

// Resize changes how much of the resource there is; zero leaves it as it is. What callers hold above it they keep.
func (s *Shares) Resize(limit int) {
	if limit > 0 {
		s.limit = limit
	}
}

// Fits reports whether a caller may take n more. A part that is larger than the whole resource
// fits while no caller holds any, so that it is not refused for ever; a caller that holds nothing may take all
// that is free.
func (s *Shares) Fits(who coco.ActorID, n int) bool {
	if s.used == 0 {
		return true
	}
	held := s.held[who]
	others := s.used - held
	return s.used+n <= s.limit && (held == 0 || held+n <= (s.limit-others+1)/2)
}

// Take notes that a caller holds n more.
func (s *Shares) Take(who coco.ActorID, n int) {
	s.used += n
	s.held[who] += n
}

// Give notes that a caller holds n less.
func (s *Shares) Give(who coco.ActorID, n int) {
	s.used -= n
	if s.held[who] -= n; s.held[who] == 0 {
		delete(s.held, who)
	}
}

// Used is what all callers hold together.
func (s *Shares) Used() int { return s.used }

// Limit is how much there is.
func (s *Shares) Limit() int { return s.limit }

// Full reports whether n more would be too much for anybody, rather than for one caller.
func (s *Shares) Full(n int) bool { return s.used > 0 && s.used+n > s.limit }
