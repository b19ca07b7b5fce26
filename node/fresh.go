package node

import (
	"context"
	"time"

	"github.com/cocoframework/coco/adapter"
)

// age says how old this node's state may be.
func (n *node) age() adapter.Age {
	of, stale := n.replica.Age(), n.decided.constitution.Load().Reads.StaleSeconds
	return adapter.Age{Of: of, Stale: stale > 0 && of > time.Duration(stale)*time.Second}
}

// fresh is adapter.Env.Fresh.
func (n *node) fresh(ctx context.Context, rd adapter.Reading) (adapter.Age, error) {
	if rd.Latest {
		if err := n.replica.Latest(ctx); err != nil {
			return n.age(), err
		}
	}
	age := n.age()
	most := time.Duration(n.decided.constitution.Load().Reads.RefuseSeconds) * time.Second
	if rd.MaxAge >= 0 && (most == 0 || rd.MaxAge < most) {
		if age.Of > rd.MaxAge {
			return age, &adapter.StaleError{Age: age.Of, Most: rd.MaxAge}
		}
		return age, nil
	}
	if most > 0 && age.Of > most {
		return age, &adapter.StaleError{Age: age.Of, Most: most}
	}
	return age, nil
}
