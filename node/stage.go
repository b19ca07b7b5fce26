package node

import (
	"log/slog"
	"slices"
	"sync/atomic"
)

// stage is a state of a life. The package comment has the picture.
type stage int32

const (
	starting stage = iota // finds out about the network, or makes one; there is no node yet
	joining               // takes part in consensus, and applies what is committed up to its own admission
	serving               // trusted, and has applied as much as was committed when it was admitted
	leaving               // told to end: hands over leadership, finishes the calls under way
	retired               // consensus does without it, for good: it ends as one that leaves
)

func (s stage) String() string {
	return [...]string{"starting", "joining", "serving", "leaving", "retired"}[s]
}

// next are the stages that may follow.
func (s stage) next() []stage {
	switch s {
	case starting:
		return []stage{joining}
	case joining:
		return []stage{serving, leaving}
	case serving:
		return []stage{leaving, retired}
	case leaving:
		return []stage{retired} // its retirement was committed before it was told to end
	}
	return nil
}

// ending reports whether the node is about to end.
func (s stage) ending() bool { return s >= leaving }

// progress is the stage that a life is in. It is safe for concurrent use.
type progress struct {
	log *slog.Logger
	now atomic.Int32

	served atomic.Bool // serving was entered
}

func (p *progress) stage() stage { return stage(p.now.Load()) }

// joined reports whether the node has applied its own admission. One that is told to end before that leaves without.
func (p *progress) joined() bool { return p.served.Load() }

// enter goes on to a stage. It reports false, and changes nothing, if that stage may not follow.
func (p *progress) enter(to stage) bool {
	for {
		from := p.stage()
		if !slices.Contains(from.next(), to) {
			return false
		}
		if p.now.CompareAndSwap(int32(from), int32(to)) {
			if to == serving {
				p.served.Store(true)
			}
			p.log.Info("the node's state", "is", to.String(), "was", from.String())
			return true
		}
	}
}
