package seats

import (
	"maps"

	"github.com/cocoframework/coco/keys/committee"
)

// Kept are the packages that a node keeps sealed to its machine and code, where the constitution allows that its network goes on by itself after all
// nodes have stopped (package resume).
type Kept struct {
	Committee uint64                       `cbor:"1,keyasint"` // its number; 0 if there are none
	Packages  map[uint32]committee.Package `cbor:"2,keyasint"` // by the seats
}

// Kept returns a copy of the packages that the node has of the committee in force or, before it knows which that is, of those that were restored.
func (m *Machine) Kept() Kept {
	held := m.held
	if held.committee == 0 {
		held = m.restored
	}
	k := Kept{Committee: held.committee, Packages: map[uint32]committee.Package{}}
	for seat, p := range held.of {
		k.Packages[seat] = *p
	}
	return k
}

// Restore gives the machine what it has returned in an earlier life. It counts once its committee is in force; a later one wipes it.
func (m *Machine) Restore(k Kept) {
	m.restored = packages{committee: k.Committee, of: map[uint32]*committee.Package{}}
	for seat, p := range maps.All(k.Packages) {
		m.restored.of[seat] = &p
	}
}

// adopt has the machine hold what was restored, once it knows the committee in force.
func (m *Machine) adopt(s State) {
	if m.restored.committee == 0 || s.Newest == nil {
		return
	}
	switch newest := s.Newest.Number; {
	case newest < m.restored.committee: // the node has not caught up with its ledger
	case newest == m.restored.committee && len(m.held.of) == 0: // also after it has passed by the ceremony, in which this life has not spoken
		m.held, m.restored = m.restored, packages{}
	default:
		m.restored.wipe()
	}
}
