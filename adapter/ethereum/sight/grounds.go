package sight

import (
	"context"
	"maps"

	"github.com/ethereum/go-ethereum/common"

	"github.com/cocoframework/coco/adapter/ethereum/access"
)

// grounds are what a decision about a block rests on: whose addresses are, which rules contracts state, and that there is no policy of a deployer where they state none. While they hold on a newer state the decision does, and is not made again, which
// takes a multiple. A contract that decides by its state is asked again after each block.
type grounds struct {
	owned  map[common.Address]bool
	stated map[common.Address]*rule // nil: there is no code
	asked  int                      // questions to contracts
	stood  int                      // of them that what is in stated answers
}

func newGrounds() *grounds {
	return &grounds{owned: map[common.Address]bool{}, stated: map[common.Address]*rule{}}
}

func (g *grounds) owns(addr common.Address, owned bool) {
	if g != nil {
		g.owned[addr] = owned
	}
}

func (g *grounds) ask() {
	if g != nil {
		g.asked++
	}
}

// stand notes that a contract's rule answers a question of the viewer, and nothing else.
func (g *grounds) stand(contract common.Address, by *rule, of *asker) {
	if g != nil && of == nil {
		g.stated[contract] = by
		g.stood++
	}
}

// complete reports whether the decision rests on nothing else.
func (g *grounds) complete() bool { return g.asked == g.stood }

// hold reports whether the grounds are those of the newest state, too.
func (e *eyes) hold(ctx context.Context, g *grounds) bool {
	for addr, owned := range g.owned {
		if e.owns(addr) != owned {
			return false
		}
	}
	for addr, was := range g.stated {
		if _, contract := e.code(addr); contract != (was != nil) {
			return false
		} else if !contract {
			continue
		}
		is := e.rules.of(ctx, addr, 0)
		if is != nil && is.none && e.rules.deployers(addr).there {
			return false
		}
		if is == nil || is.asks || is.none != was.none || is.ten != was.ten && !sameTEN(is.ten, was.ten) {
			return false
		}
	}
	return true
}

func sameTEN(a, b *access.TEN) bool {
	return a != nil && b != nil && a.Transparent == b.Transparent && maps.Equal(a.Events, b.Events)
}
