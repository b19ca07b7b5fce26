package reach

import (
	"errors"
	"testing"

	"github.com/cocoframework/coco"
)

func TestWhatTheNodesSayMustAgree(t *testing.T) {
	at := func(id, constitution byte) *Identity {
		return &Identity{ID: coco.Digest{id}, Constitution: coco.Digest{constitution}, Peers: []Peer{{Address: "there:8000"}}}
	}
	for name, c := range map[string]struct {
		first, second *Identity
		ok            bool
	}{
		"the first":            {nil, at(1, 1), true},
		"the same":             {at(1, 1), at(1, 1), true},
		"another network":      {at(1, 1), at(2, 1), false},
		"another constitution": {at(1, 1), at(1, 2), false},
	} {
		err := sameIdentity(c.first, c.second, nil)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, coco.ErrVerify) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
