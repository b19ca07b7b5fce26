package fair

import "github.com/cocoframework/coco"

// Turns deals turns at one resource to callers, such that callers that always wait get the same amount of it, whatever
// one of their turns costs. This is start-time fair queueing (Goyal, Vin and Cheng, 1996) with equal weights: each
// caller's turns have a start, which its earlier turns have moved on by what they cost. The caller whose turn starts
// first goes first. A caller that comes after a pause starts where the others are: it has saved nothing up and owes
// nothing from long ago.
//
// What a turn costs may be known only when it is over: see Charge. The unit is the caller's choice. The methods MUST NOT
// be called concurrently.
type Turns struct {
	now  int64                  // the start of the turn that was dealt last
	next map[coco.ActorID]int64 // where a caller's next turn starts, for those beyond now
}

// maxIdle is how many callers are remembered before those that are not beyond now are forgotten.
const maxIdle = 1024

// NewTurns returns the turns of a resource that nobody has used.
func NewTurns() *Turns { return &Turns{next: map[coco.ActorID]int64{}} }

// Start is where a caller's next turn starts. Of those that wait, the one with the lowest start goes next.
func (t *Turns) Start(who coco.ActorID) int64 { return max(t.next[who], t.now) }

// Deal begins a turn of a caller.
func (t *Turns) Deal(who coco.ActorID) {
	t.now = t.Start(who)
	if len(t.next) > maxIdle {
		for id, at := range t.next {
			if at <= t.now {
				delete(t.next, id)
			}
		}
	}
}

// Charge says that a turn of a caller cost so much, or so much more. The cost is not negative.
func (t *Turns) Charge(who coco.ActorID, cost int64) { t.next[who] = t.Start(who) + cost }
